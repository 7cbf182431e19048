import { describe, expect, it } from 'vitest';
import type { Affinity, Node, Pod, PodSpec } from '../kinds.ts';
import { placePod } from './schedule.ts';

const node = (zone: string, taints: Node['spec']['taints'] = []): Node => ({
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: `node-${zone}`, labels: { 'kubernetes.io/hostname': `node-${zone}`, 'topology.kubernetes.io/zone': zone } },
  spec: { taints },
});
const NODES = [node('zone-a'), node('zone-b'), node('zone-c')];
const pod = (name: string, spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', uid: name, labels: { app: 'x' } },
  spec: { containers: [], ...spec },
});
const apart: Affinity = {
  podAntiAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: [
      { labelSelector: { matchLabels: { app: 'x' } }, topologyKey: 'topology.kubernetes.io/zone' },
    ],
  },
};
const required = (zone: string): Affinity => ({
  nodeAffinity: {
    requiredDuringSchedulingIgnoredDuringExecution: {
      nodeSelectorTerms: [{ matchExpressions: [{ key: 'topology.kubernetes.io/zone', operator: 'In', values: [zone] }] }],
    },
  },
});

describe('placePod', () => {
  it('spreads by load when nothing else counts', () => {
    expect(placePod(pod('p'), NODES, [pod('q', { nodeName: 'node-zone-a' })])).toEqual({ node: 'node-zone-b' });
  });

  it('follows node selectors and node affinity', () => {
    expect(placePod(pod('p', { nodeSelector: { 'topology.kubernetes.io/zone': 'zone-c' } }), NODES, [])).toEqual({ node: 'node-zone-c' });
    expect(placePod(pod('p', { affinity: required('zone-b') }), NODES, [])).toEqual({ node: 'node-zone-b' });
  });

  it('keeps apart what must be apart, and says why nothing fits', () => {
    const placed = ['a', 'b', 'c'].map((zone) => pod(zone, { nodeName: `node-zone-${zone}` }));
    expect(placePod(pod('p', { affinity: apart }), NODES, placed.slice(0, 2))).toEqual({ node: 'node-zone-c' });
    expect(placePod(pod('p', { affinity: apart }), NODES, placed)).toEqual({
      problem: "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.",
    });
  });

  it('prefers, but does not insist', () => {
    const term = { labelSelector: { matchLabels: { app: 'x' } }, topologyKey: 'kubernetes.io/hostname' };
    const affinity: Affinity = {
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: term }] },
    };
    expect(placePod(pod('p', { affinity }), NODES.slice(0, 1), [pod('q', { nodeName: 'node-zone-a' })])).toEqual({ node: 'node-zone-a' });
    expect(placePod(pod('p', { affinity }), NODES.slice(0, 2), [pod('q', { nodeName: 'node-zone-a' })])).toEqual({ node: 'node-zone-b' });
  });

  it('leaves out nodes that are not ready', () => {
    const lost = [node('zone-a', [{ key: 'node.kubernetes.io/unreachable', effect: 'NoSchedule' }]), node('zone-b')];
    expect(placePod(pod('p', { affinity: required('zone-a') }), lost, [])).toEqual({
      problem:
        "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) didn't match Pod's node affinity/selector.",
    });
  });
});
