import { describe, expect, it } from 'vitest';
import { errnoOf, isStoreIoError, roomOf } from './disk-room.ts';

const MIB = 1024 * 1024;
const space = (freeMib: number, totalMib = 100_000): { freeBytes: number; totalBytes: number } => ({
  freeBytes: freeMib * MIB,
  totalBytes: totalMib * MIB,
});

describe('room on a disk', () => {
  it.each([
    // free, total, was full, is full, needed
    [257, 100_000, false, false, 320],
    [256, 100_000, false, false, 320],
    [255, 100_000, false, true, 320],
    [300, 100_000, true, true, 320],
    [320, 100_000, true, false, 320],
    [90, 1000, false, true, 125],
    [110, 1000, false, false, 125],
    [110, 1000, true, true, 125],
    [0, 1000, false, true, 125],
  ])('%i of %i MiB free, full before: %s: full %s', (free, total, wasFull, isFull, needed) => {
    const before = { isFull: wasFull, freeBytes: 0, neededBytes: 0 };
    expect(roomOf(space(free, total), 256 * MIB, before)).toEqual({ isFull, freeBytes: free * MIB, neededBytes: needed * MIB });
  });

  it('is judged the same when nothing is known from before as when there was room', () => {
    expect(roomOf(space(300), 256 * MIB, undefined).isFull).toBe(false);
  });
});

it('an error of the operating system is known by its code and errno, through what wraps it', () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC', errno: -28 });
  expect(errnoOf(full)).toBe('ENOSPC');
  expect(errnoOf(new Error('outer', { cause: full }))).toBe('ENOSPC');
  expect(errnoOf(Object.assign(new Error('no errno'), { code: 'ERR_INVALID_ARG_TYPE' }))).toBe('');
  const level = Object.assign(new Error('IO error'), { code: 'LEVEL_IO_ERROR' });
  expect(isStoreIoError(new Error('not open', { cause: level }))).toBe(true);
  expect(isStoreIoError(full)).toBe(false);
});
