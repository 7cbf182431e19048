import { readFileSync } from 'node:fs';
import {
  ApiException,
  CustomObjectsApi,
  KubernetesObjectApi,
  PatchStrategy,
  setHeaderOptions,
  type KubernetesObject,
} from '@kubernetes/client-node';
import { parseAllDocuments } from 'yaml';
import { loadKubeConfig } from './cluster-connection.ts';

const FIELD_MANAGER = 'kube-aurora-quickstart';
const RESOURCE = { group: 'kube-aurora.dev', version: 'v1alpha1', plural: 'auroraclusters' } as const;

export interface ClusterName {
  readonly name: string;
  readonly namespace: string;
}

export interface ClusterStatus {
  readonly ready: boolean;
  readonly phase: string;
  readonly storageReady: number;
  readonly message: string;
}

/** The API server refused a manifest; the message is its own, with the field's name. */
export class ManifestRefusedError extends Error {
  readonly cluster: ClusterName;
  constructor(message: string, cluster: ClusterName) {
    super(message);
    this.name = 'ManifestRefusedError';
    this.cluster = cluster;
  }
}

/** The words of a refusal that the manifest is to blame for (4xx); undefined for any other error. */
export function refusalOf(error: unknown): string | undefined {
  if (!(error instanceof ApiException) || error.code < 400 || error.code >= 500) return undefined;
  try {
    const { message } = JSON.parse(String(error.body)) as { message?: unknown };
    return typeof message === 'string' ? message : undefined;
  } catch (parseError) {
    if (parseError instanceof SyntaxError) return undefined;
    throw parseError;
  }
}

/**
 * Applies every document of a manifest, server-side; answers the last object's name. Rejects when the API is not there,
 * and with {@link ManifestRefusedError} when it refuses one.
 */
export async function applyFile(file: string): Promise<ClusterName> {
  const api = KubernetesObjectApi.makeApiClient(loadKubeConfig());
  const name = { name: '', namespace: 'default' };
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const manifest = document.toJS() as KubernetesObject | null;
    if (manifest === null) continue;
    const namespace = manifest.metadata?.namespace ?? 'default';
    const object: KubernetesObject = { ...manifest, metadata: { ...manifest.metadata, ...(isNamespaced(manifest) ? { namespace } : {}) } };
    name.name = manifest.metadata?.name ?? '';
    name.namespace = namespace;
    try {
      if (manifest.kind === 'CustomResourceDefinition') await applyDefinition(object);
      else await api.patch(object, undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply);
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === undefined) throw error;
      throw new ManifestRefusedError(refusal, { ...name });
    }
  }
  return name;
}

/** The client's typed classes drop every `x-kubernetes-…` of a schema; as a custom object it is sent as it is. */
async function applyDefinition(definition: KubernetesObject): Promise<void> {
  const api = loadKubeConfig().makeApiClient(CustomObjectsApi);
  await api.patchClusterCustomObject(
    {
      group: 'apiextensions.k8s.io',
      version: 'v1',
      plural: 'customresourcedefinitions',
      name: definition.metadata?.name ?? '',
      body: definition,
      fieldManager: FIELD_MANAGER,
      force: true,
    },
    setHeaderOptions('Content-Type', PatchStrategy.ServerSideApply),
  );
}

const CLUSTER_WIDE: ReadonlySet<string> = new Set([
  'CustomResourceDefinition',
  'Namespace',
  'ClusterRole',
  'ClusterRoleBinding',
  'ValidatingAdmissionPolicy',
  'ValidatingAdmissionPolicyBinding',
]);

function isNamespaced(manifest: KubernetesObject): boolean {
  return !CLUSTER_WIDE.has(manifest.kind ?? '');
}

interface RawStatus {
  status?: {
    phase?: string;
    storage?: { ready?: number };
    conditions?: { type: string; status: string; message?: string }[];
  };
}

/** The cluster's own word on itself, or undefined while the API does not answer. */
export async function clusterStatus(cluster: ClusterName): Promise<ClusterStatus | undefined> {
  const api = loadKubeConfig().makeApiClient(CustomObjectsApi);
  try {
    const { status } = (await api.getNamespacedCustomObject({ ...RESOURCE, ...cluster })) as RawStatus;
    const ready = status?.conditions?.find((condition) => condition.type === 'Ready');
    return {
      ready: ready?.status === 'True',
      phase: status?.phase ?? '',
      storageReady: status?.storage?.ready ?? 0,
      message: ready?.message ?? '',
    };
  } catch {
    return undefined;
  }
}
