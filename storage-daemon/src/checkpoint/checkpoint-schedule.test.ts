import { describe, expect, it } from 'vitest';
import { backlogOf, isCheckpointDue } from './checkpoint-schedule.ts';

const MIB = 1024 * 1024;
const DAEMONS = 6;

/**
 * LSNs (MiB) at which a daemon makes a checkpoint while the log advances, each record taking `overhead` more bytes of
 * log than of LSN.
 */
function checkpoints(stagger: number, startMib: number, endMib: number, overhead = 1.15): number[] {
  const limits = { bytes: 48 * MIB, refs: 300_000, stagger };
  const at: number[] = [];
  let checkpoint = startMib * MIB;
  for (let lsn = checkpoint; lsn < endMib * MIB; lsn += 64 * 1024) {
    const unmerged = {
      checkpoint: { lsn: BigInt(checkpoint), epoch: 1n },
      appliedLsn: BigInt(lsn),
      bytes: (lsn - checkpoint) * overhead,
      refs: 0,
    };
    if (!isCheckpointDue(limits, unmerged)) continue;
    checkpoint = lsn;
    at.push(lsn / MIB);
  }
  return at;
}

describe('the turn to make a checkpoint', () => {
  it('comes to one daemon after another, each time', () => {
    const all = Array.from({ length: DAEMONS }, (_, i) => checkpoints(i / DAEMONS, 1000, 3000)).flat();
    const sorted = all.toSorted((a, b) => a - b);
    for (const [i, lsn] of sorted.entries()) if (i > 0) expect(lsn - (sorted[i - 1] ?? 0)).toBeGreaterThan(5);
  });

  it('comes within one and a half stretches, wherever the log begins', () => {
    for (let start = 1000; start < 1048; start += 5) {
      let before = start;
      for (const lsn of checkpoints(0.5, start, 2000)) {
        expect(lsn - before).toBeLessThanOrEqual(48 * 1.5);
        before = lsn;
      }
    }
  });

  it('comes at once for many references, and never without applied redo', () => {
    const limits = { bytes: 48 * MIB, refs: 100, stagger: 0 };
    const checkpoint = { lsn: 1n, epoch: 1n };
    expect(isCheckpointDue(limits, { checkpoint, appliedLsn: 2n, bytes: 1, refs: 101 })).toBe(true);
    expect(isCheckpointDue(limits, { checkpoint, appliedLsn: 2n, bytes: 1, refs: 100 })).toBe(false);
    expect(isCheckpointDue(limits, { checkpoint, appliedLsn: 1n, bytes: 100 * MIB, refs: 101 })).toBe(false);
  });
});

it('leaves three times what starts a checkpoint waiting, and takes all there is at four', () => {
  const limits = { bytes: 48 * MIB, refs: 300_000, stagger: 0 };
  const at = (mib: number, refs: number): number => backlogOf(limits, { bytes: mib * MIB, refs });
  expect(at(48, 300_000)).toBeLessThan(0);
  expect([at(144, 0), at(168, 0), at(192, 0)]).toEqual([0, 0.5, 1]);
  expect([at(0, 900_000), at(0, 1_050_000), at(48, 1_200_000)]).toEqual([0, 0.5, 1]);
});
