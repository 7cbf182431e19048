import { once } from 'node:events';
import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { LAYOUTS } from '@kube-aurora/frames';
import { encodeRedoBatch } from '@kube-aurora/volume';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { AppendLanes } from './append-lanes.ts';
import type { Lane, LaneSocket, LaneTerms } from './lane-socket.ts';
import { LANE_MESSAGE_BYTES_MAX, type TakenAppend } from './taken.ts';

const STREAM = 5;
const EPOCH = 7n;
const PG = 3;
const HELLO = Buffer.alloc(LAYOUTS.hello.size, 0x11);

let lanes: AppendLanes;
let directory: string;
let file: number;
let server: Server;
let client: Socket;
let socket: LaneSocket;
let lane: Lane | undefined;
let passed: Buffer;
let taken: TakenAppend[];
let received: Buffer;

beforeAll(async () => {
  lanes = await AppendLanes.load(undefined, systemClock());
});
beforeEach(async () => {
  directory = mkdtempSync(path.join(tmpdir(), 'lane-'));
  file = openSync(path.join(directory, 'log'), constants.O_RDWR | constants.O_CREAT);
  ftruncateSync(file, 1024 * 1024);
  server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  const [accepted] = (await once(server, 'connection')) as [Socket];
  socket = lanes.plain(accepted);
  [passed, received, taken, lane] = [Buffer.alloc(0), Buffer.alloc(0), [], undefined];
  socket.on('data', (chunk: Buffer) => (passed = Buffer.concat([passed, chunk])));
  socket.on('error', () => undefined);
  client.on('data', (chunk: Buffer) => (received = Buffer.concat([received, chunk])));
  client.on('error', () => undefined);
  await send(HELLO);
});
afterEach(async () => {
  const isClosed = socket.closed ? undefined : once(socket, 'close');
  client.destroy();
  socket.destroy();
  await isClosed;
  server.close();
  closeSync(file);
  rmSync(directory, { recursive: true });
});

const terms = (more: Partial<LaneTerms> = {}): LaneTerms => ({
  descriptor: file,
  offset: 0,
  filled: 1024 * 1024,
  capacity: 1024 * 1024,
  epoch: EPOCH,
  pg: PG,
  end: { lsn: 100n, epoch: 6n },
  isFollowed: false,
  ...more,
});

function lend(more: Partial<LaneTerms> = {}): void {
  lane = socket.lend(STREAM, terms(more), (list) => {
    // The batches are lent for as long as they are told.
    taken.push(...list.map((one) => ({ ...one, batches: Buffer.from(one.batches) })));
  });
}

/** Writes, and waits until all of it was let through. */
async function send(bytes: Buffer): Promise<void> {
  const before = passed.length;
  client.write(bytes);
  await expect.poll(() => passed.length).toBe(before + bytes.length);
}

function frame(payload: Buffer, { stream = STREAM, type = 2, flags = 0 } = {}): Buffer {
  const { frame: at } = LAYOUTS;
  const out = Buffer.alloc(at.size + payload.length);
  at.length.set(out, payload.length);
  at.stream.set(out, stream);
  at.type.set(out, type);
  at.flags.set(out, flags);
  payload.copy(out, at.size);
  return out;
}

/** A message in so many frames, the last of which says that it is. */
function inFrames(message: Buffer, count: number): Buffer[] {
  const size = Math.ceil(message.length / count);
  return Array.from({ length: count }, (_, index) =>
    frame(message.subarray(index * size, (index + 1) * size), { flags: index < count - 1 ? 1 : 0 }),
  );
}
const other = frame(Buffer.from('pages, please'), { stream: 9, type: 1 });

function batchTo(from: bigint, to: bigint, { epoch = EPOCH, previousEpoch = EPOCH, pg = PG, fill = 1, bytes = 40 } = {}): Buffer {
  const raw = Buffer.alloc(bytes, fill);
  raw.writeUInt32LE(bytes, 0);
  return encodeRedoBatch({ pg, epoch, backlink: from, previousEpoch, records: [{ lsn: from, endLsn: to, raw }] as never });
}

function append(...batches: Buffer[]): Buffer {
  const head = Buffer.alloc(LAYOUTS.append.size);
  LAYOUTS.append.vdl.set(head, 50n);
  LAYOUTS.append.pgmrpl.set(head, 40n);
  return Buffer.concat([head, ...batches]);
}

const first = batchTo(100n, 200n, { previousEpoch: 6n });
const second = batchTo(200n, 300n);

const acknowledgements = (): { scl: bigint; epoch: bigint; result: number; followed: number }[] => {
  const { frame: head, acknowledgement: at } = LAYOUTS;
  const all = [];
  for (let start = 0; start < received.length; start += head.size + at.size) {
    const message = received.subarray(start + head.size);
    expect(head.stream.get(received, start)).toBe(STREAM);
    all.push({
      scl: at.scl.get(message),
      epoch: at.epoch.get(message),
      result: at.result.get(message),
      followed: at.followed.get(message),
    });
  }
  return all;
};
const logged = (): Buffer => readFileSync(path.join(directory, 'log'));

it('takes what is next: it is in the file, acknowledged, and told', async () => {
  lend({ isFollowed: true });
  expect(lane).toBeDefined();
  client.write(frame(append(first)));
  await expect.poll(() => acknowledgements()).toEqual([{ scl: 200n, epoch: EPOCH, result: 0, followed: 1 }]);
  client.write(frame(append(second)));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(300n);
  await expect.poll(() => taken.length).toBe(2);
  expect(Buffer.concat(taken.map(({ batches }) => batches))).toEqual(Buffer.concat([first, second]));
  expect(taken[0]).toMatchObject({ vdl: 50n, pgmrpl: 40n, errno: 0, frameBytes: append(first).length });
  expect(taken[0]?.syncMs).toBeGreaterThan(0);
  expect(logged().subarray(0, first.length + second.length)).toEqual(Buffer.concat([first, second]));
  expect(passed).toEqual(HELLO);
});

it('several together cost one sync and one acknowledgement, and what is not of the lane comes by in order', async () => {
  lend();
  client.write(Buffer.concat([other, frame(append(first)), frame(append(second)), frame(append()), other]));
  await expect.poll(() => passed.subarray(HELLO.length)).toEqual(Buffer.concat([other, other]));
  await expect.poll(() => acknowledgements()).toEqual([{ scl: 300n, epoch: EPOCH, result: 0, followed: 0 }]);
  await expect.poll(() => taken.map(({ batches }) => batches.length)).toEqual([first.length, second.length, 0]);
  expect(taken.filter(({ syncMs }) => syncMs > 0)).toHaveLength(1);
});

it('takes a message of several frames whole, and others with it', async () => {
  const long = batchTo(200n, 300n, { bytes: 250 * 1024 });
  const longer = batchTo(300n, 400n, { bytes: 300 * 1024 });
  lend();
  client.write(Buffer.concat([frame(append(first)), ...inFrames(append(long), 4), ...inFrames(append(longer), 5)]));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(400n);
  client.write(Buffer.concat(inFrames(append(batchTo(400n, 500n)), 32)));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(500n);
  lane?.refresh();
  expect(taken.map(({ frames, frameBytes }) => [frames, frameBytes])).toEqual([
    [1, append(first).length],
    [4, append(long).length],
    [5, append(longer).length],
    [32, append(batchTo(400n, 500n)).length],
  ]);
  const all = Buffer.concat(taken.map(({ batches }) => batches));
  expect(all.equals(Buffer.concat([first, long, longer, batchTo(400n, 500n)]))).toBe(true);
  expect(logged().subarray(0, all.length).equals(all)).toBe(true);
});

it('tells at once what it took when a message stands still, since a window may be what that waits for', async () => {
  lend();
  const [begun = HELLO, ...rest] = inFrames(append(second), 2);
  client.write(Buffer.concat([frame(append(first)), begun]));
  await expect.poll(() => taken.length, { timeout: 100, interval: 5 }).toBe(1);
  client.write(Buffer.concat(rest));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(300n);
});

it('passes on what has come of a message when it is reclaimed in the middle of it', async () => {
  lend();
  const [begun = HELLO, end = HELLO] = inFrames(append(first), 2);
  client.write(begun);
  await setTimeout(20);
  expect(passed).toEqual(HELLO);
  lane?.reclaim();
  await expect.poll(() => passed).toEqual(Buffer.concat([HELLO, begun]));
  await send(end);
  expect(taken).toEqual([]);
});

it('tells everything that it has acknowledged when it is asked, and goes on', async () => {
  lend();
  client.write(frame(append(first)));
  await expect.poll(() => acknowledgements().length).toBe(1);
  lane?.refresh();
  expect(taken.map(({ batches }) => batches)).toEqual([first]);
  client.write(frame(append(second)));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(300n);
});

it('tells everything that it has acknowledged when it is reclaimed, and takes nothing after', async () => {
  lend();
  client.write(frame(append(first)));
  await expect.poll(() => acknowledgements().length).toBe(1);
  lane?.reclaim();
  expect(taken.map(({ batches }) => batches)).toEqual([first]);
  await send(frame(append(second)));
  expect(taken).toHaveLength(1);
  expect(acknowledgements()).toHaveLength(1);
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
  lend();
  await send(message());
  await send(frame(append(first)));
  expect(taken).toEqual([]);
  expect(received).toHaveLength(0);
  expect(logged().every((byte) => byte === 0)).toBe(true);
});

it('writes no further than was lent', async () => {
  lend({ filled: first.length, capacity: first.length + second.length - 1 });
  client.write(frame(append(first)));
  await expect.poll(() => acknowledgements().length).toBe(1);
  await send(frame(append(second)));
  expect(
    logged()
      .subarray(first.length)
      .every((byte) => byte === 0),
  ).toBe(true);
});

it.each([
  ['a stretch', 2 * 1024 * 1024, first.length + 1024 * 1024],
  ['to its end', first.length + second.length + 10, first.length + second.length + 10],
])('fills the file ahead, %s, before it goes past what is filled, and says how far', async (_what, capacity, filled) => {
  lend({ filled: first.length, capacity });
  client.write(frame(append(first)));
  await expect.poll(() => acknowledgements().length).toBe(1);
  writeSync(file, Buffer.alloc(1000, 0xff), 0, 1000, first.length + second.length);
  client.write(frame(append(second)));
  await expect.poll(() => acknowledgements().length).toBe(2);
  lane?.refresh();
  expect(taken.map(({ aheadBytes }) => aheadBytes)).toEqual([0, filled - first.length - second.length]);
  const zeros = logged().subarray(first.length + second.length, filled);
  expect(zeros.equals(Buffer.alloc(filled - first.length - second.length))).toBe(true);
});

it('keeps back the next message of a stream, and what comes behind it, until it is lent', async () => {
  expect(socket.hold(STREAM, true)).toBe(true);
  expect(socket.hold(9, true)).toBe(false);
  // What a message has begun with is not cut off from its end.
  await send(frame(append(first), { flags: 1 }));
  await send(frame(Buffer.alloc(8)));
  client.write(Buffer.concat([frame(append(first)), frame(append(second)), frame(Buffer.from('pages, please'), { stream: 9, type: 1 })]));
  await setTimeout(30);
  const before = passed.length;
  lend();
  await expect.poll(() => acknowledgements().map(({ scl }) => scl)).toEqual([300n]);
  await expect.poll(() => passed.length).toBe(before + LAYOUTS.frame.size + 13);
});

it('keeps nothing back any more when it is told so, and nothing of a stream that is lent', async () => {
  expect(socket.hold(STREAM, true)).toBe(true);
  await send(frame(append(first)));
  client.write(frame(append(second)));
  await setTimeout(30);
  const before = passed.length;
  expect(socket.hold(STREAM, false)).toBe(false);
  await expect.poll(() => passed.length).toBe(before + frame(append(second)).length);
  lend({ end: { lsn: 300n, epoch: EPOCH } });
  expect(socket.hold(STREAM, true)).toBe(false);
  client.write(Buffer.concat([frame(append(batchTo(300n, 400n))), frame(append(batchTo(400n, 500n)))]));
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(500n);
});

it('acknowledges nothing that the disk did not take, and says what it said', async () => {
  const readOnly = openSync(path.join(directory, 'log'), constants.O_RDONLY);
  lend({ descriptor: readOnly });
  client.write(frame(append(first)));
  await expect.poll(() => taken.map(({ errno, batches }) => [errno, batches.length])).toEqual([[9, 0]]);
  expect(received).toHaveLength(0);
  await send(frame(append(first)));
  closeSync(readOnly);
});

/** Stands still, so that the thread alone goes on, until it has read what was sent. */
function standStillUntilRead(): void {
  const still = new Int32Array(new SharedArrayBuffer(4));
  const hex = (port = 0): string => port.toString(16).toUpperCase().padStart(4, '0');
  const ends = `:${hex((server.address() as AddressInfo).port)} 0100007F:${hex(client.localPort)} `;
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
  client.write(frame(append(first)));
  standStillUntilRead();
  lend();
  expect(lane).toBeUndefined();
  await expect.poll(() => passed.length).toBeGreaterThan(HELLO.length);
  lend({ end: { lsn: 200n, epoch: EPOCH }, offset: first.length });
  expect(lane).toBeDefined();
});

it('tells what it took when the other end is gone', async () => {
  lend();
  client.end(frame(append(first)));
  await once(socket, 'end');
  expect(taken.map(({ batches }) => batches)).toEqual([first]);
});

it('goes on sending when an acknowledgement has taken along what waited', async () => {
  lend();
  const big = Buffer.alloc(3 * 1024 * 1024, 0x22);
  let end = { lsn: 100n, epoch: 6n };
  for (let round = 0; round < 8; round++) {
    client.pause();
    const written = new Promise((resolve) => socket.write(big, resolve));
    // Acknowledgements are sent while the other end begins to read.
    client.resume();
    for (let count = 0; count < 8; count++) {
      client.write(frame(append(batchTo(end.lsn, end.lsn + 100n, { previousEpoch: end.epoch }))));
      end = { lsn: end.lsn + 100n, epoch: EPOCH };
      await new Promise((resolve) => setImmediate(resolve));
    }
    await written;
    received = Buffer.alloc(0);
  }
  await expect.poll(() => taken.length).toBe(8 * 8);
});

it('what is sent in many pieces arrives as it was sent, also where the network takes a part of a piece, and what waits goes before what comes', async () => {
  const sent: Buffer[] = [];
  client.pause();
  // More pieces than go with one call, of lengths that end anywhere; in all more than the network holds.
  for (let round = 0; round < 6; round++) {
    const pieces = Array.from({ length: 150 }, (_, index) =>
      Buffer.alloc(1 + ((round * 7919 + index * 104_729) % 12_000), round * 31 + index),
    );
    socket.cork();
    for (const piece of pieces) socket.write(piece);
    socket.uncork();
    sent.push(...pieces);
    if (round === 3) {
      client.resume();
      await once(socket, 'drain');
    }
  }
  const all = Buffer.concat(sent);
  await expect.poll(() => received.length).toBe(all.length);
  expect(received.equals(all)).toBe(true);
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
      taken = [];
      const before = passed.length;
      lend({ end, offset });
      expect(lane).toBeDefined();
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
        client.write(bytes.subarray(places[index - 1] ?? 0, place));
        await new Promise((resolve) => setImmediate(resolve));
      }
      const rest = Buffer.concat(others);
      await expect.poll(() => passed.length, { interval: 1 }).toBe(before + rest.length);
      const expected = Buffer.concat(due);
      const takenBytes = (): number => {
        lane?.refresh();
        return taken.reduce((sum, { batches }) => sum + batches.length, 0);
      };
      await expect.poll(takenBytes, { interval: 1 }).toBe(expected.length);
      lane?.reclaim();
      expect(passed.subarray(before)).toEqual(rest);
      expect(Buffer.concat(taken.map(({ batches }) => batches))).toEqual(expected);
      expect(logged().subarray(offset, offset + expected.length)).toEqual(expected);
      offset += expected.length;
    }),
    { numRuns: 150 },
  );
  // What is told is told before the acknowledgement has arrived.
  await expect.poll(() => acknowledgements().at(-1)?.scl).toBe(end.lsn);
});
