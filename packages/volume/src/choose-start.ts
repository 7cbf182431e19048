import { epochLimit, lastEpoch, newestHistory, type EpochStart } from './epoch-history.ts';
import { contradiction } from './history-rules.ts';
import { ALL_FULL, type Quorums, type SegmentRole } from './quorum.ts';

/**
 * Where the volume ends, and whose redo counts, from what its segments say of themselves.
 *
 * Why nothing acknowledged is lost: an acknowledged batch was on a write quorum that had not promised us at the time (a
 * promise and an acknowledgement carry the segment's epoch), so at least two of our promises come from its holders
 * and count it, unless a history annuls it; and histories annul only past a start that its opener chose in this same
 * way. The promises are all held at one moment, and what is chosen from was said after it (open-steps.ts, confirm): a
 * segment that lost its promise in between, and acknowledged something then, is not among them.
 *
 * Why X is a batch boundary everywhere: a claim (last batch of epoch e, SCL s) that the newest history bounds at
 * X' < s is the log of writer e through X'. Epoch e wrote, so a write quorum had e's history, so the opener that chose
 * X' knew it: its X' was the end of a batch of e, or e's own start. Both are boundaries in every log of epoch e.
 */

/** What a segment says of itself, as in proto/segment.proto. */
export interface SegmentClaim {
  readonly phase: 'EMPTY' | 'IMPORTING' | 'READY' | 'DAMAGED';
  readonly epoch: bigint;
  readonly scl: bigint;
  /** Past its SCL: it may have acknowledged so much, and has lost it. */
  readonly recoverToLsn: bigint;
  /** Redo that is applied, and so durable on a quorum. */
  readonly appliedLsn: bigint;
  readonly lastBatchEpoch: bigint;
  readonly baseEpoch: bigint;
  readonly baseLsn: bigint;
  readonly history: readonly EpochStart[];
}

/** Highest SCL of a claim that counts under a history. */
export function countedScl(history: readonly EpochStart[], claim: SegmentClaim): bigint {
  const limit = epochLimit(history, claim.lastBatchEpoch);
  if (limit === undefined || claim.scl <= limit) return claim.scl;
  return limit > claim.baseLsn ? limit : claim.baseLsn;
}

/**
 * May a writer of `epoch` count this segment's SCL towards its quorum? Only when the segment has promised no one later,
 * and holds the writer's history, so that all its redo is a prefix of the writer's.
 *
 * A segment that answered InstallHistory, or the hello of a stream, has the history on its disk, and nobody else is
 * asked this. Yet its disk may come back as it was between the promise and that: of the writer's epoch, with redo that
 * the history annuls. One that forgot must not make a quorum (quorum.ts, 2), so what it says now decides, not what it
 * said before.
 */
export function countsForWriter(claim: SegmentClaim, epoch: bigint): boolean {
  return claim.phase === 'READY' && claim.epoch === epoch && lastEpoch(claim.history) === epoch;
}

export type StartChoice =
  | { readonly kind: 'start'; readonly startLsn: bigint; readonly history: readonly EpochStart[] }
  | { readonly kind: 'wait'; readonly reason: string };

/** The claim of a segment that promised, with its role. */
type PromisedClaim = SegmentClaim & { readonly role: SegmentRole };

const roleOf = ({ role }: PromisedClaim): SegmentRole => role;

/**
 * X and the history that leads to it, from the segments that promised (undefined: no promise). Under the newest
 * history, claims compare by LSN alone: batches of its last epoch lie past its last start, all others at or below it.
 */
export function chooseStart(promises: readonly (SegmentClaim | undefined)[], quorums: Quorums = ALL_FULL): StartChoice {
  const promised = promises.flatMap((claim, index): PromisedClaim[] => {
    const role = quorums.roles[index];
    return claim === undefined || role === undefined ? [] : [{ ...claim, role }];
  });
  if (!quorums.isPromise(promised.map(roleOf)))
    return { kind: 'wait', reason: `${promised.length} of ${quorums.copies} segments promised, ${quorums.promiseNeeds} are needed` };
  const ready = promised.filter((claim) => claim.phase === 'READY');
  // An import that died before a quorum had it may leave a READY segment of an older base; it was never written
  // to.
  const baseEpoch = ready.reduce((highest, claim) => (claim.baseEpoch > highest ? claim.baseEpoch : highest), 0n);
  const members = withoutLoneContradiction(ready.filter((claim) => claim.baseEpoch === baseEpoch));
  if (!quorums.isRead(members.map(roleOf))) {
    return {
      kind: 'wait',
      reason: `${members.length} of the ${promised.length} segments that promised hold the volume, ${quorums.readNeeds} are needed`,
    };
  }
  const history = newestHistory(members.map((claim) => claim.history));
  const startLsn = members.reduce((highest, claim) => {
    const scl = countedScl(history, claim);
    return scl > highest ? scl : highest;
  }, 0n);
  // An opener may have died after it found more redo than any of these segments holds, before a quorum held it. It
  // wrote nothing (it never opened), so its entry says nothing, and starts may not go back.
  return { kind: 'start', startLsn, history: history.filter((entry) => entry.startLsn <= startLsn) };
}

/**
 * Leaves out a segment whose newest history annuls what another one knows to be durable, when no third has that
 * history. A stranger may have talked a segment that was behind into it; if it is a writer's, that writer never had it
 * on a quorum, wrote nothing, and the segment might as well not have answered. Those that are left must be enough
 * for what is durable.
 */
function withoutLoneContradiction(members: readonly PromisedClaim[]): readonly PromisedClaim[] {
  const newest = newestHistory(members.map((claim) => claim.history));
  const holders = members.filter((claim) => lastEpoch(claim.history) === lastEpoch(newest));
  const others = members.filter((claim) => !holders.includes(claim));
  if (holders.length !== 1) return members;
  const contradicts = others.some((claim) => contradiction(claim.history, newest, 0n, claim.appliedLsn) !== undefined);
  return contradicts ? withoutLoneContradiction(others) : members;
}
