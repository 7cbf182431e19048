import { ANNOTATION_LENGTH_MAX, METADATA_ENTRIES_MAX } from './metadata-schema.ts';
import { isReservedKey, ZONE_TOPOLOGY } from './names.ts';
import type { AuroraClusterSpec, Metadata, PlacementSpec } from './types.ts';

/** What is wrong with where pods are to run and with what objects are to carry: the field, and what would be right. */
type Problems = Generator<readonly [string, string]>;

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** As an API server takes keys of labels and of annotations: `name` or `domain/name`. */
function isKey(key: string): boolean {
  const parts = key.split('/');
  const [prefix, name] = parts.length === 1 ? [undefined, key] : parts;
  return parts.length <= 2 && NAME.test(name ?? '') && (prefix === undefined || (prefix.length <= 253 && PREFIX.test(prefix)));
}

const isLabelValue = (value: string): boolean => value === '' || NAME.test(value);

export function* placementProblems(spec: AuroraClusterSpec): Problems {
  yield* podProblems('spec.storage', spec.storage);
  yield* podProblems('spec.compute', spec.compute);
  yield* metadataProblems('spec.inheritedMetadata', spec.inheritedMetadata);
  for (const [name, service] of Object.entries(spec.services ?? {})) {
    yield* metadataProblems(`spec.services.${name}`, service);
    if (service?.loadBalancerClass !== undefined && service.type !== 'LoadBalancer')
      yield [`spec.services.${name}.loadBalancerClass`, 'needs type: LoadBalancer; set it, or leave the class out'];
  }
}

const ZONES_ELSEWHERE = `names zones, which are kept by the operator; name them in spec.storage.zones, and leave ${ZONE_TOPOLOGY} out here`;

function* podProblems(
  field: string,
  { nodeSelector = {}, tolerations = [], affinity, topologySpreadConstraints = [] }: PlacementSpec,
): Problems {
  for (const [key, value] of Object.entries(nodeSelector)) {
    if (key === ZONE_TOPOLOGY) yield [`${field}.nodeSelector`, ZONES_ELSEWHERE];
    else if (!isKey(key)) yield [`${field}.nodeSelector`, `'${key}' is no name of a label; use for example disk, or example.com/disk`];
    else if (!isLabelValue(value))
      yield [`${field}.nodeSelector.${key}`, `'${value}' is no value of a label; use at most 63 letters, digits, '-', '_' and '.'`];
  }
  for (const [index, { key = '', operator = 'Equal', value = '' }] of tolerations.entries()) {
    const at = `${field}.tolerations[${index}]`;
    if (key === '' && operator !== 'Exists') yield [`${at}.operator`, 'must be Exists where there is no key; name the key, or use Exists'];
    if (operator === 'Exists' && value !== '') yield [`${at}.value`, `'${value}' has no meaning with operator Exists; leave it out`];
  }
  const terms = affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const required = `${field}.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms`;
  if (terms?.length === 0) yield [required, 'is empty, and no node would do; name a term, or leave it out'];
  for (const [index, { matchExpressions = [], matchFields = [] }] of (terms ?? []).entries()) {
    if (matchExpressions.length + matchFields.length === 0)
      yield [`${required}[${index}]`, 'is empty, and no node would do for it; give it an expression, or leave it out'];
    if (matchExpressions.some(({ key }) => key === ZONE_TOPOLOGY)) yield [`${required}[${index}]`, ZONES_ELSEWHERE];
    for (const { key, operator, values = [] } of [...matchExpressions, ...matchFields]) {
      const [least, most] = VALUES[operator] ?? [0, Infinity];
      if (values.length < least || values.length > most)
        yield [
          `${required}[${index}]`,
          `${key}: ${operator} takes ${least === most ? `${least === 0 ? 'no values' : 'one value'}` : 'at least one value'}`,
        ];
    }
  }
  for (const [index, { topologyKey }] of topologySpreadConstraints.entries()) {
    if (topologyKey === ZONE_TOPOLOGY) yield [`${field}.topologySpreadConstraints[${index}].topologyKey`, ZONES_ELSEWHERE];
  }
}

/** How many values an operator takes: at least, at most. */
const VALUES: Readonly<Record<string, readonly [number, number]>> = {
  In: [1, Infinity],
  NotIn: [1, Infinity],
  Exists: [0, 0],
  DoesNotExist: [0, 0],
  Gt: [1, 1],
  Lt: [1, 1],
};

function* metadataProblems(field: string, metadata: Metadata | undefined): Problems {
  const { labels = {}, annotations = {} } = metadata ?? {};
  for (const [kind, entries] of Object.entries({ labels, annotations })) {
    const at = `${field}.${kind}`;
    if (Object.keys(entries).length > METADATA_ENTRIES_MAX) yield [at, `are more than ${METADATA_ENTRIES_MAX}; take some out`];
    for (const [key, value] of Object.entries(entries)) {
      if (isReservedKey(key)) yield [`${at}.${key}`, "is the operator's own, which finds objects by it; choose another name"];
      else if (!isKey(key)) yield [at, `'${key}' is no name that Kubernetes takes; use for example team, or example.com/team`];
      else if (kind === 'labels' && !isLabelValue(value))
        yield [`${at}.${key}`, `'${value}' is no value of a label; use at most 63 letters, digits, '-', '_' and '.', or an annotation`];
      else if (value.length > ANNOTATION_LENGTH_MAX)
        yield [`${at}.${key}`, `is longer than ${ANNOTATION_LENGTH_MAX} characters; shorten it`];
    }
  }
}
