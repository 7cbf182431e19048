import type { EpochRun, EpochStart, SegmentRole } from '@kube-aurora/volume';

/** Rules of the volume written a second time, apart from the code that is tried: what breaks that does not break these. */

/** Any four, or where copies are mixed all three full ones. */
export function isQuorum(indices: readonly number[], roles: readonly SegmentRole[]): boolean {
  const isMixed = roles.includes('TAIL');
  return indices.length >= 4 || (isMixed && roles.every((role, index) => role === 'TAIL' || indices.includes(index)));
}

export const lastEpoch = (history: readonly EpochStart[]): bigint => history.at(-1)?.epoch ?? 0n;

/** Where a log holds redo that a history rules out. */
export function annulledFrom(history: readonly EpochStart[], runs: readonly EpochRun[]): bigint | undefined {
  for (const { epoch, fromLsn, toLsn } of runs) {
    const at = history.findIndex((entry) => entry.epoch === epoch);
    const limit = at < 0 ? fromLsn : (history[at + 1]?.startLsn ?? toLsn);
    if (toLsn > limit) return limit;
  }
  return undefined;
}

/** Whose redo ends at or covers the LSN; undefined where the log does not say. */
export function epochAt(runs: readonly EpochRun[], lsn: bigint): bigint | undefined {
  return runs.find((run) => run.fromLsn < lsn && lsn <= run.toLsn)?.epoch;
}
