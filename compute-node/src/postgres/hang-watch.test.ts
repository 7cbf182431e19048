import { sleepOn, systemClock, type Clock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { expect, test } from 'vitest';
import { SILENT_LOOKS, watchForHang } from './hang-watch.ts';

/** Waits for nothing: a minute is over at once. */
const clock: Clock = { ...systemClock(), sleep: (_ms, signal) => sleepOn((_, work) => systemClock().after(0, work), 0, signal) };

/** Plays the looks in turn, then stops the watch; answers what the watch said and how many looks it took. */
async function play(looks: readonly boolean[]): Promise<{ hung: boolean; looks: number }> {
  const stop = new AbortController();
  let taken = 0;
  const greets = (): Promise<boolean> => {
    if (taken === looks.length) stop.abort();
    return Promise.resolve(looks[taken++] ?? true);
  };
  const hung = await watchForHang({ greets, clock, logger: silentLogger(), signal: stop.signal });
  return { hung, looks: taken };
}

const silent = (looks: number): boolean[] => Array.from({ length: looks }, () => false);

test('PostgreSQL hangs when every look of a minute brought nothing', async () => {
  expect(await play(silent(SILENT_LOOKS + 5))).toEqual({ hung: true, looks: SILENT_LOOKS });
});

test('a single answer begins the count anew', async () => {
  const looks = [...silent(SILENT_LOOKS - 1), true, ...silent(SILENT_LOOKS - 1), true];
  expect(await play(looks)).toEqual({ hung: false, looks: looks.length + 1 });
});

test('a watch that is ended says nothing of a hang', async () => {
  expect(await watchForHang({ greets: () => Promise.resolve(false), clock, logger: silentLogger(), signal: AbortSignal.abort() })).toBe(
    false,
  );
});
