import { isObject, numberAt, stringAt, valueAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { labelSelectorText } from '../store/selectors.ts';
import { refuse } from './errors.ts';

/** Where a kind keeps what its scale subresource shows, as keys from the top of the object. */
export interface ScalePaths {
  readonly specReplicas: readonly string[];
  readonly statusReplicas: readonly string[];
  /** A selector as text or as a LabelSelector; absent when the kind has none. */
  readonly selector?: readonly string[] | undefined;
}

/** A kind, as far as its scale is concerned. */
export interface Scalable {
  readonly group: string;
  readonly plural: string;
  readonly scale: ScalePaths | undefined;
}

/** `.spec.replicas` → keys; CRDs may name only plain fields here. */
export function scalePath(text: string): string[] {
  return text.split('.').filter((key) => key !== '');
}

/** The `autoscaling/v1` Scale of an object. */
export function scaleOf(object: KubeObject, resource: Scalable): JsonObject {
  const paths = resource.scale;
  if (paths === undefined) throw refuse.noSuchPath();
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = paths.selector === undefined ? undefined : valueAt(object, ...paths.selector);
  const text = isObject(selector) ? labelSelectorText(selector) : selector;
  return {
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: { replicas: numberAt(object, ...paths.specReplicas) ?? 0 },
    status: { replicas: numberAt(object, ...paths.statusReplicas) ?? 0, ...(typeof text === 'string' ? { selector: text } : {}) },
  };
}

/** The object with the number of replicas that a Scale asks for; an unusable number names its field. */
export function withScale(object: KubeObject, scale: Json, resource: Scalable): KubeObject {
  const paths = resource.scale;
  if (paths === undefined) throw refuse.noSuchPath();
  const replicas = numberAt(scale, 'spec', 'replicas') ?? 0;
  if (!Number.isInteger(replicas) || replicas < 0)
    throw refuse.invalid('autoscaling', 'Scale', object.metadata.name, [
      {
        reason: 'FieldValueInvalid',
        field: 'spec.replicas',
        message: `Invalid value: ${replicas}: must be greater than or equal to 0`,
      },
    ]);
  const version = stringAt(scale, 'metadata', 'resourceVersion');
  if (version !== undefined && version !== '' && version !== object.metadata.resourceVersion)
    throw refuse.stale(resource.group, resource.plural, object.metadata.name);
  return withValue(object, paths.specReplicas, replicas) as KubeObject;
}

function withValue(target: JsonObject, [key, ...rest]: readonly string[], value: Json): JsonObject {
  if (key === undefined) return target;
  const inner = target[key];
  return { ...target, [key]: rest.length === 0 ? value : withValue(isObject(inner) ? inner : {}, rest, value) };
}
