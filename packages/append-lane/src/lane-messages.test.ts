import { setTimeout } from 'node:timers/promises';
import { LAYOUTS } from '@kube-aurora/frames';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { append, batchTo, EPOCH, first, frame, HELLO, inFrames, LaneWire, second, STREAM } from './testing/lane-wire.ts';

/** Messages as they may come: in frames, cut anywhere, among others. */

let wire: LaneWire;
beforeEach(async () => {
  wire = await LaneWire.open();
});
afterEach(() => wire.close());

it('takes a message of several frames whole, and others with it', async () => {
  const long = batchTo(200n, 300n, { bytes: 250 * 1024 });
  const longer = batchTo(300n, 400n, { bytes: 300 * 1024 });
  wire.lend();
  wire.client.write(Buffer.concat([frame(append(first)), ...inFrames(append(long), 4), ...inFrames(append(longer), 5)]));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(400n);
  wire.client.write(Buffer.concat(inFrames(append(batchTo(400n, 500n)), 32)));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(500n);
  wire.lane?.refresh();
  expect(wire.taken.map(({ frames, frameBytes }) => [frames, frameBytes])).toEqual([
    [1, append(first).length],
    [4, append(long).length],
    [5, append(longer).length],
    [32, append(batchTo(400n, 500n)).length],
  ]);
  const all = Buffer.concat(wire.taken.map(({ batches }) => batches));
  expect(all.equals(Buffer.concat([first, long, longer, batchTo(400n, 500n)]))).toBe(true);
  expect(wire.logged().subarray(0, all.length).equals(all)).toBe(true);
});

it('tells at once what it took when a message stands still, since a window may be what that waits for', async () => {
  wire.lend();
  const [begun = HELLO, ...rest] = inFrames(append(second), 2);
  wire.client.write(Buffer.concat([frame(append(first)), begun]));
  await expect.poll(() => wire.taken.length, { timeout: 100, interval: 5 }).toBe(1);
  wire.client.write(Buffer.concat(rest));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(300n);
});

it('passes on what has come of a message when it is reclaimed in the middle of it', async () => {
  wire.lend();
  const [begun = HELLO, end = HELLO] = inFrames(append(first), 2);
  wire.client.write(begun);
  await setTimeout(20);
  expect(wire.passed).toEqual(HELLO);
  wire.lane?.reclaim();
  await expect.poll(() => wire.passed).toEqual(Buffer.concat([HELLO, begun]));
  await wire.send(end);
  expect(wire.taken).toEqual([]);
});

it('whatever comes, however it is cut: what is next is taken, the rest passed on in order, and nothing is lost or made twice', async () => {
  const junk = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((bytes) => frame(Buffer.from(bytes), { stream: 9, type: 1 }));
  const odd = fc.uint8Array({ minLength: 1, maxLength: 60 }).map((bytes) => frame(Buffer.from(bytes)));
  const next = fc.constantFrom('next', 'next', 'next in frames');
  const part = fc.oneof({ weight: 4, arbitrary: next }, { weight: 3, arbitrary: junk }, { weight: 1, arbitrary: odd });
  let end = { lsn: 100n, epoch: 6n };
  let offset = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 4 }), async (parts, cuts) => {
      wire.taken = [];
      const before = wire.passed.length;
      wire.lend({ end, offset });
      expect(wire.lane).toBeDefined();
      const due: Buffer[] = [];
      const others: Buffer[] = [];
      let isLent = true;
      const all = parts.map((one) => {
        if (typeof one === 'string') {
          const to = end.lsn + 100n;
          const batch = batchTo(end.lsn, to, { previousEpoch: end.epoch, fill: due.length });
          const message = append(batch);
          const bytes = one === 'next' ? frame(message) : Buffer.concat(inFrames(message, 3));
          if (!isLent) others.push(bytes);
          else {
            due.push(batch);
            end = { lsn: to, epoch: EPOCH };
          }
          return bytes;
        }
        // DATA of the lane that is no batch ends it.
        if (LAYOUTS.frame.stream.get(one) === STREAM) isLent = false;
        others.push(one);
        return one;
      });
      const bytes = Buffer.concat(all);
      const places = cuts.map((cut) => cut % (bytes.length + 1)).toSorted((a, b) => a - b);
      for (const [index, place] of [...places, bytes.length].entries()) {
        wire.client.write(bytes.subarray(places[index - 1] ?? 0, place));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const rest = Buffer.concat(others);
      await expect.poll(() => wire.passed.length, { interval: 1 }).toBe(before + rest.length);
      const expected = Buffer.concat(due);
      const takenBytes = (): number => {
        wire.lane?.refresh();
        return wire.taken.reduce((sum, { batches }) => sum + batches.length, 0);
      };
      await expect.poll(takenBytes, { interval: 1 }).toBe(expected.length);
      wire.lane?.reclaim();
      expect(wire.passed.subarray(before)).toEqual(rest);
      expect(Buffer.concat(wire.taken.map(({ batches }) => batches))).toEqual(expected);
      expect(wire.logged().subarray(offset, offset + expected.length)).toEqual(expected);
      offset += expected.length;
    }),
    { numRuns: 150 },
  );
  // What is told is told before the acknowledgement has arrived.
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(end.lsn);
});
