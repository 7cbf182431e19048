import type { Manifest } from './chart.ts';

/** The parts of networking.k8s.io/v1 that the chart's policies use. */
interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
}
interface Peer {
  readonly podSelector?: LabelSelector;
  readonly namespaceSelector?: LabelSelector;
}
interface Rule {
  readonly ports?: readonly { readonly port: number; readonly protocol: string }[];
  readonly from?: readonly Peer[];
  readonly to?: readonly Peer[];
}
export interface NetworkPolicy extends Manifest {
  readonly spec: {
    readonly podSelector: LabelSelector;
    readonly policyTypes: readonly ('Ingress' | 'Egress')[];
    readonly ingress?: readonly Rule[];
    readonly egress?: readonly Rule[];
  };
}

/** A pod, as policies see it. */
export interface Endpoint {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Whether a TCP connection comes about, as a cluster's network decides: both ends must let it. */
export function admits(policies: readonly NetworkPolicy[], from: Endpoint, to: Endpoint, port: number): boolean {
  return oneWay(policies, 'Egress', from, to, port) && oneWay(policies, 'Ingress', to, from, port);
}

/** Without a policy for a direction everything may pass; with some, what one of them lets. */
function oneWay(policies: readonly NetworkPolicy[], type: 'Ingress' | 'Egress', pod: Endpoint, other: Endpoint, port: number): boolean {
  const about = policies.filter(
    ({ metadata, spec }) =>
      metadata.namespace === pod.namespace && spec.policyTypes.includes(type) && matches(spec.podSelector, pod.labels),
  );
  if (about.length === 0) return true;
  return about.some(({ metadata, spec }) =>
    ((type === 'Ingress' ? spec.ingress : spec.egress) ?? []).some((rule) => {
      const peers = type === 'Ingress' ? rule.from : rule.to;
      const portAllowed = rule.ports === undefined || rule.ports.some((one) => one.port === port && one.protocol === 'TCP');
      return portAllowed && (peers === undefined || peers.some((peer) => isPeer(peer, other, metadata.namespace ?? '')));
    }),
  );
}

function isPeer({ podSelector, namespaceSelector }: Peer, other: Endpoint, ownNamespace: string): boolean {
  const namespaceFits =
    namespaceSelector === undefined
      ? other.namespace === ownNamespace
      : matches(namespaceSelector, { 'kubernetes.io/metadata.name': other.namespace });
  return namespaceFits && (podSelector === undefined || matches(podSelector, other.labels));
}

function matches({ matchLabels = {} }: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}
