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
const FAR_MS = 2;
/** What is nearer than this is near again: between the two nothing changes. */
const NEAR_MS = 1.4;
/**
 * Of the processes that a flush goes through and back, the agent sees its own waits for a core; PostgreSQL and the daemons may wait for as long.
 * On a machine that is short of cores this is what flushes take, and fewer, fuller rounds are what it needs.
 */
const CORE_WAITS = 2;

/**
 * While there is a flush on its way for so much of the time, somebody else wants the next as a rule; a client that is alone has work between two. Nobody
 * else wants it where it is less than the second. Between the two nothing changes.
 */
const BUSY_SHARE = 0.9;
const QUIET_SHARE = 0.8;

/** What the choice hangs on. */
export interface QuorumDistance {
  /** What the quickest of the last flushes took; undefined: there were too few to say. */
  readonly quickestFlushMs: number | undefined;
  /** For how long this agent was ready to run and had no core, for each of them. */
  readonly coreWaitMs: number;
  /** What they took all together, as a share of the time; above 1 where several are on their way at once. */
  readonly busyShare: number;
}

/** Where sessions are to wait, when they wait as `present` says. */
export function chooseCommitWait(present: CommitWait, { quickestFlushMs, coreWaitMs, busyShare }: QuorumDistance): CommitWait {
  if (quickestFlushMs === undefined) return present;
  if (quickestFlushMs < NEAR_MS || busyShare < QUIET_SHARE) return 'flush';
  const isFar = quickestFlushMs - CORE_WAITS * coreWaitMs >= FAR_MS;
  return isFar && busyShare >= BUSY_SHARE ? 'session' : present;
}
