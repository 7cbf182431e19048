import { Quantity } from '../schema/quantity.ts';
import type { Cause } from '../schema/cause.ts';
import { arrayAt, jsonEqual, objectAt, type JsonObject, type KubeObject } from '../store/object.ts';
import type { Strategy } from './strategy.ts';

/** Keeps a claim that is deleted until no pod uses it. */
export const CLAIM_PROTECTION = 'kubernetes.io/pvc-protection';

/** Defaults of a claim's spec, in a claim or in a pod's template of one; a class is given to claims alone. */
export function defaultClaimSpec(spec: JsonObject): JsonObject {
  return { volumeMode: 'Filesystem', ...spec };
}

/** What a claim's spec must have; `field` is where it stands. */
export function claimSpecCauses(spec: JsonObject, field: string): Cause[] {
  const required = (name: string, what: string): Cause => ({
    reason: 'FieldValueRequired',
    field: `${field}.${name}`,
    message: `Required value${what}`,
  });
  return [
    ...(arrayAt(spec, 'accessModes').length > 0 ? [] : [required('accessModes', ': at least 1 access mode is required')]),
    ...(objectAt(spec, 'resources', 'requests')['storage'] === undefined ? [required('resources[storage]', '')] : []),
  ];
}

function prepareClaim(object: KubeObject, live: KubeObject | undefined): KubeObject {
  const { metadata } = object;
  const finalizers = [...new Set([...(metadata.finalizers ?? []), CLAIM_PROTECTION])];
  return {
    ...object,
    metadata: live === undefined ? { ...metadata, finalizers } : metadata,
    spec: defaultClaimSpec({ storageClassName: 'local', ...objectAt(object, 'spec') }),
    status: object['status'] ?? { phase: 'Pending' },
  };
}

function claimCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  const forbidden = (field: string, message: string): Cause => ({ reason: 'FieldValueForbidden', field, message: `Forbidden: ${message}` });
  const causes = claimSpecCauses(objectAt(object, 'spec'), 'spec');
  if (live === undefined) return causes;
  const fixed = (claim: KubeObject): JsonObject => ({ ...objectAt(claim, 'spec'), resources: undefined, volumeName: undefined });
  if (!jsonEqual(fixed(object), fixed(live)))
    causes.push(forbidden('spec', 'spec is immutable after creation except resources.requests for bound claims'));
  const storage = (quantities: JsonObject): Quantity | undefined => Quantity.parse(String(quantities['storage'] ?? ''));
  const asked = storage(objectAt(object, 'spec', 'resources', 'requests'));
  const has = storage(objectAt(live, 'status', 'capacity'));
  if (asked !== undefined && has !== undefined && asked.compareTo(has) < 0)
    causes.push(forbidden('spec.resources.requests.storage', 'field can not be less than status.capacity'));
  return causes;
}

/** PersistentVolumeClaims. */
export const claimStrategy: Strategy = { prepare: prepareClaim, causes: claimCauses };
