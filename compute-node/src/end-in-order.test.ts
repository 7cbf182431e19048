import { expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { endInOrder } from './end-in-order.ts';
import { ScriptedSession } from './fixture-session.ts';

/** What a session is told whose PostgreSQL does not end by itself, once these times are up that are not longer than `passedMs`. */
async function toldWithin(passedMs: number, isSucceeded: boolean, oldestFlushMs = 0): Promise<{ told: string[]; noQuorum: boolean }> {
  const session = new ScriptedSession();
  const ordered = Promise.withResolvers<void>();
  session.stop = () => {
    session.told.push('stop');
    return ordered.promise;
  };
  session.writePath = {
    sentLsn: 200n,
    oldestFlushMs,
    ringBytes: 0,
    waitingFlushes: 1,
    flushesReturn: 'durable',
    segment: () => {
      throw new Error('nobody asks');
    },
  };
  const timers = new Map<() => void, number>();
  const clock = {
    ...systemClock(),
    after: (ms: number, work: () => void) => {
      timers.set(work, ms);
      return { cancel: () => void timers.delete(work) };
    },
  };
  let noQuorum = false;
  const ended = endInOrder({
    session,
    quorumWaitMs: 25_000,
    makeRoom: () => Promise.resolve(isSucceeded),
    onNoQuorum: () => (noQuorum = true),
    clock,
    logger: silentLogger(),
  });
  await expect.poll(() => session.told).toEqual(['stop']);
  for (const [work, ms] of timers) if (ms <= passedMs) work();
  ordered.resolve();
  await ended;
  expect(timers.size).toBe(0);
  return { told: session.told, noQuorum };
}

it.each<[string, Parameters<typeof toldWithin>, string[], boolean]>([
  ['with a reader to succeed it a PostgreSQL that does not end is ended after three seconds', [3000, true], ['stop', 'kill'], false],
  ['without one it has all of the time', [24_999, false], ['stop'], false],
  ['what waits for storage is waited for, whoever is there', [24_999, true, 800], ['stop'], false],
  ['until the time is up', [25_000, true, 800], ['stop', 'kill'], true],
  ['which it is for all', [25_000, false], ['stop', 'kill'], true],
])('%s', async (_what, given, told, noQuorum) => {
  expect(await toldWithin(...given)).toEqual({ told, noQuorum });
});
