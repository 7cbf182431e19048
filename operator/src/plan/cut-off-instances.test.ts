/** Kubernetes calls the pods of a node that is lost ready for most of a minute: clients must not be led to them for so long. */
import { describe, expect, test } from 'vitest';
import { endpointLabel, LABEL } from '../api/names.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { AgentReport } from '../observed/reports.ts';
import { isCutOff, SILENT_AGENT_MS, type Observed } from '../observed/observed.ts';
import { computeStatus } from '../status/compute-status.ts';
import { agentReport, daemonReport, healthy, makeCluster, NOW, plan, readerReport, running, withEntry } from '../testing/fixtures.ts';

const ALL = 'all';
const cluster = (instances: number, status?: AuroraClusterStatus) =>
  makeCluster({
    spec: { storage: { size: '10Gi' }, instances, endpoints: [{ name: ALL, type: 'Any' }] },
    status: { firstReadyAt: new Date(NOW - 600_000).toISOString(), writer: 'demo-1', epoch: 3, ...status },
  });
const three = healthy(cluster(3));

const withAgents = (observed: Observed, ...agents: readonly (readonly [string, Partial<AgentReport>])[]): Observed =>
  agents.reduce(
    (all, [name, change]) => ({
      ...all,
      agents: withEntry(all.agents, name, { ...(all.agents.get(name) ?? readerReport(name)), ...change }),
    }),
    observed,
  );
const silence = { answeredAt: NOW - SILENT_AGENT_MS - 5_000, silentSince: NOW - SILENT_AGENT_MS };
const justSilent = { ...silence, silentSince: NOW - SILENT_AGENT_MS + 1 };

/** Which Services each pod is in, after what is planned: by the labels that they select by. */
function endpoints(observed: Observed): Record<string, string> {
  const marks = new Map(plan(observed).actions.flatMap((action) => (action.kind === 'mark-pod' ? [[action.pod, action.labels]] : [])));
  return Object.fromEntries(
    observed.computePods.map((pod) => {
      const labels: Readonly<Record<string, string>> = { ...pod.metadata.labels, ...marks.get(pod) };
      const services = {
        rw: labels[LABEL.role] === 'writer',
        ro: labels[LABEL.servesReads] === 'true',
        r: labels[LABEL.serves] === 'true',
      };
      const names = Object.entries({ ...services, [ALL]: labels[endpointLabel(ALL)] === 'true' }).flatMap(([name, isIn]) =>
        isIn ? [name] : [],
      );
      return [pod.metadata.name, names.join(' ')];
    }),
  );
}

describe('an instance whose agent fell silent', () => {
  test('is led to by no Service, though its pod is ready', () => {
    expect(endpoints(withAgents(three, ['demo-2', silence]))).toEqual({ 'demo-1': 'rw r all', 'demo-2': '', 'demo-3': 'ro r all' });
  });

  test('has its time before that', () => {
    expect(endpoints(withAgents(three, ['demo-2', justSilent]))).toMatchObject({ 'demo-2': 'ro r all' });
  });

  test('is led to again when it answers', () => {
    const out = withAgents(three, ['demo-2', silence]);
    const unserved = { [LABEL.serves]: 'false', [LABEL.servesReads]: 'false', [endpointLabel(ALL)]: 'false' };
    const computePods = out.computePods.map((pod) =>
      pod.metadata.name === 'demo-2' ? { ...pod, metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, ...unserved } } } : pod,
    );
    expect(endpoints({ ...out, computePods })).toMatchObject({ 'demo-2': '' });
    expect(endpoints({ ...three, computePods })).toMatchObject({ 'demo-2': 'ro r all' });
  });

  test('is none while nobody else answers: it may be the operator that is cut off', () => {
    const all = withAgents(three, ['demo-1', silence], ['demo-2', silence], ['demo-3', silence]);
    expect(endpoints(all)).toEqual(endpoints(three));
  });

  test('may have fallen silent before this operator led: it has never answered it', () => {
    const agents = withEntry(three.agents, 'demo-2', {
      uid: 'uid-of-demo-2',
      phase: 'unknown',
      segments: [],
      silentSince: silence.silentSince,
    });
    expect(endpoints({ ...three, agents })).toMatchObject({ 'demo-2': '' });
  });

  test('is none when its pod has become ready since: it was silent while it started', () => {
    const agents = withEntry(three.agents, 'demo-2', {
      uid: 'uid-of-demo-2',
      phase: 'unknown',
      segments: [],
      silentSince: silence.silentSince,
    });
    const readyAt = (ms: number) => ({ type: 'Ready', status: 'True', lastTransitionTime: new Date(ms).toISOString() });
    const since = (ms: number): Observed => ({
      ...three,
      agents,
      computePods: three.computePods.map((pod) =>
        pod.metadata.name === 'demo-2' ? { ...pod, status: { ...pod.status, conditions: [readyAt(ms)] } } : pod,
      ),
    });
    const cutOff = (observed: Observed): boolean[] => observed.computePods.map((pod) => isCutOff(observed, pod));
    expect(cutOff(since(NOW - 1_000))).toEqual([false, false, false]);
    expect(cutOff(since(NOW - SILENT_AGENT_MS))).toEqual([false, true, false]);
  });

  test('is none before it was asked', () => {
    const agents = new Map([...three.agents].filter(([name]) => name !== 'demo-2'));
    expect(endpoints({ ...three, agents })).toEqual(endpoints(three));
  });

  test('is none when its container was started since: that one has yet to answer', () => {
    const again = { name: 'main', ready: true, restartCount: 1, state: { running: { startedAt: new Date(NOW - 4_000).toISOString() } } };
    const silent = withAgents(three, ['demo-2', silence]);
    const computePods = silent.computePods.map((pod) => (pod.metadata.name === 'demo-2' ? running(pod, { container: again }) : pod));
    expect(endpoints({ ...silent, computePods })).toMatchObject({ 'demo-2': 'ro r all' });
  });
});

test('a writer that was overtaken in silence is not led to as a reader', () => {
  const after = withAgents(three, ['demo-1', silence], ['demo-2', agentReport({ uid: 'uid-of-demo-2', role: 'writer', epoch: 4 })]);
  expect(endpoints(after)).toEqual({ 'demo-1': '', 'demo-2': 'rw r all', 'demo-3': 'ro r all' });
});

test('the status says that it does not answer, and where reads go', () => {
  const ran = computeStatus(three, plan(three));
  const silent = withAgents({ ...three, cluster: cluster(3, ran) }, ['demo-2', silence]);
  const status = computeStatus(silent, plan(silent));
  expect(status.instances?.find(({ name }) => name === 'demo-2')).toMatchObject({ state: 'Lost', phase: 'Unreachable' });
  expect(status.conditions?.find(({ type }) => type === 'ReadersAvailable')).toMatchObject({
    status: 'False',
    reason: 'ReaderLost',
    message:
      '1 of 2 readers serve reads: demo-2 does not answer, as when its node node-zone-b is lost; it comes back by itself; demo-ro leads to demo-3',
  });
  expect(status.compute?.readOnly).toEqual(['demo-3']);
});

test('a lone writer that does not answer is said to be lost while storage answers, and stays in its Services', () => {
  const lone = healthy(cluster(1, { firstReadyAt: new Date(NOW - 600_000).toISOString() }));
  const silent = { ...withAgents(lone, ['demo-1', silence]), daemons: new Map([['demo-storage-1', daemonReport(1)]]) };
  expect(endpoints(silent)).toEqual({ 'demo-1': 'rw ro r all' });
  expect(computeStatus(silent, plan(silent)).conditions?.find(({ type }) => type === 'WriterAvailable')).toMatchObject({
    status: 'False',
    message: 'demo-1 does not answer, as when its node node-zone-a is lost; it comes back by itself',
  });
});
