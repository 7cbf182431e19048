/**
 * Where a session that commits waits for the quorum.
 *
 * | wait    |                                                                                                              |
 * | ------- | ------------------------------------------------------------------------------------------------------------ |
 * | flush   | in the flush of its WAL. PostgreSQL flushes one at a time: who comes meanwhile waits for the end of that one   |
 * |         | and then for the next, which takes many with it. No process more has a part in it                              |
 * | session | by itself, as for a synchronous standby, any number at a time; the flush returns when its WAL is on its way    |
 */
export type CommitWait = 'flush' | 'session';

/**
 * A way to the quorum and back that takes so long is worth the wake-ups of two processes more a commit. Copies in one zone take less, and
 * so do those of zones that are half a millisecond apart.
 */
const FAR_MS = 1.6;
/** What is nearer than this is near again: between the two nothing changes. */
const NEAR_MS = 1.1;

/** `quickestFlushMs`: what the quickest of the last flushes took; undefined: there were too few to say. */
export function chooseCommitWait(present: CommitWait, quickestFlushMs: number | undefined): CommitWait {
  if (quickestFlushMs === undefined) return present;
  if (quickestFlushMs >= FAR_MS) return 'session';
  return quickestFlushMs < NEAR_MS ? 'flush' : present;
}
