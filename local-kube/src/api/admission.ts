import { celOf, celValue } from '../schema/cel-rules.ts';
import { arrayAt, isObject, objectAt, stringAt, type JsonObject, type KubeObject } from '../store/object.ts';
import type { Store } from '../store/store.ts';
import { refuse } from './errors.ts';
import type { Resource } from './resources.ts';

const POLICIES = 'admissionregistration.k8s.io/validatingadmissionpolicies';
const BINDINGS = 'admissionregistration.k8s.io/validatingadmissionpolicybindings';

const program = celOf('object', 'oldObject', 'namespaceObject', 'request');

/**
 * Asks the ValidatingAdmissionPolicies whether a client may delete an object; throws what it is to be told. Of policies there are their resource
 * rules, their validations, and bindings that deny: no parameters, match conditions, variables or selectors, and deletions alone.
 * https://kubernetes.io/docs/reference/access-authn-authz/validating-admission-policy/
 */
export function admitRemoval(store: Store, resource: Resource, live: KubeObject): void {
  for (const binding of store.list(BINDINGS)) {
    const spec = objectAt(binding, 'spec');
    const policy = store.get(POLICIES, undefined, stringAt(spec, 'policyName') ?? '');
    if (policy === undefined || !arrayAt(spec, 'validationActions').includes('Deny') || !isMeant(policy, resource)) continue;
    const { namespace } = live.metadata;
    const variables = {
      object: null,
      oldObject: celValue(live, undefined),
      namespaceObject: namespace === undefined ? null : celValue(store.get('namespaces', undefined, namespace) ?? null, undefined),
      request: { operation: 'DELETE', name: live.metadata.name, ...(namespace === undefined ? {} : { namespace }) },
    };
    for (const validation of arrayAt(objectAt(policy, 'spec'), 'validations').filter(isObject)) {
      const why = objection(validation, variables);
      if (why === undefined) continue;
      const told = `ValidatingAdmissionPolicy '${policy.metadata.name}' with binding '${binding.metadata.name}' denied request: ${why}`;
      throw refuse.forbidden(resource.group, resource.plural, live.metadata.name, told);
    }
  }
}

function isMeant(policy: KubeObject, resource: Resource): boolean {
  const has = (rule: JsonObject, field: string, value: string): boolean => arrayAt(rule, field).some((one) => one === '*' || one === value);
  return arrayAt(objectAt(objectAt(policy, 'spec'), 'matchConstraints'), 'resourceRules')
    .filter(isObject)
    .some(
      (rule) =>
        has(rule, 'apiGroups', resource.group) &&
        has(rule, 'apiVersions', resource.version) &&
        has(rule, 'resources', resource.plural) &&
        has(rule, 'operations', 'DELETE'),
    );
}

/** Why it may not be; a validation that cannot be judged counts as one that failed, as with failurePolicy Fail. */
function objection(validation: JsonObject, variables: Record<string, unknown>): string | undefined {
  const expression = stringAt(validation, 'expression') ?? 'false';
  const message = stringAt(validation, 'message') ?? `failed expression: ${expression}`;
  try {
    if (program(expression)(variables) === true) return undefined;
    const made: unknown = program(stringAt(validation, 'messageExpression') ?? "''")(variables);
    return typeof made === 'string' && made !== '' ? made : message;
  } catch (error) {
    return `expression '${expression}' resulted in error: ${error instanceof Error ? error.message : String(error)}`;
  }
}
