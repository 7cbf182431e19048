import { expect, it } from 'vitest';
import { ReadPace } from './read-pace.ts';

/** How many of `reads` reads were made on the thread, with a disk that answers in `ms(n)`. */
function onTheThread(reads: number, ms: (read: number) => number): number {
  const pace = new ReadPace();
  let count = 0;
  for (let read = 0; read < reads; read++) {
    if (!pace.isQuick()) continue;
    count++;
    pace.note(ms(read));
  }
  return count;
}

it('reads on the thread what is in memory, also where a busy machine makes some of it slow', () => {
  expect(onTheThread(2000, () => 0.02)).toBe(2000);
  expect(onTheThread(2000, (read) => (read % 2 === 0 ? 0.02 : 3))).toBe(2000);
});

it('leaves a slow disk to the pool but for a few reads in five hundred', () => {
  expect(onTheThread(5280, () => 0.8)).toBe(160);
});

it('goes to the pool after one stall, and comes back', () => {
  expect(onTheThread(1024, (read) => (read === 3 ? 9 : 0.02))).toBe(1024 - 512);
});
