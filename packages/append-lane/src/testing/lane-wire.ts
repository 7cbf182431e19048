import { once } from 'node:events';
import { closeSync, constants, ftruncateSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { LAYOUTS } from '@kube-aurora/frames';
import { encodeRedoBatch } from '@kube-aurora/volume';
import { expect } from 'vitest';
import { AppendLanes } from '../append-lanes.ts';
import type { Lane, LaneSocket, LaneTerms } from '../lane-socket.ts';
import type { TakenAppend } from '../taken.ts';

/** A connection whose daemon's end a thread has, in plain text, a log that can be lent to it, and what came of what was sent. */

export const STREAM = 5;
export const EPOCH = 7n;
const PG = 3;
export const HELLO = Buffer.alloc(LAYOUTS.hello.size, 0x11);
const LOG_BYTES = 1024 * 1024;
/** Path of the addon, where it is not the usual one. */
export const ADDON_VARIABLE = 'AURORA_TEST_APPEND_LANE';

interface Acknowledged {
  readonly scl: bigint;
  readonly epoch: bigint;
  readonly result: number;
  readonly followed: number;
}

export class LaneWire {
  readonly directory: string;
  readonly file: number;
  readonly server: Server;
  readonly client: Socket;
  readonly socket: LaneSocket;
  lane: Lane | undefined;
  /** What the thread let through, and what it took. */
  passed: Buffer = Buffer.alloc(0);
  taken: TakenAppend[] = [];
  /** What the client received. */
  received: Buffer = Buffer.alloc(0);

  private constructor(directory: string, server: Server, client: Socket, socket: LaneSocket) {
    this.directory = directory;
    this.file = openSync(path.join(directory, 'log'), constants.O_RDWR | constants.O_CREAT);
    ftruncateSync(this.file, LOG_BYTES);
    this.server = server;
    this.client = client;
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => (this.passed = Buffer.concat([this.passed, chunk])));
    socket.on('error', () => undefined);
    client.on('data', (chunk: Buffer) => (this.received = Buffer.concat([this.received, chunk])));
    client.on('error', () => undefined);
  }

  static async open(): Promise<LaneWire> {
    const lanes = await AppendLanes.load(process.env[ADDON_VARIABLE], systemClock());
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const [accepted] = (await once(server, 'connection')) as [Socket];
    const wire = new LaneWire(mkdtempSync(path.join(tmpdir(), 'lane-')), server, client, lanes.plain(accepted));
    await wire.send(HELLO);
    return wire;
  }

  async close(): Promise<void> {
    const isClosed = this.socket.closed ? undefined : once(this.socket, 'close');
    this.client.destroy();
    this.socket.destroy();
    await isClosed;
    this.server.close();
    closeSync(this.file);
    rmSync(this.directory, { recursive: true });
  }

  lend(more: Partial<LaneTerms> = {}): void {
    const terms = {
      descriptor: this.file,
      offset: 0,
      filled: LOG_BYTES,
      capacity: LOG_BYTES,
      epoch: EPOCH,
      pg: PG,
      end: { lsn: 100n, epoch: 6n },
      isFollowed: false,
      ...more,
    };
    this.lane = this.socket.lend(STREAM, terms, (list) => {
      // The batches are lent for as long as they are told.
      this.taken.push(...list.map((one) => ({ ...one, batches: Buffer.from(one.batches) })));
    });
  }

  /** Writes, and waits until all of it was let through. */
  async send(bytes: Buffer): Promise<void> {
    const before = this.passed.length;
    this.client.write(bytes);
    await expect.poll(() => this.passed.length).toBe(before + bytes.length);
  }

  acknowledgements(): Acknowledged[] {
    const { frame: head, acknowledgement: at } = LAYOUTS;
    const all: Acknowledged[] = [];
    for (let start = 0; start < this.received.length; start += head.size + at.size) {
      const message = this.received.subarray(start + head.size);
      expect(head.stream.get(this.received, start)).toBe(STREAM);
      all.push({
        scl: at.scl.get(message),
        epoch: at.epoch.get(message),
        result: at.result.get(message),
        followed: at.followed.get(message),
      });
    }
    return all;
  }

  logged(): Buffer {
    return readFileSync(path.join(this.directory, 'log'));
  }
}

export function frame(payload: Buffer, { stream = STREAM, type = 2, flags = 0 } = {}): Buffer {
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
export function inFrames(message: Buffer, count: number): Buffer[] {
  const size = Math.ceil(message.length / count);
  return Array.from({ length: count }, (_, index) =>
    frame(message.subarray(index * size, (index + 1) * size), { flags: index < count - 1 ? 1 : 0 }),
  );
}

/** Of another stream. */
export const other = frame(Buffer.from('pages, please'), { stream: 9, type: 1 });

export function batchTo(from: bigint, to: bigint, { epoch = EPOCH, previousEpoch = EPOCH, pg = PG, fill = 1, bytes = 40 } = {}): Buffer {
  const raw = Buffer.alloc(bytes, fill);
  raw.writeUInt32LE(bytes, 0);
  return encodeRedoBatch({ pg, epoch, backlink: from, previousEpoch, records: [{ lsn: from, endLsn: to, raw }] as never });
}

export function append(...batches: Buffer[]): Buffer {
  const head = Buffer.alloc(LAYOUTS.append.size);
  LAYOUTS.append.vdl.set(head, 50n);
  LAYOUTS.append.pgmrpl.set(head, 40n);
  return Buffer.concat([head, ...batches]);
}

/** What is next on a lane as it is lent, and what comes after that. */
export const first = batchTo(100n, 200n, { previousEpoch: 6n });
export const second = batchTo(200n, 300n);
