import { UsageError } from '../kube/errors.ts';
import { COMPONENT_LABEL, type Cluster, type Pod } from '@kube-aurora/cluster-view';
import { memberName, type MemberKind } from '../member-name.ts';

/** Whose logs are wanted; nothing said is all instances and segments. */
export interface LogChoice {
  readonly instance: string | undefined;
  readonly segment: string | undefined;
  readonly operator: boolean;
}

const COMPONENT: Readonly<Record<MemberKind, string>> = { instance: 'compute', segment: 'storage' };

/** Pure: of a cluster's pods those that are meant. Throws UsageError for a name that there is not. */
export function choosePods(cluster: Cluster, pods: readonly Pod[], { instance, segment, operator }: LogChoice): readonly Pod[] {
  if (operator && instance === undefined && segment === undefined) return [];
  const all = instance === undefined && segment === undefined;
  const wanted = (pod: Pod, kind: MemberKind, given: string | undefined): boolean => {
    if (pod.metadata.labels?.[COMPONENT_LABEL] !== COMPONENT[kind]) return false;
    if (all || given === 'all') return true;
    return given !== undefined && pod.metadata.name === memberName(cluster, given, kind);
  };
  // Names are looked at before pods are: one that has no pod now is no mistake of the caller's.
  if (instance !== undefined && instance !== 'all') memberName(cluster, instance, 'instance');
  if (segment !== undefined && segment !== 'all') memberName(cluster, segment, 'segment');
  const chosen = pods.filter((pod) => wanted(pod, 'instance', instance) || wanted(pod, 'segment', segment));
  if (chosen.length === 0) throw new UsageError(`cluster ${cluster.metadata.name} has no such pod at present`);
  return chosen;
}

const DURATION = /^(\d+)(s|m|h|d)$/;
const UNIT_SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds of `10m`. Throws UsageError with what there is. */
export function secondsOf(flag: string, text: string): number {
  const [, digits = '', unit = ''] = DURATION.exec(text) ?? [];
  const seconds = Number(digits) * (UNIT_SECONDS[unit] ?? 0);
  if (seconds > 0) return seconds;
  throw new UsageError(`invalid argument "${text}" for "--${flag}" flag: a number and s, m, h or d, as in 10m`);
}

/** A whole number from 0 on. */
export function countOf(flag: string, text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new UsageError(`invalid argument "${text}" for "--${flag}" flag: a whole number`);
}
