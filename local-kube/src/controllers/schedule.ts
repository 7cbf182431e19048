import type { Affinity, Node, NodeSelectorTerm, Pod, PodAffinityTerm } from '../kinds.ts';
import { matchesExpression, matchesLabelSelector, matchesLabels } from '../store/selectors.ts';

/** Where a pod goes, or why it goes nowhere, in the words of kube-scheduler. */
export type Placement = { readonly node: string } | { readonly problem: string };

/**
 * Chooses a node: those that the pod may run on (ready, selector, affinity, anti-affinity, the zone of its disks), then
 * the best by preferences, then the one with the fewest pods, then by name. Pure.
 */
export function placePod(pod: Pod, nodes: readonly Node[], pods: readonly Pod[], boundNode?: string): Placement {
  const reasons = new Map<string, number>();
  const fitting: Node[] = [];
  for (const node of nodes) {
    const reason = unfitness(pod, node, nodes, pods, boundNode);
    if (reason === undefined) fitting.push(node);
    else reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (fitting.length === 0) {
    const told = [...reasons].map(([reason, count]) => `${count} ${reason}`).join(', ');
    return { problem: `0/${nodes.length} nodes are available: ${told}.` };
  }
  const load = (node: Node): number => pods.filter((other) => other.spec.nodeName === node.metadata.name).length;
  const ranked = fitting
    .map((node) => ({ node, score: preference(pod, node, nodes, pods), load: load(node) }))
    .toSorted((a, b) => b.score - a.score || a.load - b.load || (a.node.metadata.name < b.node.metadata.name ? -1 : 1));
  return { node: ranked[0]?.node.metadata.name ?? '' };
}

function unfitness(pod: Pod, node: Node, nodes: readonly Node[], pods: readonly Pod[], boundNode: string | undefined): string | undefined {
  if (node.spec.unschedulable === true) return 'node(s) were unschedulable';
  const taint = (node.spec.taints ?? []).find((one) => one.effect !== 'PreferNoSchedule' && !tolerates(pod, one.key, one.effect));
  if (taint !== undefined) return `node(s) had untolerated taint {${taint.key}: ${taint.value ?? ''}}`;
  if (!matchesNode(pod, node)) return "node(s) didn't match Pod's node affinity/selector";
  if (boundNode !== undefined && boundNode !== node.metadata.name) return 'node(s) had volume node affinity conflict';
  const { podAntiAffinity, podAffinity } = pod.spec.affinity ?? {};
  const against = podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  if (against.some((term) => hasPeer(pod, term, node, nodes, pods))) return "node(s) didn't match pod anti-affinity rules";
  const together = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  const first = (term: PodAffinityTerm): boolean =>
    matchesLabelSelector(term.labelSelector, pod.metadata.labels) && !pods.some((other) => isPeer(pod, term, other));
  return together.every((term) => hasPeer(pod, term, node, nodes, pods) || first(term))
    ? undefined
    : "node(s) didn't match pod affinity rules";
}

function tolerates(pod: Pod, key: string, effect: string): boolean {
  return (pod.spec.tolerations ?? []).some(
    (one) => (one.key === undefined || one.key === key) && (one.effect === undefined || one.effect === '' || one.effect === effect),
  );
}

function matchesNode(pod: Pod, node: Node): boolean {
  if (!matchesLabels(pod.spec.nodeSelector ?? {}, node.metadata.labels)) return false;
  const required = pod.spec.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

function matchesTerm(term: NodeSelectorTerm, node: Node): boolean {
  const expressions = (term.matchExpressions ?? []).every((one) => matchesExpression(one, node.metadata.labels ?? {}));
  return expressions && (term.matchFields ?? []).every((one) => matchesExpression(one, { 'metadata.name': node.metadata.name }));
}

function isPeer(pod: Pod, term: PodAffinityTerm, other: Pod): boolean {
  const namespaces = term.namespaces ?? [pod.metadata.namespace ?? 'default'];
  const ended = other.status?.phase === 'Succeeded' || other.status?.phase === 'Failed';
  return (
    !ended &&
    other.spec.nodeName !== undefined &&
    other.metadata.uid !== pod.metadata.uid &&
    namespaces.includes(other.metadata.namespace ?? 'default') &&
    matchesLabelSelector(term.labelSelector, other.metadata.labels)
  );
}

/** Is a pod that the term means in the same topology domain (zone, host) as the node? */
function hasPeer(pod: Pod, term: PodAffinityTerm, node: Node, nodes: readonly Node[], pods: readonly Pod[]): boolean {
  const domain = node.metadata.labels?.[term.topologyKey];
  if (domain === undefined) return false;
  const inDomain = new Set(nodes.filter((one) => one.metadata.labels?.[term.topologyKey] === domain).map((one) => one.metadata.name));
  return pods.some((other) => inDomain.has(other.spec.nodeName ?? '') && isPeer(pod, term, other));
}

function preference(pod: Pod, node: Node, nodes: readonly Node[], pods: readonly Pod[]): number {
  const affinity: Affinity = pod.spec.affinity ?? {};
  let score = 0;
  for (const { weight, preference: term } of affinity.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    if (matchesTerm(term, node)) score += weight;
  for (const { weight, podAffinityTerm: term } of affinity.podAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    if (hasPeer(pod, term, node, nodes, pods)) score += weight;
  for (const { weight, podAffinityTerm: term } of affinity.podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    if (hasPeer(pod, term, node, nodes, pods)) score -= weight;
  return score;
}
