import { describe, expect, it } from 'vitest';
import {
  EpochHistoryError,
  annulPoint,
  checkHistory,
  epochLimit,
  extendHistory,
  isBatchValid,
  mergeHistories,
  newestHistory,
} from './epoch-history.ts';

const HISTORY = [
  { epoch: 1n, startLsn: 100n },
  { epoch: 4n, startLsn: 180n },
  { epoch: 5n, startLsn: 300n },
];

describe('epoch history', () => {
  it('bounds every epoch by the start of the next', () => {
    expect(epochLimit(HISTORY, 1n)).toBe(180n);
    expect(epochLimit(HISTORY, 4n)).toBe(300n);
    expect(epochLimit(HISTORY, 5n)).toBeUndefined();
    expect(epochLimit(HISTORY, 3n)).toBe(-1n);
    expect(isBatchValid(HISTORY, { epoch: 1n, endLsn: 180n })).toBe(true);
    expect(isBatchValid(HISTORY, { epoch: 1n, endLsn: 181n })).toBe(false);
    expect(isBatchValid(HISTORY, { epoch: 3n, endLsn: 120n })).toBe(false);
    expect(isBatchValid(HISTORY, { epoch: 5n, endLsn: 10_000n })).toBe(true);
  });

  it('cuts a log at its first batch that does not count', () => {
    expect(annulPoint(HISTORY, [])).toBeUndefined();
    expect(annulPoint(HISTORY, [{ epoch: 1n, fromLsn: 100n, toLsn: 180n }])).toBeUndefined();
    expect(annulPoint(HISTORY, [{ epoch: 1n, fromLsn: 100n, toLsn: 220n }])).toBe(180n);
    expect(
      annulPoint(HISTORY, [
        { epoch: 1n, fromLsn: 100n, toLsn: 180n },
        { epoch: 4n, fromLsn: 180n, toLsn: 320n },
      ]),
    ).toBe(300n);
    expect(annulPoint(HISTORY, [{ epoch: 3n, fromLsn: 150n, toLsn: 170n }])).toBe(150n);
  });

  it('takes the newest history whole, and none of an epoch below the segment’s own', () => {
    const other = [...HISTORY.slice(0, 1), { epoch: 3n, startLsn: 120n }];
    expect(newestHistory([other, HISTORY, []])).toBe(HISTORY);
    expect(mergeHistories(other, HISTORY, 5n)).toBe(HISTORY);
    expect(mergeHistories(other, HISTORY, 6n)).toBe(other);
    expect(mergeHistories(HISTORY, other, 0n)).toBe(HISTORY);
  });

  it('refuses a history that goes back', () => {
    expect(() => checkHistory([...HISTORY].toReversed())).toThrow(EpochHistoryError);
    expect(() => extendHistory(HISTORY, { epoch: 6n, startLsn: 299n })).toThrow(EpochHistoryError);
    expect(extendHistory(HISTORY, { epoch: 6n, startLsn: 300n })).toHaveLength(4);
  });
});
