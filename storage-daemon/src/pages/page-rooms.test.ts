import { expect, it } from 'vitest';
import { PageRooms } from './page-rooms.ts';

const MIB = 1024 * 1024;

it('gives rooms that are large enough, again once they were given back, and nobody has the same one', () => {
  const rooms = new PageRooms();
  const one = rooms.take(5 * 8192);
  const other = rooms.take(7 * 8192);
  expect(one.pages.length).toBe(8 * 8192);
  expect(other).not.toBe(one);
  rooms.give(one);
  expect(rooms.take(8192)).not.toBe(one);
  expect(rooms.take(8 * 8192)).toBe(one);
  expect(rooms.take(8 * 8192)).not.toBe(one);
});

it('keeps no more than four MiB of what is free, with what the log was read into', () => {
  const rooms = new PageRooms();
  const taken = Array.from({ length: 40 }, (_, at) => rooms.take((1 + (at % 64)) * 8192));
  for (const room of taken) {
    room.log.bytes = Buffer.alloc(100_000);
    rooms.give(room);
  }
  expect(rooms.keptBytes).toBeGreaterThan(3 * MIB);
  expect(rooms.keptBytes).toBeLessThanOrEqual(4 * MIB);
  for (let count = 0; count < 40; count++) rooms.take((1 + count) * 8192);
  expect(rooms.keptBytes).toBeGreaterThanOrEqual(0);
});
