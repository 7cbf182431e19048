import type { Cause } from '../schema/cause.ts';
import { claimSpecCauses, defaultClaimSpec } from './claim-strategy.ts';
import { arrayAt, isObject, jsonEqual, objectAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';

const withDefaults = (defaults: JsonObject, value: Json | undefined): JsonObject => ({ ...defaults, ...(isObject(value) ? value : {}) });

function defaultProbe(value: Json | undefined): Json | undefined {
  if (!isObject(value)) return value;
  const probe = withDefaults({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }, value);
  if (isObject(probe['httpGet'])) probe['httpGet'] = withDefaults({ path: '/', scheme: 'HTTP' }, probe['httpGet']);
  return probe;
}

function defaultContainer(value: Json): Json {
  if (!isObject(value)) return value;
  const image = String(value['image'] ?? '');
  const latest = !/:[^/]+$/.test(image) || image.endsWith(':latest');
  const container = withDefaults(
    {
      resources: {},
      terminationMessagePath: '/dev/termination-log',
      terminationMessagePolicy: 'File',
      imagePullPolicy: latest ? 'Always' : 'IfNotPresent',
    },
    value,
  );
  for (const name of ['livenessProbe', 'readinessProbe', 'startupProbe'])
    if (container[name] !== undefined) container[name] = defaultProbe(container[name]);
  if (Array.isArray(container['ports'])) container['ports'] = container['ports'].map((port) => withDefaults({ protocol: 'TCP' }, port));
  if (Array.isArray(container['env'])) {
    container['env'] = container['env'].map((variable) => {
      const source = isObject(variable) ? variable['valueFrom'] : undefined;
      if (!isObject(variable) || !isObject(source) || !isObject(source['fieldRef'])) return variable;
      return { ...variable, valueFrom: { ...source, fieldRef: withDefaults({ apiVersion: 'v1' }, source['fieldRef']) } };
    });
  }
  return container;
}

function defaultVolume(value: Json): Json {
  if (!isObject(value)) return value;
  const volume = { ...value };
  const sources = Object.keys(volume).filter((key) => key !== 'name');
  if (sources.length === 0) volume['emptyDir'] = {};
  for (const kind of ['secret', 'configMap', 'downwardAPI', 'projected']) {
    if (isObject(volume[kind])) volume[kind] = withDefaults({ defaultMode: 420 }, volume[kind]);
  }
  if (isObject(objectAt(volume, 'ephemeral')['volumeClaimTemplate'])) {
    const template = objectAt(volume, 'ephemeral', 'volumeClaimTemplate');
    volume['ephemeral'] = { volumeClaimTemplate: { ...template, spec: defaultClaimSpec(objectAt(template, 'spec')) } };
  }
  return volume;
}

/** The defaults of https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/ that people see. */
export function defaultPod(object: KubeObject): KubeObject {
  const spec = withDefaults(
    {
      restartPolicy: 'Always',
      terminationGracePeriodSeconds: 30,
      dnsPolicy: 'ClusterFirst',
      serviceAccountName: 'default',
      securityContext: {},
      schedulerName: 'default-scheduler',
      enableServiceLinks: true,
    },
    object['spec'],
  );
  for (const kind of ['containers', 'initContainers']) if (Array.isArray(spec[kind])) spec[kind] = spec[kind].map(defaultContainer);
  if (Array.isArray(spec['volumes'])) spec['volumes'] = spec['volumes'].map(defaultVolume);
  return { ...object, spec, status: withDefaults({ phase: 'Pending', qosClass: qosClass(spec) }, object['status']) };
}

function qosClass(spec: JsonObject): string {
  const containers = arrayAt(spec, 'containers');
  const resources = containers.map((container) => objectAt(container, 'resources'));
  if (resources.every((one) => Object.keys(objectAt(one, 'limits')).length === 0 && Object.keys(objectAt(one, 'requests')).length === 0))
    return 'BestEffort';
  const guaranteed = resources.every((one) => {
    const limits = objectAt(one, 'limits');
    return limits['cpu'] !== undefined && limits['memory'] !== undefined && jsonEqual(limits, { ...limits, ...objectAt(one, 'requests') });
  });
  return guaranteed ? 'Guaranteed' : 'Burstable';
}

/** Of a generic ephemeral volume: what its claim is made from. */
function templateCauses(volume: JsonObject, at: string): Cause[] {
  if (volume['ephemeral'] === undefined) return [];
  const field = `${at}.ephemeral.volumeClaimTemplate`;
  const template = objectAt(volume, 'ephemeral')['volumeClaimTemplate'];
  if (!isObject(template)) return [{ reason: 'FieldValueRequired', field, message: 'Required value' }];
  const named = Object.keys(objectAt(template, 'metadata')).filter((key) => key !== 'labels' && key !== 'annotations');
  return [
    ...named.map((key): Cause => ({
      reason: 'FieldValueForbidden',
      field: `${field}.metadata.${key}`,
      message: 'Forbidden: cannot be set',
    })),
    ...claimSpecCauses(objectAt(template, 'spec'), `${field}.spec`),
  ];
}

const MUTABLE_SPEC = ['activeDeadlineSeconds', 'terminationGracePeriodSeconds', 'tolerations', 'schedulingGates', 'nodeName'];

/** What a pod must have, and what of it may change once it exists. */
export function podUpdateCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  const causes: Cause[] = [];
  const containers = arrayAt(object, 'spec', 'containers');
  if (containers.length === 0) causes.push({ reason: 'FieldValueRequired', field: 'spec.containers', message: 'Required value' });
  containers.forEach((container, index) => {
    if (objectAt(container)['image'] === undefined || objectAt(container)['image'] === '')
      causes.push({ reason: 'FieldValueRequired', field: `spec.containers[${index}].image`, message: 'Required value' });
    for (const [at, mount] of arrayAt(container, 'volumeMounts').entries()) {
      const volume = String(objectAt(mount)['name']);
      if (!arrayAt(object, 'spec', 'volumes').some((one) => objectAt(one)['name'] === volume))
        causes.push({
          reason: 'FieldValueNotFound',
          field: `spec.containers[${index}].volumeMounts[${at}].name`,
          message: `Not found: "${volume}"`,
        });
    }
  });
  causes.push(...arrayAt(object, 'spec', 'volumes').flatMap((volume, index) => templateCauses(objectAt(volume), `spec.volumes[${index}]`)));
  if (live === undefined) return causes;
  const fixed = (pod: KubeObject): JsonObject => {
    const spec = { ...objectAt(pod, 'spec') };
    for (const key of MUTABLE_SPEC) delete spec[key];
    for (const kind of ['containers', 'initContainers']) {
      const list = spec[kind];
      if (Array.isArray(list))
        spec[kind] = list.map((container) => (isObject(container) ? { ...container, image: '', imagePullPolicy: '' } : container));
    }
    return spec;
  };
  if (!jsonEqual(fixed(object), fixed(live))) {
    causes.push({
      reason: 'FieldValueForbidden',
      field: 'spec',
      message:
        'Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations`',
    });
  }
  return causes;
}
