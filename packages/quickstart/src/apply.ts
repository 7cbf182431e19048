import { readFileSync } from 'node:fs';
import { CustomObjectsApi, KubernetesObjectApi, PatchStrategy, setHeaderOptions, type KubernetesObject } from '@kubernetes/client-node';
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

/** Applies every document of a manifest, server-side; answers the last object's name. Rejects when the API is not there. */
export async function applyFile(file: string): Promise<ClusterName> {
  const api = KubernetesObjectApi.makeApiClient(loadKubeConfig());
  const name = { name: '', namespace: 'default' };
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const manifest = document.toJS() as KubernetesObject | null;
    if (manifest === null) continue;
    const namespace = manifest.metadata?.namespace ?? 'default';
    const object: KubernetesObject = { ...manifest, metadata: { ...manifest.metadata, ...(isNamespaced(manifest) ? { namespace } : {}) } };
    if (manifest.kind === 'CustomResourceDefinition') await applyDefinition(object);
    else await api.patch(object, undefined, undefined, FIELD_MANAGER, true, PatchStrategy.ServerSideApply);
    name.name = manifest.metadata?.name ?? '';
    name.namespace = namespace;
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

function isNamespaced(manifest: KubernetesObject): boolean {
  return !['CustomResourceDefinition', 'Namespace', 'ClusterRole', 'ClusterRoleBinding'].includes(manifest.kind ?? '');
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
