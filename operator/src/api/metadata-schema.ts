import type { Schema } from './open-api.ts';
import { LABEL_VALUE_PATTERN } from './placement-schema.ts';

/** Schemas of labels and annotations that a manifest hands on to what the operator makes. */

export const METADATA_ENTRIES_MAX = 32;
export const ANNOTATION_LENGTH_MAX = 16_384;

/**
 * Ours cannot be set from outside: the operator finds, counts and selects by them. By names and beginnings alone, since an API server
 * reckons with keys of any length and bounds what a rule may cost; the operator refuses its whole domain.
 */
const NOT_OURS =
  "self.all(key, !key.startsWith('kube-aurora.dev/') && !key.startsWith('endpoint.kube-aurora.dev/') && !(key in ['app.kubernetes.io/managed-by', 'app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/component']))";

function map(description: string, values: { readonly maxLength: number; readonly pattern?: string }): Schema {
  return {
    type: 'object',
    description,
    maxProperties: METADATA_ENTRIES_MAX,
    additionalProperties: { type: 'string', ...values },
    'x-kubernetes-validations': [{ rule: NOT_OURS, message: "the operator's own names cannot be set: choose other ones" }],
  };
}

/** `labels` and `annotations`, as properties. */
export function metadataProperties(of: string): Readonly<Record<string, Schema>> {
  return {
    labels: map(`Labels of ${of}.`, { maxLength: 63, pattern: LABEL_VALUE_PATTERN }),
    annotations: map(`Annotations of ${of}.`, { maxLength: ANNOTATION_LENGTH_MAX }),
  };
}

export const inheritedMetadata: Schema = {
  type: 'object',
  description:
    'Labels and annotations for everything that the operator makes for this cluster, beside its own. A change reaches what is there, and replaces no pod.',
  properties: metadataProperties('all objects'),
};

function service(which: string): Schema {
  return {
    type: 'object',
    description: `What is said of the Service ${which}.`,
    properties: {
      ...metadataProperties('this Service, beside inherited ones'),
      type: {
        type: 'string',
        description: 'LoadBalancer has the cloud make one, as annotations tell it. ClusterIP when absent.',
        enum: ['ClusterIP', 'LoadBalancer'],
      },
      loadBalancerClass: {
        type: 'string',
        description: 'Which load balancer, with type LoadBalancer. Kubernetes lets it change together with the type alone.',
        minLength: 1,
        maxLength: 316,
      },
    },
    'x-kubernetes-validations': [
      {
        rule: "!has(self.loadBalancerClass) || (has(self.type) && self.type == 'LoadBalancer')",
        message: 'loadBalancerClass needs type: LoadBalancer',
      },
    ],
  };
}

export const services: Schema = {
  type: 'object',
  description: 'Labels, annotations and types of the Services that clients connect to.',
  properties: { readWrite: service('NAME-rw'), readOnly: service('NAME-ro'), read: service('NAME-r') },
};
