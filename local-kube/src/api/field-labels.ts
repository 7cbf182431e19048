import { stringAt, valueAt, type Json, type KubeObject } from '../store/object.ts';
import { fieldText, SelectorError } from '../store/selectors.ts';

/**
 * Fields that `--field-selector` may name: each built-in kind has its own short list, everything else has its name and
 * namespace. https://kubernetes.io/docs/concepts/overview/working-with-objects/field-selectors/
 */
const COMMON = ['metadata.name', 'metadata.namespace'];
const INVOLVED = ['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'];
const FIELDS: { readonly [groupAndPlural: string]: readonly string[] } = {
  '/pods': [
    ...COMMON,
    'spec.nodeName',
    'spec.restartPolicy',
    'spec.schedulerName',
    'spec.serviceAccountName',
    'spec.hostNetwork',
    'status.phase',
    'status.podIP',
    'status.podIPs',
    'status.nominatedNodeName',
  ],
  '/nodes': ['metadata.name', 'spec.unschedulable'],
  '/namespaces': ['metadata.name', 'status.phase'],
  '/secrets': [...COMMON, 'type'],
  '/services': [...COMMON, 'spec.clusterIP', 'spec.type'],
  '/events': [...COMMON, ...INVOLVED.map((field) => `involvedObject.${field}`), 'reason', 'reportingComponent', 'source', 'type'],
  'events.k8s.io/events': [...COMMON, ...INVOLVED.map((field) => `regarding.${field}`), 'reason', 'reportingController', 'type'],
  'apps/replicasets': [...COMMON, 'status.replicas'],
};

export function selectableFieldsOf(group: string, plural: string): readonly string[] {
  return FIELDS[`${group}/${plural}`] ?? COMMON;
}

/** Those of a CRD's version: name and namespace, and what it declares (`.spec.color`). */
export function customFields(namespaced: boolean, declared: readonly Json[]): string[] {
  const own = declared.map((one) => (stringAt(one, 'jsonPath') ?? '').replace(/^\./, ''));
  return ['metadata.name', ...(namespaced ? ['metadata.namespace'] : []), ...own];
}

/** Refuses a field that the kind cannot be selected by, in the API server's words. */
export function checkField(
  { group, plural, custom, selectableFields }: { group: string; plural: string; custom: boolean; selectableFields: readonly string[] },
  field: string,
): void {
  if (selectableFields.includes(field)) return;
  throw new SelectorError(
    custom || FIELDS[`${group}/${plural}`] !== undefined
      ? `field label not supported: ${field}`
      : `"${field}" is not a known field selector: only "metadata.name", "metadata.namespace"`,
  );
}

/** The text of a selectable field. A few are not what stands at their path. */
export function selectedText(object: KubeObject, field: string): string {
  switch (field) {
    case 'spec.unschedulable':
    case 'spec.hostNetwork':
      return String(valueAt(object, ...field.split('.')) === true);
    case 'source':
      return stringAt(object, 'source', 'component') ?? fieldText(object, 'reportingComponent');
    default:
      return fieldText(object, field);
  }
}
