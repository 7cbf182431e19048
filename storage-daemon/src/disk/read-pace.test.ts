import { expect, it } from 'vitest';
import { ReadPace } from './read-pace.ts';

/** How many of `reads` reads were made on the thread: of a disk that answers in `ms(n)`, on a machine that gives a core after `waitMs(n)`. */
function onTheThread(reads: number, ms: (read: number) => number, waitMs: (read: number) => number = () => 0): number {
  const times = { at: 0, waited: 0 };
  const pace = new ReadPace({ now: () => times.at, waitedForCore: () => times.waited });
  let count = 0;
  for (let read = 0; read < reads; read++) {
    if (!pace.isQuick()) continue;
    count++;
    pace.timed(() => {
      times.waited += waitMs(read);
      times.at += ms(read) + waitMs(read);
    });
  }
  return count;
}

it('reads on the thread what is in memory, also where a busy machine makes some of it slow', () => {
  expect(onTheThread(2000, () => 0.02)).toBe(2000);
  expect(onTheThread(2000, (read) => (read % 2 === 0 ? 0.02 : 3))).toBe(2000);
});

it('leaves a slow disk to the pool but for a few reads in five hundred', () => {
  expect(onTheThread(5280, () => 0.8)).toBe(16 + 160);
});

it('goes to the pool after a stall that comes twice, and comes back', () => {
  expect(onTheThread(1024, (read) => (read === 3 ? 9 : 0.02))).toBe(1024);
  expect(onTheThread(1024, (read) => (read === 3 || read === 10 ? 9 : 0.02))).toBe(1024 - 512);
  // Two that are far apart are two first ones.
  expect(onTheThread(1024, (read) => (read === 3 || read === 40 ? 9 : 0.02))).toBe(1024);
});

it('takes no wait for a core for the disk, however often there is one', () => {
  const hasWait = (read: number): number => (read % 3 === 0 ? 12 : 0.5);
  expect(onTheThread(5280, () => 0.02, hasWait)).toBe(5280);
  // A disk that is slow beside it is found all the same.
  expect(onTheThread(5280, () => 0.8, hasWait)).toBeLessThan(300);
});

it('takes several reads for equal, and gives what was read', () => {
  let at = 0;
  const pace = new ReadPace({ now: () => at, waitedForCore: () => 0 });
  for (let read = 0; read < 100; read++) {
    expect(pace.isQuick()).toBe(true);
    expect(
      pace.timed(() => {
        at += 1;
        return read;
      }, 16),
    ).toBe(read);
  }
});
