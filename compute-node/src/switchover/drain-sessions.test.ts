import { expect, test } from 'vitest';
import { sleepOn, systemClock, type Timer } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { drainSessions, HANDOVER_MS, READY_MS } from './drain-sessions.ts';
import type { TransactionAccess } from './open-transactions.ts';
import { TransactionCount } from './transaction-count.ts';

/** Each list is what one look finds. */
test.each<[string, string[][], boolean, { finished: number; cutOff: number } | undefined]>([
  ['nobody has looked', [], false, undefined],
  ['one quiet look is not enough: a session may be about to begin', [[]], false, { finished: 0, cutOff: 0 }],
  ['two are', [[], []], true, { finished: 0, cutOff: 0 }],
  ['two with one between them are not', [[], ['2/7'], []], false, { finished: 1, cutOff: 0 }],
  ['all ended', [['2/7', '3/1'], ['3/1'], [], []], true, { finished: 2, cutOff: 0 }],
  ['one goes on', [['2/7', '3/1'], ['3/1']], false, { finished: 1, cutOff: 1 }],
  ['another in the same session', [['2/7'], ['2/8'], [], []], true, { finished: 2, cutOff: 0 }],
])('count: %s', (_what, looks, isQuiet, counted) => {
  const count = new TransactionCount();
  for (const look of looks) count.note(look);
  expect(count.isQuiet).toBe(isQuiet);
  expect(count.counted).toEqual(counted);
});

/** Time passes only where it is slept away. */
function steppedClock() {
  let now = 1000;
  const timers = new Set<{ readonly atMs: number; readonly work: () => void }>();
  const after = (ms: number, work: () => void): Timer => {
    const timer = { atMs: now + ms, work };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  };
  const clock = {
    ...systemClock(),
    now: () => now,
    after,
    sleep: (ms: number, signal?: AbortSignal) => sleepOn(after, ms, signal),
  };
  /** Whatever is due by then happens, in its order. */
  const pass = async (ms: number): Promise<void> => {
    const untilMs = now + ms;
    for (;;) {
      await new Promise((resolve) => setImmediate(resolve));
      const [next] = [...timers].toSorted((a, b) => a.atMs - b.atMs);
      if (next === undefined || next.atMs > untilMs) break;
      timers.delete(next);
      now = Math.max(now, next.atMs);
      next.work();
    }
    now = untilMs;
  };
  return { clock, pass };
}

function drain(access: TransactionAccess, withinMs = 2000) {
  const { clock, pass } = steppedClock();
  const over = new AbortController();
  const pauses: number[] = [];
  const pause = (untilMs: number): void => void pauses.push(untilMs);
  const drained = drainSessions({ pause, access, withinMs, clock, logger: silentLogger() }, over.signal);
  return { drained, pass, over, pauses };
}

const finding =
  (...looks: string[][]): TransactionAccess =>
  (work) =>
    work(() => Promise.resolve(looks.shift() ?? []));

test('is over as soon as nothing is under way; the pause goes on for whoever takes the place, and has an end', async () => {
  const { drained, pass, pauses } = drain(finding(['2/6'], ['2/7'], []));
  await pass(500);
  const { waitedMs, transactions } = await drained;
  expect(waitedMs).toBeLessThan(100);
  expect(transactions).toEqual({ finished: 1, cutOff: 0 });
  expect(pauses).toEqual([1000 + 2000 + HANDOVER_MS]);
});

test('takes no longer than it may, also where PostgreSQL does not answer', async () => {
  const endless = drain((work) => work(() => Promise.resolve(['2/7'])));
  await endless.pass(2000);
  expect(await endless.drained).toEqual({ waitedMs: 2000, transactions: { finished: 0, cutOff: 1 } });
  const silent = drain((work) => work(() => new Promise(() => undefined)));
  await silent.pass(READY_MS + 2000);
  expect(await silent.drained).toEqual({ waitedMs: 2000, transactions: undefined });
});

test('waits all of the time where nobody can look, and fails nothing', async () => {
  const blind = drain(() => Promise.reject(new Error('sorry, too many clients already')));
  await blind.pass(2000);
  expect(await blind.drained).toEqual({ waitedMs: 2000, transactions: undefined });
});

test('is over when PostgreSQL is, and then nobody knows', async () => {
  const { drained, pass, over } = drain((work) => work(() => Promise.resolve(['2/7'])));
  await pass(300);
  over.abort();
  expect(await drained).toEqual({ waitedMs: 300, transactions: undefined });
});

test('pauses nobody before somebody can look, or for want of that after a while', async () => {
  const connected = Promise.withResolvers<void>();
  const late = drain(async (work) => {
    await connected.promise;
    await work(() => Promise.resolve([]));
  });
  await late.pass(400);
  expect(late.pauses).toEqual([]);
  connected.resolve();
  await late.pass(100);
  expect(late.pauses).toEqual([1400 + 2000 + HANDOVER_MS]);
  expect((await late.drained).transactions).toEqual({ finished: 0, cutOff: 0 });
  const never = drain(() => new Promise(() => undefined));
  await never.pass(READY_MS);
  expect(never.pauses).toEqual([1000 + READY_MS + 2000 + HANDOVER_MS]);
  await never.pass(2000);
  await never.drained;
  // It ended before anybody was paused: nobody is.
  const ended = drain(() => new Promise(() => undefined));
  ended.over.abort();
  expect(await ended.drained).toEqual({ waitedMs: 0, transactions: undefined });
  expect(ended.pauses).toEqual([]);
});

test('no time at all is no wait', async () => {
  const { drained, pass } = drain(finding(), 0);
  await pass(0);
  expect(await drained).toEqual({ waitedMs: 0, transactions: { finished: 0, cutOff: 0 } });
});
