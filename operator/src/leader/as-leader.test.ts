import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WorkQueue } from '../controller/work-queue.ts';
import { asLeader } from './as-leader.ts';

test('what comes up while a renewal is late is done when it has come, though nothing else happens', async () => {
  const timers: (() => void)[] = [];
  const done: string[] = [];
  let isLeading = false;
  const queue: WorkQueue = new WorkQueue({
    clock: {
      setTimer: (run) => {
        timers.push(run);
        return { cancel: () => undefined };
      },
      now: () => 0,
      random: () => 0.5,
    },
    concurrency: 1,
    onError: (_key, error) => {
      throw error;
    },
    work: asLeader({ leading: () => isLeading, again: (key, afterMs) => queue.addAfter(key, afterMs) }, async (key) => {
      done.push(key);
      await Promise.resolve();
    }),
  });
  const passTime = async (): Promise<void> => {
    for (const run of timers.splice(0)) run();
    await sleep(0);
  };
  queue.add('default/demo');
  await sleep(0);
  await passTime();
  expect(done).toEqual([]);
  isLeading = true;
  await passTime();
  expect(done).toEqual(['default/demo']);
  await passTime();
  expect(done).toHaveLength(1);
});
