import type { Cause } from '../schema/cause.ts';
import { claimStrategy } from './claim-strategy.ts';
import { customResourceCauses, prepareCustomResourceDefinition } from './crd-strategy.ts';
import { defaultPod, podUpdateCauses } from './pod-strategy.ts';
import { prepareDeployment, prepareReplicaSet, workloadCauses } from './workload-strategy.ts';
import type { Strategy, StrategyContext } from './strategy.ts';
import { isObject, jsonEqual, objectAt, stringAt, type JsonObject, type KubeObject } from '../store/object.ts';

const forbidden = (field: string, message: string): Cause => ({ reason: 'FieldValueForbidden', field, message: `Forbidden: ${message}` });
const immutable = (field: string, value: string): Cause => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${JSON.stringify(value)}: field is immutable`,
});

function withSpec(object: KubeObject, spec: JsonObject): KubeObject {
  return { ...object, spec };
}

function prepareService(object: KubeObject, live: KubeObject | undefined, context: StrategyContext): KubeObject {
  const spec: JsonObject = { type: 'ClusterIP', sessionAffinity: 'None', ...objectAt(object, 'spec') };
  const ports = Array.isArray(spec['ports']) ? spec['ports'] : [];
  if (ports.length > 0)
    spec['ports'] = ports.map((port) => {
      if (!isObject(port)) return port;
      // Go clients send the zero of a target port that was not given.
      const unset = port['targetPort'] === undefined || port['targetPort'] === 0 || port['targetPort'] === '';
      return { protocol: 'TCP', ...port, targetPort: (unset ? port['port'] : port['targetPort']) ?? null };
    });
  if (spec['type'] === 'ExternalName') return { ...withSpec(object, spec), status: object['status'] ?? { loadBalancer: {} } };
  const kept = stringAt(live, 'spec', 'clusterIP');
  const asked = typeof spec['clusterIP'] === 'string' && spec['clusterIP'] !== '' ? spec['clusterIP'] : undefined;
  const ip = asked ?? kept ?? context.allocateClusterIp(undefined);
  if (ip !== undefined && ip !== kept && ip !== 'None' && asked !== undefined && context.allocateClusterIp(asked) === undefined)
    spec['clusterIP'] = 'taken';
  else spec['clusterIP'] = ip;
  return {
    ...withSpec(object, {
      ...spec,
      clusterIPs: [asked ?? spec['clusterIP'] ?? ''],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
    }),
    status: object['status'] ?? { loadBalancer: {} },
  };
}

function serviceCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  const ip = stringAt(object, 'spec', 'clusterIP');
  const before = stringAt(live, 'spec', 'clusterIP');
  if (before !== undefined && ip !== before) {
    const message = `Invalid value: ${JSON.stringify(objectAt(object, 'spec')['clusterIPs'])}: may not change once set`;
    return [{ reason: 'FieldValueInvalid', field: 'spec.clusterIPs[0]', message }];
  }
  if (ip === 'taken')
    return [
      {
        reason: 'FieldValueInvalid',
        field: 'spec.clusterIP',
        message: 'Invalid value: the address must be a free one of this cluster (leave it out to get one, or use None)',
      },
    ];
  return [];
}

function prepareSecret(object: KubeObject): KubeObject {
  const { stringData, ...rest } = object;
  const data: JsonObject = { ...objectAt(object, 'data') };
  if (isObject(stringData)) {
    for (const [key, value] of Object.entries(stringData)) if (typeof value === 'string') data[key] = Buffer.from(value).toString('base64');
  }
  return {
    ...rest,
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: object.metadata,
    type: stringAt(object, 'type') ?? 'Opaque',
    ...(Object.keys(data).length > 0 ? { data } : {}),
  };
}

/** Keys become the names of files and variables. */
function keyCauses(object: KubeObject): Cause[] {
  return ['data', 'binaryData'].flatMap((map) =>
    Object.keys(objectAt(object, map))
      .filter((key) => !/^[-._a-zA-Z0-9]+$/.test(key))
      .map((key): Cause => ({
        reason: 'FieldValueInvalid',
        field: `${map}[${key}]`,
        message: `Invalid value: ${JSON.stringify(key)}: a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')`,
      })),
  );
}

function frozenDataCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  if (live?.['immutable'] !== true) return [];
  const same = ['data', 'binaryData', 'immutable'].every((key) => jsonEqual(object[key], live[key]));
  return same ? [] : [forbidden('data', 'field is immutable when `immutable` is set')];
}

function secretCauses(object: KubeObject, live: KubeObject | undefined): Cause[] {
  const bad = Object.entries(objectAt(object, 'data')).filter(
    ([, value]) => typeof value === 'string' && !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(value),
  );
  const causes = bad.map(([key]): Cause => ({
    reason: 'FieldValueInvalid',
    field: `data[${key}]`,
    message: 'Invalid value: must be base64 (use stringData for plain text)',
  }));
  if (live !== undefined && live['type'] !== object['type']) causes.push(immutable('type', String(object['type'])));
  return [...keyCauses(object), ...causes, ...frozenDataCauses(object, live)];
}

function prepareNamespace(object: KubeObject): KubeObject {
  return {
    ...withSpec(object, { finalizers: ['kubernetes'], ...objectAt(object, 'spec') }),
    metadata: { ...object.metadata, labels: { ...object.metadata.labels, 'kubernetes.io/metadata.name': object.metadata.name } },
    status: { phase: 'Active', ...objectAt(object, 'status') },
  };
}

const STRATEGIES: { readonly [storage: string]: Strategy } = {
  pods: { prepare: defaultPod, causes: podUpdateCauses },
  services: { prepare: prepareService, causes: serviceCauses },
  secrets: { prepare: prepareSecret, causes: secretCauses },
  configmaps: { causes: (object, live) => [...keyCauses(object), ...frozenDataCauses(object, live)] },
  persistentvolumeclaims: claimStrategy,
  namespaces: { prepare: prepareNamespace },
  persistentvolumes: {
    prepare: (object) => ({
      ...withSpec(object, { volumeMode: 'Filesystem', persistentVolumeReclaimPolicy: 'Retain', ...objectAt(object, 'spec') }),
      status: object['status'] ?? { phase: 'Pending' },
    }),
  },
  'apps/deployments': { prepare: prepareDeployment, causes: workloadCauses },
  'apps/replicasets': { prepare: prepareReplicaSet, causes: workloadCauses },
  'apiextensions.k8s.io/customresourcedefinitions': { prepare: prepareCustomResourceDefinition, causes: customResourceCauses },
};

export function strategyOf(storage: string): Strategy {
  return STRATEGIES[storage] ?? {};
}
