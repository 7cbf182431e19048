import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { WorkQueue, type QueueClock } from './work-queue.ts';

/** Timers that run when the test says so. */
class Clock implements QueueClock {
  time = 0;
  #timers: { at: number; run: () => void }[] = [];
  now = (): number => this.time;
  random = (): number => 0.5;
  setTimer = (run: () => void, delayMs: number): { cancel: () => void } => {
    const entry = { at: this.time + delayMs, run };
    this.#timers.push(entry);
    return { cancel: () => void (this.#timers = this.#timers.filter((other) => other !== entry)) };
  };
  async advance(ms: number): Promise<void> {
    this.time += ms;
    const due = this.#timers.filter(({ at }) => at <= this.time);
    this.#timers = this.#timers.filter(({ at }) => at > this.time);
    for (const { run } of due) run();
    await sleep(0);
  }
}

function setUp(work: (key: string) => Promise<void>, concurrency = 2) {
  const clock = new Clock();
  const errors: number[] = [];
  const queue = new WorkQueue({ clock, work, concurrency, onError: (_key, _error, retryInMs) => errors.push(retryInMs) });
  return { clock, queue, errors };
}

test('a key is worked on once at a time, and again when it was added meanwhile', async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const { queue } = setUp(async () => {
    runs += 1;
    most = Math.max(most, ++running);
    await sleep(5);
    running -= 1;
  });
  for (let i = 0; i < 5; i += 1) queue.add('a');
  await sleep(1);
  for (let i = 0; i < 5; i += 1) queue.add('a');
  await sleep(30);
  expect({ runs, most }).toEqual({ runs: 2, most: 1 });
  await queue.stop();
});

test('different keys run together up to the limit', async () => {
  let running = 0;
  let most = 0;
  const { queue } = setUp(async () => {
    most = Math.max(most, ++running);
    await sleep(2);
    running -= 1;
  }, 3);
  for (const key of 'abcdefgh') queue.add(key);
  await sleep(50);
  expect(most).toBe(3);
  await queue.stop();
});

test('failures retry later and later, success forgets them', async () => {
  let failing = true;
  let runs = 0;
  const { clock, queue, errors } = setUp(async () => {
    runs += 1;
    if (failing) throw new Error('no');
  });
  queue.add('a');
  await sleep(0);
  for (let i = 0; i < 3; i += 1) await clock.advance(60_000);
  expect(errors).toEqual([500, 1_000, 2_000, 4_000]);
  failing = false;
  await clock.advance(60_000);
  failing = true;
  queue.add('a');
  await sleep(0);
  expect(errors.at(-1)).toBe(500);
  expect(runs).toBe(6);
});

test('a failing key that is added while it runs does not spin', async () => {
  let runs = 0;
  const { queue } = setUp(async () => {
    runs += 1;
    queue.add('a');
    throw new Error('no');
  });
  queue.add('a');
  await sleep(20);
  expect(runs).toBe(1);
});

test('of several delays the earliest counts, and adding at once replaces them', async () => {
  let runs = 0;
  const { clock, queue } = setUp(async () => void (runs += 1));
  queue.addAfter('a', 1_000);
  queue.addAfter('a', 100);
  queue.addAfter('a', 500);
  await clock.advance(100);
  expect(runs).toBe(1);
  await clock.advance(2_000);
  expect(runs).toBe(1);
  queue.addAfter('a', 1_000);
  queue.add('a');
  await clock.advance(2_000);
  expect(runs).toBe(2);
});

test('stop waits for what runs and takes nothing more', async () => {
  let done = false;
  const { queue } = setUp(async () => {
    await sleep(10);
    done = true;
  });
  queue.add('a');
  await queue.stop();
  expect(done).toBe(true);
  queue.add('b');
  expect(queue.depth).toBe(0);
});
