import { lsn } from '@kube-aurora/pg-format';
import { expect, test } from 'vitest';
import { ReplayProgress } from './replay-progress.ts';

test('lag is the age of the oldest durable redo that was not replayed', () => {
  const progress = new ReplayProgress(lsn(100));
  expect(progress.lagMs(1000)).toBe(0);
  progress.noteDurable(lsn(200), 1000);
  progress.noteDurable(lsn(300), 1010);
  expect([progress.vdl, progress.replayLsn, progress.lagMs(1030)]).toEqual([300n, 100n, 30]);
  progress.noteReplayed(lsn(200));
  expect(progress.lagMs(1030)).toBe(20);
  progress.noteReplayed(lsn(250));
  expect(progress.lagMs(1040)).toBe(30);
  progress.noteReplayed(lsn(300));
  expect([progress.lagMs(5000), progress.replayLsn]).toEqual([0, 300n]);
  // Nothing goes back.
  progress.noteReplayed(lsn(150));
  progress.noteDurable(lsn(250), 6000);
  expect([progress.vdl, progress.replayLsn, progress.lagMs(6000)]).toEqual([300n, 300n, 0]);
});

test('a reader that is stuck keeps few marks, and its lag counts from the first', () => {
  const progress = new ReplayProgress(lsn(0));
  for (let at = 0; at < 20_000; at++) progress.noteDurable(lsn(at + 1), at * 5);
  expect(progress.lagMs(100_000)).toBe(100_000);
  progress.noteReplayed(lsn(1));
  expect(progress.lagMs(100_000)).toBe(99_995);
  progress.noteReplayed(lsn(20_000));
  expect(progress.lagMs(100_000)).toBe(0);
});
