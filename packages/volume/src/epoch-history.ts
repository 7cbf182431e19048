/**
 * The volume's epoch history: where each writer's redo starts. It says which stored batches count.
 *
 *   [{epoch 1, start 100}, {epoch 4, start 180}, {epoch 5, start 300}]
 *   batches of epoch 1 count up to 180, of epoch 4 up to 300, of epoch 5 without end; of 2 and 3 none.
 *
 * The first entry is the import that the volume stands on; epochs that were opened but never got their history onto
 * a write quorum are missing, and wrote nothing (a writer appends only after InstallHistory on one).
 *
 * Which of two histories is right: the one whose last epoch is higher, whole (`newestHistory`). They must NOT be joined
 * entry by entry: an opener may have left {epoch 4, start 100} on three segments and died; the next one, who saw none
 * of the three, may rightly have kept epoch 3's redo up to 120 and written {epoch 5, start 120}. Joined, the entry of
 * epoch 4 would annul what epoch 5 stands on.
 *
 * Invariants that make this safe:
 * 1. An epoch has one writer (EPOCH_TAKEN), and it decides its start once. So histories with equal last epochs are
 *    equal.
 * 2. A segment takes a history, from InstallHistory, from a hello or from a peer, only when its last epoch is not below
 *    the segment's own volume epoch. What it said in its OpenEpoch answer therefore stays true until that opener comes
 *    back.
 * 3. A segment's volume epoch is never below the last epoch of its history: taking a history raises it, durably, with
 *    it. (Else it could promise epoch 9 while it holds, from a peer, the history of epoch 10.)
 * 4. An epoch that wrote a batch had its history on a write quorum, so every later opener, who hears a promise quorum,
 *    has seen it.
 */

/** As in proto/segment.proto. */
export interface EpochStart {
  readonly epoch: bigint;
  readonly startLsn: bigint;
}

/** Consecutive batches of one epoch in a segment's log: from the backlink of the first to the end of the last. */
export interface EpochRun {
  readonly epoch: bigint;
  readonly fromLsn: bigint;
  readonly toLsn: bigint;
}

/** A history that cannot be: not ascending, or without entries where one is needed. */
export class EpochHistoryError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'EpochHistoryError';
  }
}

/** Throws EpochHistoryError unless epochs ascend strictly and starts never go back. For histories from the network. */
export function checkHistory(history: readonly EpochStart[]): void {
  for (let index = 1; index < history.length; index++) {
    const before = history[index - 1];
    const entry = history[index];
    if (before === undefined || entry === undefined) continue;
    if (entry.epoch <= before.epoch) throw new EpochHistoryError(`epoch history: epoch ${entry.epoch} follows ${before.epoch}`);
    if (entry.startLsn < before.startLsn) {
      throw new EpochHistoryError(
        `epoch history: epoch ${entry.epoch} starts at ${entry.startLsn}, before epoch ${before.epoch} at ${before.startLsn}`,
      );
    }
  }
}

/** The last epoch in a history, 0n when it is empty. */
export function lastEpoch(history: readonly EpochStart[]): bigint {
  return history.at(-1)?.epoch ?? 0n;
}

/** The history that counts among several: the one with the highest last epoch. An empty list gives an empty history. */
export function newestHistory(histories: Iterable<readonly EpochStart[]>): readonly EpochStart[] {
  let newest: readonly EpochStart[] = [];
  for (const history of histories) if (lastEpoch(history) > lastEpoch(newest)) newest = history;
  return newest;
}

/**
 * What a segment holds after it heard of `incoming`: that history when it is newer and not of an epoch below the
 * segment's volume epoch (invariant 2), otherwise its own. The caller raises the segment's epoch with it (invariant 3).
 */
export function mergeHistories(own: readonly EpochStart[], incoming: readonly EpochStart[], segmentEpoch: bigint): readonly EpochStart[] {
  const newer = lastEpoch(incoming) > lastEpoch(own) && lastEpoch(incoming) >= segmentEpoch;
  return newer ? incoming : own;
}

/** The history of a new epoch. Throws EpochHistoryError when the epoch or start would go back. */
export function extendHistory(history: readonly EpochStart[], entry: EpochStart): EpochStart[] {
  const extended = [...history, entry];
  checkHistory(extended);
  return extended;
}

/**
 * Up to where batches of `epoch` count: undefined without end (the newest epoch), or -1n when the epoch isn't in the
 * history.
 */
export function epochLimit(history: readonly EpochStart[], epoch: bigint): bigint | undefined {
  const index = history.findIndex((entry) => entry.epoch === epoch);
  if (index < 0) return -1n;
  return history[index + 1]?.startLsn;
}

/** Does a batch of `epoch` that ends at `endLsn` count under this history? */
export function isBatchValid(history: readonly EpochStart[], batch: { readonly epoch: bigint; readonly endLsn: bigint }): boolean {
  const limit = epochLimit(history, batch.epoch);
  return limit === undefined || batch.endLsn <= limit;
}

/**
 * The LSN past which a segment's log is annulled under `history`: no batch that ends past it counts, and it is the
 * new SCL. Undefined when all of the log counts. `runs` in log order; what stands before the first run is the base.
 * It is a batch boundary of the log (proof: choose-start.ts).
 */
export function annulPoint(history: readonly EpochStart[], runs: readonly EpochRun[]): bigint | undefined {
  for (const run of runs) {
    const limit = epochLimit(history, run.epoch);
    if (limit === undefined || run.toLsn <= limit) continue;
    return limit > run.fromLsn ? limit : run.fromLsn;
  }
  return undefined;
}
