import { expect, it } from 'vitest';
import { garbageCollector, MemoryWatch } from './memory-watch.ts';

const MIB = 1024 * 1024;

it('collects what may be garbage once there was no work for a while, and not again for what is in use', () => {
  let buffers = 20;
  const watch = new MemoryWatch({
    garbageBytes: 16 * MIB,
    littleWork: 3,
    bufferBytes: () => buffers * MIB,
    collect: () => (buffers -= 10),
  });
  const looks = (count: number, worked: () => number): boolean[] => Array.from({ length: count }, () => watch.look(worked()));
  let batches = 0;
  expect(looks(2, () => (batches += 4))).toEqual([false, false]);
  buffers = 60;
  expect(looks(10, () => (batches += 4))).not.toContain(true);
  // Heartbeats go on.
  expect(looks(4, () => (batches += 3))).toEqual([false, false, false, true]);
  // 50 MiB are in use.
  expect(looks(10, () => batches)).not.toContain(true);
  buffers = 65;
  expect(looks(10, () => batches)).not.toContain(true);
  buffers = 66;
  expect(looks(1, () => (batches += 4))).toEqual([false]);
  expect(looks(4, () => batches)).toEqual([false, false, false, true]);
  expect(watch.collections).toBe(2);
});

it('has V8 give back buffers that nobody uses', async () => {
  const collect = garbageCollector();
  let gone = false;
  const registry = new FinalizationRegistry(() => (gone = true));
  (() => registry.register(Buffer.allocUnsafeSlow(MIB), 'a buffer'))();
  for (let tries = 0; tries < 50 && !gone; tries++) {
    await new Promise((resolve) => setImmediate(resolve));
    collect();
  }
  expect(gone).toBe(true);
});
