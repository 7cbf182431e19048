import { ZONE_TOPOLOGY } from './names.ts';
import type { Rule, Schema } from './open-api.ts';

/** Schemas of where pods run, with the names that a pod's own spec has for it: what stands in a Deployment can be written here as it is. */

const LIST_MAX = 32;

const ZONES_ELSEWHERE = `the operator keeps pods in their zones: name those in spec.storage.zones, and leave ${ZONE_TOPOLOGY} out`;

const text = (description: string, maxLength: number, pattern?: string): Schema => ({
  type: 'string',
  description,
  maxLength,
  ...(pattern === undefined ? {} : { pattern }),
});

const LABEL_KEY_LENGTH_MAX = 317;
const LABEL_VALUE_LENGTH_MAX = 63;
export const LABEL_VALUE_PATTERN = '^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$';

function list(description: string, items: Schema, maxItems = LIST_MAX): Schema {
  return { type: 'array', description, maxItems, items, 'x-kubernetes-list-type': 'atomic' };
}

function expressions(description: string, operators: readonly string[], rules: readonly Rule[] = []): Schema {
  return list(description, {
    type: 'object',
    required: ['key', 'operator'],
    properties: {
      key: text('Name of the label.', LABEL_KEY_LENGTH_MAX),
      operator: { type: 'string', description: 'How the label is compared with the values.', enum: operators },
      values: list('What it is compared with; none for Exists and DoesNotExist.', text('A value.', LABEL_VALUE_LENGTH_MAX)),
    },
    ...(rules.length === 0 ? {} : { 'x-kubernetes-validations': rules }),
  });
}

const NODE_OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist', 'Gt', 'Lt'];

const NUMBER_OF_VALUES: Rule = {
  rule: "self.operator in ['Exists', 'DoesNotExist'] ? (!has(self.values) || size(self.values) == 0) : self.operator in ['Gt', 'Lt'] ? (has(self.values) && size(self.values) == 1) : (has(self.values) && size(self.values) > 0)",
  message: 'In and NotIn take values, Gt and Lt one, Exists and DoesNotExist none',
};

const nodeSelectorTerm = (required: boolean): Schema => ({
  type: 'object',
  properties: {
    matchExpressions: expressions(
      'By labels of nodes; all must hold.',
      NODE_OPERATORS,
      required ? [NUMBER_OF_VALUES, { rule: `self.key != '${ZONE_TOPOLOGY}'`, message: ZONES_ELSEWHERE }] : [],
    ),
    matchFields: expressions('By fields of nodes; all must hold.', NODE_OPERATORS, required ? [NUMBER_OF_VALUES] : []),
  },
  ...(required
    ? {
        'x-kubernetes-validations': [
          {
            rule: '(has(self.matchExpressions) && size(self.matchExpressions) > 0) || (has(self.matchFields) && size(self.matchFields) > 0)',
            message: 'no node would do for an empty term: give it an expression, or leave it out',
          },
        ],
      }
    : {}),
});

const weight: Schema = { type: 'integer', format: 'int32', description: 'From 1 to 100: the more, the rather.', minimum: 1, maximum: 100 };

const labelSelector = (description: string): Schema => ({
  type: 'object',
  description,
  properties: {
    matchLabels: {
      type: 'object',
      description: 'Labels that must be there with these values.',
      maxProperties: LIST_MAX,
      additionalProperties: text('A value.', LABEL_VALUE_LENGTH_MAX),
    },
    matchExpressions: expressions('All must hold.', ['In', 'NotIn', 'Exists', 'DoesNotExist']),
  },
});

const podAffinityTerm: Schema = {
  type: 'object',
  description: 'Pods that are meant, and what counts as one place.',
  required: ['topologyKey'],
  properties: {
    labelSelector: labelSelector('Pods by their labels.'),
    topologyKey: text('Label of nodes: those with the same value are one place.', LABEL_KEY_LENGTH_MAX),
    namespaces: list("Namespaces of those pods; the cluster's own when absent.", text('A namespace.', 63)),
    namespaceSelector: labelSelector('The same by labels of namespaces.'),
  },
};

function podTerms(what: string): Schema {
  return {
    type: 'object',
    description: `Pods ${what}.`,
    properties: {
      requiredDuringSchedulingIgnoredDuringExecution: list('All must hold.', podAffinityTerm),
      preferredDuringSchedulingIgnoredDuringExecution: list('Rather so.', {
        type: 'object',
        required: ['weight', 'podAffinityTerm'],
        properties: { weight, podAffinityTerm },
      }),
    },
  };
}

const affinity: Schema = {
  type: 'object',
  description:
    "As a pod has it. Each pod stays in its zone all the same: every term for nodes is joined with the zone's, and to what keeps pods apart ours is added, to rather have them on different nodes.",
  properties: {
    nodeAffinity: {
      type: 'object',
      description: 'Nodes that pods need or would rather have.',
      properties: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          type: 'object',
          description: 'One of the terms must hold.',
          required: ['nodeSelectorTerms'],
          properties: { nodeSelectorTerms: { ...list('Terms, one of which must hold.', nodeSelectorTerm(true), 16), minItems: 1 } },
        },
        preferredDuringSchedulingIgnoredDuringExecution: list('Rather so.', {
          type: 'object',
          required: ['weight', 'preference'],
          properties: { weight, preference: { ...nodeSelectorTerm(false), description: 'Nodes that are meant.' } },
        }),
      },
    },
    podAffinity: podTerms('to be near'),
    podAntiAffinity: podTerms('to be away from'),
  },
};

const tolerations: Schema = list('Taints of nodes that pods put up with, as a pod has them.', {
  type: 'object',
  properties: {
    key: text('Name of the taint; all when absent.', LABEL_KEY_LENGTH_MAX),
    operator: { type: 'string', description: 'Equal when absent.', enum: ['Exists', 'Equal'] },
    value: text('Value of the taint, with Equal.', LABEL_VALUE_LENGTH_MAX),
    effect: { type: 'string', description: 'All when absent.', enum: ['NoSchedule', 'PreferNoSchedule', 'NoExecute'] },
    tolerationSeconds: { type: 'integer', format: 'int64', description: 'With NoExecute: for so long; for ever when absent.' },
  },
  'x-kubernetes-validations': [
    {
      rule: "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
      message: 'operator must be Exists where there is no key: name the key, or use Exists',
    },
    {
      rule: "!has(self.operator) || self.operator != 'Exists' || !has(self.value) || self.value == ''",
      message: 'a value has no meaning with operator Exists: leave it out',
    },
  ],
});

const topologySpreadConstraints: Schema = list(
  'How evenly pods spread over places within their zone (racks, say), as a pod has it. Zones are not for this: the operator spreads over them.',
  {
    type: 'object',
    required: ['maxSkew', 'topologyKey', 'whenUnsatisfiable'],
    properties: {
      maxSkew: { type: 'integer', format: 'int32', description: 'By how many pods places may differ.', minimum: 1 },
      topologyKey: {
        ...text('Label of nodes: those with the same value are one place.', LABEL_KEY_LENGTH_MAX),
        'x-kubernetes-validations': [{ rule: `self != '${ZONE_TOPOLOGY}'`, message: ZONES_ELSEWHERE }],
      },
      whenUnsatisfiable: { type: 'string', description: 'What to do where it cannot be.', enum: ['DoNotSchedule', 'ScheduleAnyway'] },
      labelSelector: labelSelector("Pods that are counted; the cluster's own of the same kind when absent."),
      minDomains: { type: 'integer', format: 'int32', description: 'With DoNotSchedule: places that there must be.', minimum: 1 },
      nodeAffinityPolicy: { type: 'string', description: 'Whether nodes that affinity rules out count.', enum: ['Honor', 'Ignore'] },
      nodeTaintsPolicy: { type: 'string', description: 'Whether nodes that taints rule out count.', enum: ['Honor', 'Ignore'] },
    },
  },
  8,
);

/** Fields of spec.storage and of spec.compute alike. */
export const placementProperties: Readonly<Record<string, Schema>> = {
  nodeSelector: {
    type: 'object',
    description: 'Labels that a node must carry. Zones are named in spec.storage.zones and not here.',
    maxProperties: LIST_MAX,
    additionalProperties: text('A value.', LABEL_VALUE_LENGTH_MAX, LABEL_VALUE_PATTERN),
    'x-kubernetes-validations': [{ rule: `!('${ZONE_TOPOLOGY}' in self)`, message: ZONES_ELSEWHERE }],
  },
  tolerations,
  affinity,
  topologySpreadConstraints,
  priorityClassName: text('PriorityClass of the pods.', 253, '^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$'),
};
