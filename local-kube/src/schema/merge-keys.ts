/**
 * What the published API schema of the built-in kinds says of lists and maps, and client-node's model files leave out:
 * how server-side apply and strategic merge patch put them together. A list or map that is absent here is atomic or
 * granular by default (lists atomic, maps granular). Source: the x-kubernetes-* extensions in
 * https://kubernetes.io/docs/reference/kubernetes-api/ (patch strategy and list map keys).
 */
export interface MergeRule {
  /** Keys that tell items apart; the first one is the key of strategic merge patches. */
  readonly keys?: readonly string[];
  /** A list of scalars without duplicates. */
  readonly set?: true;
  /** A map or struct that is owned and replaced whole. */
  readonly atomic?: true;
}

const byName: MergeRule = { keys: ['name'] };
const byType: MergeRule = { keys: ['type'] };

export const MERGE_RULES: { readonly [field: string]: MergeRule } = {
  'V1ObjectMeta.ownerReferences': { keys: ['uid'] },
  'V1ObjectMeta.finalizers': { set: true },
  'V1PodSpec.containers': byName,
  'V1PodSpec.initContainers': byName,
  'V1PodSpec.ephemeralContainers': byName,
  'V1PodSpec.volumes': byName,
  'V1PodSpec.imagePullSecrets': byName,
  'V1PodSpec.resourceClaims': byName,
  'V1PodSpec.hostAliases': { keys: ['ip'] },
  'V1PodSpec.schedulingGates': byName,
  'V1PodSpec.topologySpreadConstraints': { keys: ['topologyKey', 'whenUnsatisfiable'] },
  'V1PodSpec.nodeSelector': { atomic: true },
  'V1Container.env': byName,
  'V1Container.ports': { keys: ['containerPort', 'protocol'] },
  'V1Container.volumeMounts': { keys: ['mountPath'] },
  'V1Container.volumeDevices': { keys: ['devicePath'] },
  'V1PodStatus.conditions': byType,
  'V1PodStatus.podIPs': { keys: ['ip'] },
  'V1NodeStatus.conditions': byType,
  'V1NodeStatus.addresses': byType,
  'V1NodeSpec.podCIDRs': { set: true },
  'V1NamespaceStatus.conditions': byType,
  'V1ServiceSpec.ports': { keys: ['port', 'protocol'] },
  'V1ServiceSpec.selector': { atomic: true },
  'V1ServiceStatus.conditions': byType,
  'V1ServiceAccount.secrets': byName,
  'V1PersistentVolumeClaimStatus.conditions': byType,
  'V1PodDisruptionBudgetStatus.conditions': byType,
  'V1CustomResourceDefinitionStatus.conditions': byType,
  'V1DeploymentStatus.conditions': byType,
  'V1ReplicaSetStatus.conditions': byType,
  V1LabelSelector: { atomic: true },
  V1SecretKeySelector: { atomic: true },
  V1ConfigMapKeySelector: { atomic: true },
  V1ObjectFieldSelector: { atomic: true },
  V1ObjectReference: { atomic: true },
  V1NodeSelector: { atomic: true },
  V1ResourceFieldSelector: { atomic: true },
};

/** Defaults that tell list items apart; they count even before an object is defaulted. */
export const KEY_DEFAULTS: { readonly [field: string]: string } = {
  'V1ContainerPort.protocol': 'TCP',
  'V1ServicePort.protocol': 'TCP',
};

/** Maps and fields of quantities: client-node calls them strings, the API takes numbers as well (`cpu: 1`). */
export const QUANTITY_FIELDS: ReadonlySet<string> = new Set([
  'V1ResourceRequirements.limits',
  'V1ResourceRequirements.requests',
  'V1VolumeResourceRequirements.limits',
  'V1VolumeResourceRequirements.requests',
  'V1PersistentVolumeSpec.capacity',
  'V1PersistentVolumeClaimStatus.capacity',
  'V1PersistentVolumeClaimStatus.allocatedResources',
  'V1NodeStatus.capacity',
  'V1NodeStatus.allocatable',
  'V1EmptyDirVolumeSource.sizeLimit',
  'V1ResourceFieldSelector.divisor',
  'V1PodSpec.overhead',
]);
