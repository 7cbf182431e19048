import type { Cause } from '../schema/cause.ts';
import { ruleProblem } from '../schema/cel-rules.ts';
import type { StrategyContext } from './strategy.ts';
import { arrayAt, isObject, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';

export const CRD_CLEANUP_FINALIZER = 'customresourcecleanup.apiextensions.k8s.io';

/** Names that follow from others, and the status that says it is served: local-kube serves a definition at once. */
export function prepareCustomResourceDefinition(object: KubeObject, live: KubeObject | undefined, context: StrategyContext): KubeObject {
  const spec = objectAt(object, 'spec');
  const given = objectAt(spec, 'names');
  const kind = stringAt(given, 'kind') ?? '';
  const names: JsonObject = { singular: kind.toLowerCase(), listKind: `${kind}List`, ...given };
  const versions = arrayAt(spec, 'versions');
  const stored = versions
    .filter((version) => objectAt(version)['storage'] === true)
    .map((version): Json => stringAt(version, 'name') ?? '');
  const before = objectAt(live, 'status');
  const condition = (type: string, reason: string, message: string): JsonObject => ({
    type,
    status: 'True',
    lastTransitionTime: context.nowIso,
    reason,
    message,
  });
  return {
    ...object,
    metadata: {
      ...object.metadata,
      ...(live === undefined ? { finalizers: [...new Set([...(object.metadata.finalizers ?? []), CRD_CLEANUP_FINALIZER])] } : {}),
    },
    spec: { conversion: { strategy: 'None' }, ...spec, names },
    status: {
      acceptedNames: names,
      conditions: before['conditions'] ?? [
        condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
        condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
      ],
      storedVersions: stored,
    },
  };
}

/** https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/ */
export function customResourceCauses(object: KubeObject): Cause[] {
  const causes: Cause[] = [];
  const spec = objectAt(object, 'spec');
  const name = `${stringAt(spec, 'names', 'plural') ?? ''}.${stringAt(spec, 'group') ?? ''}`;
  if (object.metadata.name !== name)
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'metadata.name',
      message: `Invalid value: "${object.metadata.name}": must be spec.names.plural+"."+spec.group (${name})`,
    });
  const scope = stringAt(spec, 'scope');
  if (scope !== 'Namespaced' && scope !== 'Cluster')
    causes.push({
      reason: 'FieldValueNotSupported',
      field: 'spec.scope',
      message: `Unsupported value: ${JSON.stringify(scope ?? '')}: supported values: "Cluster", "Namespaced"`,
    });
  const versions = arrayAt(spec, 'versions');
  const storing = versions.filter((version) => objectAt(version)['storage'] === true).length;
  if (storing !== 1)
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'spec.versions',
      message: 'Invalid value: must have exactly one version marked as storage version',
    });
  versions.forEach((version, index) => {
    const schema = objectAt(version, 'schema', 'openAPIV3Schema');
    const at = `spec.versions[${index}].schema.openAPIV3Schema`;
    if (Object.keys(schema).length === 0)
      causes.push({ reason: 'FieldValueRequired', field: at, message: 'Required value: schemas are required' });
    else causes.push(...structuralCauses(schema, at));
  });
  return causes;
}

/** A structural schema says the type of everything, so that unknown fields can be told. */
function structuralCauses(schema: JsonObject, path: string): Cause[] {
  const causes: Cause[] = [];
  const free = schema['x-kubernetes-int-or-string'] === true || schema['x-kubernetes-preserve-unknown-fields'] === true;
  if (typeof schema['type'] !== 'string' && !free)
    causes.push({
      reason: 'FieldValueRequired',
      field: `${path}.type`,
      message: 'Required value: must not be empty for specified object fields',
    });
  arrayAt(schema, 'x-kubernetes-validations').forEach((rule, index) => {
    const expression = stringAt(rule, 'rule') ?? '';
    const problem = ruleProblem(expression);
    if (problem !== undefined)
      causes.push({
        reason: 'FieldValueInvalid',
        field: `${path}.x-kubernetes-validations[${index}].rule`,
        message: `Invalid value: ${JSON.stringify(expression)}: compilation failed: ${problem}`,
      });
  });
  for (const [key, field] of Object.entries(objectAt(schema, 'properties'))) {
    if (isObject(field)) causes.push(...structuralCauses(field, `${path}.properties[${key}]`));
  }
  if (isObject(schema['items'])) causes.push(...structuralCauses(schema['items'], `${path}.items`));
  else if (schema['type'] === 'array')
    causes.push({ reason: 'FieldValueRequired', field: `${path}.items`, message: 'Required value: must be specified' });
  if (isObject(schema['additionalProperties']))
    causes.push(...structuralCauses(schema['additionalProperties'], `${path}.additionalProperties`));
  return causes;
}
