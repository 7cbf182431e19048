import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { annulPoint, isBatchValid, type EpochRun, type EpochStart } from './epoch-history.ts';
import {
  contradiction,
  EPOCH_MAX,
  EPOCH_STEP_MAX,
  HISTORY_MAX,
  refuseEpoch,
  refuseForm,
  refuseHistory,
  refuseSplitBatch,
} from './history-rules.ts';

const OWN = [
  { epoch: 1n, startLsn: 100n },
  { epoch: 4n, startLsn: 180n },
  { epoch: 5n, startLsn: 300n },
];
const entry = (epoch: bigint, startLsn: bigint): EpochStart => ({ epoch, startLsn });

/** An honest history, and the log of a segment that holds all of it up to its last batch. */
const ownLog = fc
  .array(fc.tuple(fc.bigInt({ min: 1n, max: 3n }), fc.bigInt({ min: 0n, max: 20n })), { minLength: 1, maxLength: 6 })
  .map((steps) => {
    const history: EpochStart[] = [];
    const runs: EpochRun[] = [];
    let [epoch, lsn] = [0n, 100n];
    for (const [gap, bytes] of steps) {
      epoch += gap;
      history.push({ epoch, startLsn: lsn });
      if (bytes > 0n) runs.push({ epoch, fromLsn: lsn, toLsn: lsn + bytes });
      lsn += bytes;
    }
    return { history, runs, scl: lsn };
  });
/** Anything that a message can carry, near enough to the honest ones to be interesting. */
const anyHistory = fc.array(
  fc.record({
    epoch: fc.oneof(fc.bigInt({ min: 0n, max: 22n }), fc.constantFrom(2n ** 64n - 1n, EPOCH_MAX, EPOCH_MAX + 1n)),
    startLsn: fc.oneof(fc.bigInt({ min: 90n, max: 230n }), fc.constantFrom(0n, 2n ** 64n - 1n)),
  }),
  { maxLength: 8 },
);

describe('refuseHistory', () => {
  it('lets nobody annul what is durable, whatever the message says', () => {
    let taken = 0;
    fc.assert(
      fc.property(ownLog, anyHistory, fc.bigInt({ min: 0n, max: 120n }), ({ history, runs, scl }, incoming, back) => {
        const durableLsn = scl - back < 100n ? 100n : scl - back;
        const known = { highestEpoch: history.at(-1)?.epoch ?? 0n, fromLsn: 100n, durableLsn };
        // Half the messages go on from the true history: those come closest to being taken.
        for (const message of [incoming, [...history, ...incoming]]) {
          if (refuseHistory(history, message, known) !== undefined) continue;
          taken++;
          const cut = annulPoint(message, runs);
          expect(cut === undefined || cut >= durableLsn, `cut at ${cut}, durable up to ${durableLsn}`).toBe(true);
          for (const run of runs)
            if (run.fromLsn < durableLsn)
              expect(isBatchValid(message, { epoch: run.epoch, endLsn: run.toLsn < durableLsn ? run.toLsn : durableLsn })).toBe(true);
        }
      }),
      { numRuns: 3000 },
    );
    expect(taken).toBeGreaterThan(50);
  });

  it('takes every history that an honest opener can come with', () => {
    fc.assert(
      fc.property(
        ownLog,
        fc.bigInt({ min: 0n, max: 120n }),
        fc.bigInt({ min: 0n, max: 120n }),
        fc.bigInt({ min: 1n, max: 9n }),
        (own, back, ahead, gap) => {
          const durableLsn = own.scl - back < 100n ? 100n : own.scl - back;
          const last = own.history.at(-1)?.epoch ?? 0n;
          // It starts anywhere at or past what is durable, and has not heard of epochs that came to nothing.
          const startLsn = durableLsn + ahead;
          const kept = own.history.filter((one) => one.startLsn <= startLsn);
          const message = [...kept, { epoch: last + gap, startLsn }];
          expect(refuseHistory(own.history, message, { highestEpoch: last, fromLsn: 100n, durableLsn })).toBeUndefined();
        },
      ),
    );
  });

  it.each<[string, EpochStart[], bigint, string | undefined]>([
    ['an honest next one', [...OWN, entry(6n, 400n)], 400n, undefined],
    ['one that starts before what is durable', [...OWN, entry(6n, 350n)], 400n, 'history-contradicts-durable'],
    [
      'one that was not there when an epoch wrote',
      [entry(1n, 100n), entry(4n, 180n), entry(6n, 400n)],
      400n,
      'history-contradicts-durable',
    ],
    [
      'one that ends an epoch early',
      [entry(1n, 100n), entry(4n, 150n), entry(5n, 300n), entry(6n, 400n)],
      400n,
      'history-contradicts-durable',
    ],
    ['nothing', [], 400n, 'history-malformed'],
    ['an epoch 0', [entry(0n, 100n), entry(6n, 400n)], 400n, 'history-malformed'],
    ['epochs that go back', [...OWN, entry(5n, 400n)], 400n, 'history-malformed'],
    ['starts that go back', [...OWN, entry(6n, 299n)], 100n, 'history-malformed'],
    ['a made-up epoch', [...OWN, entry(2n ** 64n - 1n, 400n)], 400n, 'epoch-jump'],
    ['too many entries', Array.from({ length: HISTORY_MAX + 1 }, (_, index) => entry(BigInt(index + 1), 400n)), 400n, 'history-too-long'],
  ])('%s', (_what, message, durableLsn, reason) => {
    expect(refuseHistory(OWN, message, { highestEpoch: 5n, fromLsn: 100n, durableLsn })?.reason).toBe(reason);
  });
});

it('names the entry and the field', () => {
  expect(refuseForm([...OWN, entry(6n, 299n)], 5n)?.message).toMatch(/^\[3\]\.start_lsn: 0\/12B goes back from 0\/12C of epoch 5/);
  expect(refuseForm([...OWN, entry(5n, 400n)], 5n)?.message).toMatch(/^\[3\]\.epoch: 5 does not ascend/);
});

it('an epoch goes up by a bounded step, and never near the end of its numbers', () => {
  expect(refuseEpoch(5n + EPOCH_STEP_MAX, 5n)).toBeUndefined();
  expect(refuseEpoch(6n + EPOCH_STEP_MAX, 5n)?.reason).toBe('epoch-jump');
  expect(refuseEpoch(EPOCH_MAX, EPOCH_MAX - 1n)).toBeUndefined();
  expect(refuseEpoch(EPOCH_MAX + 1n, EPOCH_MAX)?.reason).toBe('epoch-jump');
});

it('asks nothing of redo that is gone from the log', () => {
  const later = [entry(5n, 300n), entry(6n, 400n)];
  expect(contradiction(OWN, later, 100n, 400n)).toEqual({ epoch: 1n, limitLsn: 0n, durableLsn: 400n });
  expect(contradiction(OWN, later, 300n, 400n)).toBeUndefined();
});

it('a history ends a log where a batch ends, and nowhere else', () => {
  const runs: EpochRun[] = [{ epoch: 5n, fromLsn: 300n, toLsn: 400n }];
  const ends = new Set([300n, 350n, 400n]);
  const refusal = (startLsn: bigint) => refuseSplitBatch([...OWN, entry(6n, startLsn)], runs, (lsn) => ends.has(lsn));
  for (const end of ends) expect(refusal(end)).toBeUndefined();
  // Past the log: nothing of it is annulled.
  expect(refusal(500n)).toBeUndefined();
  for (const inside of [301n, 349n, 351n, 399n]) expect(refusal(inside)?.reason).toBe('history-splits-a-batch');
});
