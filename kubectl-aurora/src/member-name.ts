import { UsageError } from './kube/errors.ts';
import type { Cluster } from '@kube-aurora/cluster-view';

/** Instances compute, segments store. */
export type MemberKind = 'instance' | 'segment';

function namesOf({ status }: Cluster, kind: MemberKind): readonly string[] {
  return kind === 'instance' ? (status?.instances ?? []).map(({ name }) => name) : (status?.storage?.segments ?? []).map(({ id }) => id);
}

/** The pod that is meant by its name or by its number: `2` is demo-2, or demo-storage-2. Throws UsageError with those that there are. */
export function memberName({ metadata, ...cluster }: Cluster, given: string, ...kinds: readonly MemberKind[]): string {
  const names = kinds.flatMap((kind) => namesOf({ metadata, ...cluster }, kind));
  const numbered = kinds.map((kind) => (kind === 'instance' ? `${metadata.name}-${given}` : `${metadata.name}-storage-${given}`));
  const found = names.find((name) => name === given || numbered.includes(name));
  if (found !== undefined) return found;
  throw new UsageError(
    `cluster ${metadata.name} has no ${kinds.join(' or ')} "${given}"${names.length === 0 ? '' : `: there are ${names.join(', ')}`}`,
  );
}
