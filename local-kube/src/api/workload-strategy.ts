import { isObject, jsonEqual, numberAt, objectAt, stringAt, type JsonObject, type KubeObject } from '../store/object.ts';
import { matchesLabelSelector } from '../store/selectors.ts';
import type { Cause } from '../schema/cause.ts';
import { defaultPod, podUpdateCauses } from './pod-strategy.ts';

/** The pod template of a Deployment or ReplicaSet as a pod, for what pods are defaulted and checked by. */
function templatePod(object: KubeObject): KubeObject {
  const template = objectAt(object, 'spec', 'template');
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name: '' }, spec: objectAt(template, 'spec') };
}

function withTemplate(object: KubeObject, defaults: JsonObject): KubeObject {
  const spec: JsonObject = { ...defaults, ...objectAt(object, 'spec') };
  const template = objectAt(spec, 'template');
  const { enableServiceLinks: _links, ...pod } = objectAt(defaultPod(templatePod(object)), 'spec');
  // What a template does not say of the account and links is left to the pods that are made from it.
  const { enableServiceLinks, serviceAccountName } = objectAt(template, 'spec');
  const own: JsonObject = { ...pod, serviceAccountName, ...(enableServiceLinks === undefined ? {} : { enableServiceLinks }) };
  if (serviceAccountName !== undefined) own['serviceAccount'] = serviceAccountName;
  return { ...object, spec: { ...spec, template: { ...template, metadata: objectAt(template, 'metadata'), spec: own } } };
}

/** https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/ */
export function prepareDeployment(object: KubeObject): KubeObject {
  const done = withTemplate(object, { replicas: 1, revisionHistoryLimit: 10, progressDeadlineSeconds: 600 });
  const spec = objectAt(done, 'spec');
  const asked = objectAt(spec, 'strategy');
  const type = stringAt(asked, 'type') ?? 'RollingUpdate';
  const rollingUpdate = { maxUnavailable: '25%', maxSurge: '25%', ...objectAt(asked, 'rollingUpdate') };
  const strategy: JsonObject = type === 'RollingUpdate' ? { ...asked, type, rollingUpdate } : { ...asked, type };
  return { ...done, spec: { ...spec, strategy } };
}

export function prepareReplicaSet(object: KubeObject): KubeObject {
  const done = withTemplate(object, { replicas: 1 });
  return { ...done, status: object['status'] ?? { replicas: 0 } };
}

/** What both kinds must have: pods that they themselves select. */
export function workloadCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  const causes: Cause[] = [];
  const spec = objectAt(object, 'spec');
  const selector = spec['selector'];
  const given = objectAt(spec, 'template', 'metadata')['labels'];
  const labels = objectAt(given) as { [key: string]: string };
  if ((numberAt(spec, 'replicas') ?? 0) < 0)
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'spec.replicas',
      message: `Invalid value: ${numberAt(spec, 'replicas') ?? 0}: must be greater than or equal to 0`,
    });
  if (isObject(selector) && Object.keys(selector).length === 0)
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'spec.selector',
      message: `Invalid value: {}: empty selector is invalid for ${object.kind.toLowerCase()}`,
    });
  else if (!isObject(selector) || !matchesLabelSelector(selector, labels))
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'spec.template.metadata.labels',
      message: `Invalid value: ${JSON.stringify(given ?? null)}: \`selector\` does not match template \`labels\``,
    });
  if (live !== undefined && !jsonEqual(selector, objectAt(live, 'spec')['selector']))
    causes.push({
      reason: 'FieldValueInvalid',
      field: 'spec.selector',
      message: `Invalid value: ${JSON.stringify(selector)}: field is immutable`,
    });
  const policy = stringAt(spec, 'template', 'spec', 'restartPolicy');
  if (policy !== undefined && policy !== 'Always')
    causes.push({
      reason: 'FieldValueNotSupported',
      field: 'spec.template.spec.restartPolicy',
      message: `Unsupported value: ${JSON.stringify(policy)}: supported values: "Always"`,
    });
  if (stringAt(spec, 'strategy', 'type') === 'Recreate' && objectAt(spec, 'strategy')['rollingUpdate'] !== undefined)
    causes.push({
      reason: 'FieldValueForbidden',
      field: 'spec.strategy.rollingUpdate',
      message: "Forbidden: may not be specified when strategy `type` is 'Recreate'",
    });
  const inTemplate = podUpdateCauses(templatePod(object), undefined);
  return [...causes, ...inTemplate.map((cause) => ({ ...cause, field: `spec.template.${cause.field ?? ''}` }))];
}
