import { once } from 'node:events';
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { LAYOUTS } from '@kube-aurora/frames';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { LANE_MESSAGE_BYTES_MAX } from './taken.ts';
import { append, batchTo, EPOCH, first, frame, HELLO, inFrames, LaneWire, other, second, STREAM } from './testing/lane-wire.ts';

let wire: LaneWire;
beforeEach(async () => {
  wire = await LaneWire.open();
});
afterEach(() => wire.close());

it('takes what is next: it is in the file, acknowledged, and told', async () => {
  wire.lend({ isFollowed: true });
  expect(wire.lane).toBeDefined();
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.acknowledgements()).toEqual([{ scl: 200n, epoch: EPOCH, result: 0, followed: 1 }]);
  wire.client.write(frame(append(second)));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(300n);
  await expect.poll(() => wire.taken.length).toBe(2);
  expect(Buffer.concat(wire.taken.map(({ batches }) => batches))).toEqual(Buffer.concat([first, second]));
  expect(wire.taken[0]).toMatchObject({ vdl: 50n, pgmrpl: 40n, errno: 0, frameBytes: append(first).length });
  expect(wire.taken[0]?.syncMs).toBeGreaterThan(0);
  expect(wire.logged().subarray(0, first.length + second.length)).toEqual(Buffer.concat([first, second]));
  expect(wire.passed).toEqual(HELLO);
});

it('several together cost one sync and one acknowledgement, and what is not of the lane comes by in order', async () => {
  wire.lend();
  wire.client.write(Buffer.concat([other, frame(append(first)), frame(append(second)), frame(append()), other]));
  await expect.poll(() => wire.passed.subarray(HELLO.length)).toEqual(Buffer.concat([other, other]));
  await expect.poll(() => wire.acknowledgements()).toEqual([{ scl: 300n, epoch: EPOCH, result: 0, followed: 0 }]);
  await expect.poll(() => wire.taken.map(({ batches }) => batches.length)).toEqual([first.length, second.length, 0]);
  expect(wire.taken.filter(({ syncMs }) => syncMs > 0)).toHaveLength(1);
});

it('tells everything that it has acknowledged when it is asked, and goes on', async () => {
  wire.lend();
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.acknowledgements().length).toBe(1);
  wire.lane?.refresh();
  expect(wire.taken.map(({ batches }) => batches)).toEqual([first]);
  wire.client.write(frame(append(second)));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(300n);
});

it('tells everything that it has acknowledged when it is reclaimed, and takes nothing after', async () => {
  wire.lend();
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.acknowledgements().length).toBe(1);
  wire.lane?.reclaim();
  expect(wire.taken.map(({ batches }) => batches)).toEqual([first]);
  await wire.send(frame(append(second)));
  expect(wire.taken).toHaveLength(1);
  expect(wire.acknowledgements()).toHaveLength(1);
});

const damaged = (at: number): Buffer => {
  const bytes = Buffer.from(first);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  return bytes;
};
it.each([
  ['of another epoch', () => frame(append(batchTo(100n, 200n, { epoch: 8n, previousEpoch: 6n })))],
  ['after a batch of another epoch', () => frame(append(batchTo(100n, 200n, { previousEpoch: 5n })))],
  ['of another group', () => frame(append(batchTo(100n, 200n, { previousEpoch: 6n, pg: 4 })))],
  ['after a gap', () => frame(append(batchTo(101n, 200n, { previousEpoch: 6n })))],
  ['that is there already', () => frame(append(batchTo(50n, 100n)))],
  ['whose second batch does not follow', () => frame(append(first, batchTo(201n, 300n)))],
  ['with a damaged payload', () => frame(append(damaged(first.length - 10)))],
  ['with a damaged header', () => frame(append(damaged(20)))],
  ['that is cut short', () => frame(append(first.subarray(0, first.length - 8)))],
  ['with bytes behind it', () => frame(append(first, Buffer.alloc(8)))],
  ['shorter than its fields', () => frame(Buffer.alloc(3))],
  ['with an LSN that is no number', () => frame(append(batchTo(100n, 0x20_0000_0000_0001n, { previousEpoch: 6n })))],
  [
    'with another stream’s frame in it',
    () => Buffer.concat([...inFrames(append(first), 2).slice(0, 1), other, ...inFrames(append(first), 2).slice(1)]),
  ],
  ['longer than is taken', () => Buffer.concat(inFrames(Buffer.alloc(LANE_MESSAGE_BYTES_MAX + 1), 6))],
  ['in too many frames', () => Buffer.concat(inFrames(append(first), 33))],
  ['that is the last', () => frame(append(first), { flags: 2 })],
])('leaves a message %s to others, and all that follows', async (_what, message) => {
  wire.lend();
  await wire.send(message());
  await wire.send(frame(append(first)));
  expect(wire.taken).toEqual([]);
  expect(wire.received).toHaveLength(0);
  expect(wire.logged().every((byte) => byte === 0)).toBe(true);
});

it('writes no further than was lent', async () => {
  wire.lend({ filled: first.length, capacity: first.length + second.length - 1 });
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.acknowledgements().length).toBe(1);
  await wire.send(frame(append(second)));
  expect(
    wire
      .logged()
      .subarray(first.length)
      .every((byte) => byte === 0),
  ).toBe(true);
});

it.each([
  ['a stretch', 2 * 1024 * 1024, first.length + 1024 * 1024],
  ['to its end', first.length + second.length + 10, first.length + second.length + 10],
])('fills the file ahead, %s, before it goes past what is filled, and says how far', async (_what, capacity, filled) => {
  wire.lend({ filled: first.length, capacity });
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.acknowledgements().length).toBe(1);
  writeSync(wire.file, Buffer.alloc(1000, 0xff), 0, 1000, first.length + second.length);
  wire.client.write(frame(append(second)));
  await expect.poll(() => wire.acknowledgements().length).toBe(2);
  wire.lane?.refresh();
  expect(wire.taken.map(({ aheadBytes }) => aheadBytes)).toEqual([0, filled - first.length - second.length]);
  const zeros = wire.logged().subarray(first.length + second.length, filled);
  expect(zeros.equals(Buffer.alloc(filled - first.length - second.length))).toBe(true);
});

it('keeps back the next message of a stream, and what comes behind it, until it is lent', async () => {
  expect(wire.socket.hold(STREAM, true)).toBe(true);
  expect(wire.socket.hold(9, true)).toBe(false);
  // What a message has begun with is not cut off from its end.
  await wire.send(frame(append(first), { flags: 1 }));
  await wire.send(frame(Buffer.alloc(8)));
  wire.client.write(
    Buffer.concat([frame(append(first)), frame(append(second)), frame(Buffer.from('pages, please'), { stream: 9, type: 1 })]),
  );
  await setTimeout(30);
  const before = wire.passed.length;
  wire.lend();
  await expect.poll(() => wire.acknowledgements().map(({ scl }) => scl)).toEqual([300n]);
  await expect.poll(() => wire.passed.length).toBe(before + LAYOUTS.frame.size + 13);
});

it('keeps nothing back any more when it is told so, and nothing of a stream that is lent', async () => {
  expect(wire.socket.hold(STREAM, true)).toBe(true);
  await wire.send(frame(append(first)));
  wire.client.write(frame(append(second)));
  await setTimeout(30);
  const before = wire.passed.length;
  expect(wire.socket.hold(STREAM, false)).toBe(false);
  await expect.poll(() => wire.passed.length).toBe(before + frame(append(second)).length);
  wire.lend({ end: { lsn: 300n, epoch: EPOCH } });
  expect(wire.socket.hold(STREAM, true)).toBe(false);
  wire.client.write(Buffer.concat([frame(append(batchTo(300n, 400n))), frame(append(batchTo(400n, 500n)))]));
  await expect.poll(() => wire.acknowledgements().at(-1)?.scl).toBe(500n);
});

it('acknowledges nothing that the disk did not take, and says what it said', async () => {
  const readOnly = openSync(path.join(wire.directory, 'log'), constants.O_RDONLY);
  wire.lend({ descriptor: readOnly });
  wire.client.write(frame(append(first)));
  await expect.poll(() => wire.taken.map(({ errno, batches }) => [errno, batches.length])).toEqual([[9, 0]]);
  expect(wire.received).toHaveLength(0);
  await wire.send(frame(append(first)));
  closeSync(readOnly);
});

/** Stands still, so that the thread alone goes on, until it has read what was sent. */
function standStillUntilRead(): void {
  const still = new Int32Array(new SharedArrayBuffer(4));
  const hex = (port = 0): string => port.toString(16).toUpperCase().padStart(4, '0');
  const ends = `:${hex((wire.server.address() as AddressInfo).port)} 0100007F:${hex(wire.client.localPort)} `;
  const unread = (): string => {
    const line = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .find((one) => one.includes(ends));
    return /:([0-9A-F]{8}) /.exec(line?.slice((line?.indexOf(ends) ?? 0) + ends.length) ?? '')?.[1] ?? 'closed';
  };
  for (let rests = 0; unread() !== '00000000' && rests < 5000; rests++) Atomics.wait(still, 0, 0, 2);
  expect(unread()).toBe('00000000');
  // From there to where it is told are a few instructions.
  Atomics.wait(still, 0, 0, 50);
}

it('is not lent while something waits to be read', async () => {
  // What came is told in a later turn.
  wire.client.write(frame(append(first)));
  standStillUntilRead();
  wire.lend();
  expect(wire.lane).toBeUndefined();
  await expect.poll(() => wire.passed.length).toBeGreaterThan(HELLO.length);
  wire.lend({ end: { lsn: 200n, epoch: EPOCH }, offset: first.length });
  expect(wire.lane).toBeDefined();
});

it('tells what it took when the other end is gone', async () => {
  wire.lend();
  wire.client.end(frame(append(first)));
  await once(wire.socket, 'end');
  expect(wire.taken.map(({ batches }) => batches)).toEqual([first]);
});

it('goes on sending when an acknowledgement has taken along what waited', async () => {
  wire.lend();
  const big = Buffer.alloc(3 * 1024 * 1024, 0x22);
  let end = { lsn: 100n, epoch: 6n };
  for (let round = 0; round < 8; round++) {
    wire.client.pause();
    const written = new Promise((resolve) => wire.socket.write(big, resolve));
    // Acknowledgements are sent while the other end begins to read.
    wire.client.resume();
    for (let count = 0; count < 8; count++) {
      wire.client.write(frame(append(batchTo(end.lsn, end.lsn + 100n, { previousEpoch: end.epoch }))));
      end = { lsn: end.lsn + 100n, epoch: EPOCH };
      await new Promise((resolve) => setImmediate(resolve));
    }
    await written;
    wire.received = Buffer.alloc(0);
  }
  await expect.poll(() => wire.taken.length).toBe(8 * 8);
});

it('what is sent in many pieces arrives as it was sent, also where the network takes a part of a piece, and what waits goes before what comes', async () => {
  const sent: Buffer[] = [];
  wire.client.pause();
  // More pieces than go with one call, of lengths that end anywhere; in all more than the network holds.
  for (let round = 0; round < 6; round++) {
    const pieces = Array.from({ length: 150 }, (_, index) =>
      Buffer.alloc(1 + ((round * 7919 + index * 104_729) % 12_000), round * 31 + index),
    );
    wire.socket.cork();
    for (const piece of pieces) wire.socket.write(piece);
    wire.socket.uncork();
    sent.push(...pieces);
    if (round === 3) {
      wire.client.resume();
      await once(wire.socket, 'drain');
    }
  }
  const all = Buffer.concat(sent);
  await expect.poll(() => wire.received.length).toBe(all.length);
  expect(wire.received.equals(all)).toBe(true);
});
