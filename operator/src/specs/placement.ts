import { ZONE_TOPOLOGY, HOST_TOPOLOGY } from '../api/names.ts';
import type { NodeExpression, PlacementSpec } from '../api/types.ts';
import type { Labels, PodSpec } from '../kube/objects.ts';

type PlacementFields = Pick<PodSpec, 'affinity' | 'nodeSelector' | 'tolerations' | 'topologySpreadConstraints' | 'priorityClassName'>;

/**
 * Where a pod may run: in its zone, whatever the manifest says, and of that zone's nodes on those that the manifest allows. `ours` are
 * the labels of pods of its kind, which rather have nodes of their own.
 */
export function placementFields(wanted: PlacementSpec, zone: string, ours: Labels): PlacementFields {
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName } = wanted;
  const { nodeAffinity, podAffinity, podAntiAffinity } = affinity ?? {};
  const inZone: NodeExpression = { key: ZONE_TOPOLOGY, operator: 'In', values: [zone] };
  const terms = nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [{}];
  return {
    affinity: {
      nodeAffinity: {
        ...nodeAffinity,
        requiredDuringSchedulingIgnoredDuringExecution: {
          // One of the terms has to hold: so the zone stands in each of them.
          nodeSelectorTerms: terms.map((term) => ({ ...term, matchExpressions: [inZone, ...(term.matchExpressions ?? [])] })),
        },
      },
      ...(podAffinity === undefined ? {} : { podAffinity }),
      podAntiAffinity: {
        ...podAntiAffinity,
        preferredDuringSchedulingIgnoredDuringExecution: [
          // A zone may have one node only, so it is no demand.
          { weight: 100, podAffinityTerm: { labelSelector: { matchLabels: ours }, topologyKey: HOST_TOPOLOGY } },
          ...(podAntiAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []),
        ],
      },
    },
    ...(nodeSelector === undefined ? {} : { nodeSelector }),
    ...(tolerations === undefined ? {} : { tolerations }),
    ...(topologySpreadConstraints === undefined
      ? {}
      : { topologySpreadConstraints: topologySpreadConstraints.map((one) => ({ labelSelector: { matchLabels: ours }, ...one })) }),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
  };
}
