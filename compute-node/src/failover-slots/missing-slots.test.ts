import { expect, test } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { missingSlots, type KeptSlots } from './missing-slots.ts';

/** Each look finds the next of `looks`, and the last one from then on. */
async function missing(wanted: readonly string[], looks: readonly (readonly string[] | Error)[], withinMs = 1000) {
  let now = 0;
  let looked = 0;
  const woken: number[] = [];
  const lost = await missingSlots({
    wanted: () => wanted,
    look: (): Promise<KeptSlots> => {
      const found = looks[Math.min(looked++, looks.length - 1)] ?? [];
      return found instanceof Error ? Promise.reject(found) : Promise.resolve({ kept: found, worker: 71 });
    },
    wake: (worker) => woken.push(worker),
    withinMs,
    clock: {
      ...systemClock(),
      now: () => now,
      sleep: (ms) => {
        now += ms;
        return Promise.resolve();
      },
    },
    logger: silentLogger(),
  });
  return { lost, waitedMs: now, looked, woken: woken.length };
}

test.each<[string, Parameters<typeof missing>, Awaited<ReturnType<typeof missing>>]>([
  ['where the writer has none, nobody looks', [[], []], { lost: [], waitedMs: 0, looked: 0, woken: 0 }],
  ['all are kept: nothing is waited for', [['a'], [['a', 'b']]], { lost: [], waitedMs: 0, looked: 1, woken: 0 }],
  [
    'one comes to be kept: its worker is woken each time',
    [
      ['a', 'b'],
      [['a'], ['a'], ['a', 'b']],
    ],
    { lost: [], waitedMs: 500, looked: 3, woken: 2 },
  ],
  ['one does not in the time, and is named', [['a', 'b'], [['a']]], { lost: ['b'], waitedMs: 1000, looked: 5, woken: 4 }],
  ['no time is one look', [['a'], [[]], 0], { lost: ['a'], waitedMs: 0, looked: 1, woken: 0 }],
  [
    'nobody can look: the switchover goes on',
    [['a'], [new Error('too many clients already')]],
    { lost: [], waitedMs: 0, looked: 1, woken: 0 },
  ],
])('%s', async (_what, given, found) => {
  expect(await missing(...given)).toEqual(found);
});
