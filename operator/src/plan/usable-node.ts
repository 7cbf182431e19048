import type { NodeExpression, NodeSelectorTerm, PlacementSpec, Toleration } from '../api/types.ts';
import { isNodeReady, type Labels, type Node } from '../kube/objects.ts';

/** Their nodes are not ready or cordoned, which is looked at by itself: taints follow that a little later. */
const FOLLOWING_TAINTS: ReadonlySet<string> = new Set(
  ['not-ready', 'unreachable', 'unschedulable'].map((state) => `node.kubernetes.io/${state}`),
);

/** Could a pod of this placement go to the node, as far as labels and taints tell? The scheduler decides; this is for choosing a zone. */
export function isUsableNode(node: Node, { nodeSelector = {}, affinity, tolerations = [] }: PlacementSpec): boolean {
  if (!isNodeReady(node) || node.spec?.unschedulable === true) return false;
  const labels = node.metadata.labels ?? {};
  if (!Object.entries(nodeSelector).every(([key, value]) => labels[key] === value)) return false;
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  if (terms?.some((term) => isMet(term, node)) === false) return false;
  return (node.spec?.taints ?? []).every(
    (taint) => taint.effect === 'PreferNoSchedule' || FOLLOWING_TAINTS.has(taint.key) || tolerations.some((one) => isTolerated(taint, one)),
  );
}

function isMet({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, { metadata }: Node): boolean {
  return (
    matchExpressions.every((one) => holds(one, metadata.labels ?? {})) &&
    matchFields.every((one) => holds(one, { 'metadata.name': metadata.name }))
  );
}

function holds({ key, operator, values = [] }: NodeExpression, labels: Labels): boolean {
  const value = labels[key];
  switch (operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return Number(value) > Number(values[0]);
    case 'Lt':
      return Number(value) < Number(values[0]);
  }
}

function isTolerated(
  taint: { readonly key: string; readonly value?: string; readonly effect: string },
  { key, operator = 'Equal', value = '', effect }: Toleration,
): boolean {
  if (effect !== undefined && effect !== taint.effect) return false;
  if (key !== undefined && key !== '' && key !== taint.key) return false;
  return operator === 'Exists' || value === (taint.value ?? '');
}
