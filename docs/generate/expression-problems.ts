import { metricsReference } from './metrics-reference.ts';

/** What programs give each metric, by its name: the labels of the reference's tables. */
const LABELS = new Map(
  [...metricsReference().matchAll(/^\| `(aurora_\w+)` \| (\w+) \| ([^|]*) \|/gm)].map(([, name = '', kind = '', labels = '']) => [
    name,
    new Set([...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).concat(kind === 'histogram' ? 'le' : [])),
  ]),
);
/** What Prometheus and the PodMonitors give every series. */
const TARGET_LABELS = ['namespace', 'pod', 'kube_aurora_dev_cluster', 'kube_aurora_dev_component', 'kube_aurora_dev_role'];
/** Of PromQL. */
const NO_LABEL = new Set(['le']);

const documented = (name: string): string => (LABELS.has(name) ? name : name.replace(/_(bucket|sum|count)$/, ''));

/** What is wrong with an expression: metrics that nobody exports, and labels that they have not. */
export function expressionProblems(expr: string): string[] {
  const named = [...expr.matchAll(/(?<![\w"])(aurora_(?!dev_)\w+)(?:\{([^}]*)\})?/g)].map(([, name = '', selector = '']) => ({
    name: documented(name),
    selector,
  }));
  const has = (label: string): boolean => TARGET_LABELS.includes(label) || named.some(({ name }) => LABELS.get(name)?.has(label) === true);
  return [
    ...named.filter(({ name }) => !LABELS.has(name)).map(({ name }) => `${name} is exported by nobody`),
    ...named.flatMap(({ name, selector }) =>
      [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)]
        .filter(([, label = '']) => !TARGET_LABELS.includes(label) && LABELS.get(name)?.has(label) !== true)
        .map(([, label]) => `${name} has no label ${label}`),
    ),
    ...[...expr.matchAll(/\b(?:by|without) \(([^)]*)\)/g)]
      .flatMap(([, list = '']) => list.split(',').map((label) => label.trim()))
      .filter((label) => !has(label) && !NO_LABEL.has(label))
      .map((label) => `nothing in it has the label ${label}`),
  ];
}
