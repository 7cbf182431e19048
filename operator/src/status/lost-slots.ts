import type { AuroraClusterStatus, LostSlot } from '../api/status-types.ts';
import { freshAgent, type Observed } from '../observed/observed.ts';
import type { Notice } from '../plan/actions.ts';
import { writerOf } from '../plan/plan-instances.ts';
import { bad, good, type Verdict } from './verdict.ts';

/**
 * Replication slots that ended with the writer before, as the writer's agent has it: it forgets those that somebody makes anew. While it does not answer,
 * what was known; undefined when there are none.
 */
export function lostSlots(observed: Observed): readonly LostSlot[] | undefined {
  const report = freshAgent(observed, writerOf(observed).pod);
  if (report?.role !== 'writer' || report.phase !== 'running') return observed.cluster.status?.lostReplicationSlots;
  return report.lostSlots?.length === 0 ? undefined : report.lostSlots;
}

const DO = 'whoever reads them gets nothing: make them anew, and have subscribers copy their tables again (docs/differences.md)';

export function slotsVerdict(lost: readonly LostSlot[] | undefined): Verdict {
  if (lost === undefined) return good('no replication slot is known to be lost');
  return bad('ReplicationSlotsLost', `${lost.length} did not go on with the present writer: ${named(lost)}; ${DO}`);
}

/** Some were lost that were not known to be. */
export function slotNotices(before: AuroraClusterStatus | undefined, after: AuroraClusterStatus): readonly Notice[] {
  const known = new Set(before?.lostReplicationSlots?.map(({ name, at }) => `${at} ${name}`));
  const lost = (after.lostReplicationSlots ?? []).filter(({ name, at }) => !known.has(`${at} ${name}`));
  if (lost.length === 0) return [];
  return [
    {
      type: 'Warning',
      reason: 'ReplicationSlotsLost',
      message: `Replication slots that ${after.writer ?? 'the writer'} has not: ${named(lost)}; ${DO}`,
    },
  ];
}

/** Of an Event, whose message may have 1,024 bytes, and a condition. */
const NAMED_MAX = 4;

function named(lost: readonly LostSlot[]): string {
  const first = lost.slice(0, NAMED_MAX).map(({ name, why }) => `${name} (${why.slice(0, 120)})`);
  return [...first, ...(lost.length > NAMED_MAX ? [`and ${lost.length - NAMED_MAX} more in status.lostReplicationSlots`] : [])].join('; ');
}
