/**
 * The file by which the shim knows until when replies to clients may leave (compute-node/native/lease.c), and when a reader
 * has become the writer (role.c): the agent writes it, every process of PostgreSQL looks at it. It lies in memory, so that no disk can hold its writes up, among the shared memory
 * of its data directory, and goes with that.
 *
 * Little-endian; times are nanoseconds of CLOCK_MONOTONIC:
 *
 * | offset | type | field                                                                                  |
 * | ------ | ---- | -------------------------------------------------------------------------------------- |
 * | 0      | u32  | magic 'LEAS'                                                                           |
 * | 4      | u32  | bytes of all of this, 120                                                              |
 * | 8      | u64  | when the lease was asked for                                                           |
 * | 16     | u64  | until when it holds; 0: there is none                                                  |
 * | 24     | u64  | check: of the two before, so that whoever reads amid a write sees that it did          |
 * | 32     | u64  | of a reader that was promoted, the LSN where its own WAL begins; 0: it was not         |
 * | 40     | u64  | check: of the one before                                                               |
 * | 48     | 16   | of a reader, the writer's address, of IPv6 or mapped to it; in network order           |
 * | 64     | u64  | the writer's port; 0: it is not known                                                  |
 * | 72     | u64  | check: of the two before                                                               |
 * | 80     | u64  | of a writer, until when its sessions begin no transaction (native/pause.c); 0: they do |
 * | 88     | u64  | check: of the one before                                                               |
 * | 96     | u64  | of a writer, WAL below is durable in the volume (native/promise.c)                     |
 * | 104    | u64  | flushes have returned for WAL below; 0, or below the one before: all of it is durable  |
 * | 112    | u64  | check: of the two before                                                               |
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import type { Clock } from '@kube-aurora/clock';
import type { Permit } from '../lease/writer-lease.ts';
import { ipv6Bytes } from './ip-address.ts';
import { sharedMemoryFile } from './shared-memory.ts';

const MAGIC = 0x5341_454c;
const FILE_BYTES = 120;
const TIMES_AT = 8;
const TIMES_BYTES = 24;
const PROMOTED_AT = 32;
const PROMOTED_BYTES = 16;
const WRITER_AT = 48;
const WRITER_BYTES = 32;
const HOST_BYTES = 16;
const PAUSE_AT = 80;
const PAUSE_BYTES = 16;
const WAL_AT = 96;
const WAL_BYTES = 24;
/** A time that never comes. */
const NEVER_NS = 2n ** 64n - 1n;
const ASKED_FACTOR = 0x9e37_79b1_85eb_ca87n;
const UNTIL_FACTOR = 0xc2b2_ae3d_27d4_eb4fn;
const PORT_FACTOR = 0x1656_67b1_9e37_79f9n;
const NS_PER_MS = 1e6;

/** Where a writer takes connections. */
export interface WriterAddress {
  /** An IP address. */
  readonly host: string;
  readonly port: number;
}

/** How far a writer's WAL has come. */
export interface WalPoints {
  /** A quorum holds everything below. */
  readonly durableLsn: bigint;
  /** Flushes have returned for everything below. */
  readonly promisedLsn: bigint;
}

export class LeaseFile {
  readonly path: string;
  readonly #descriptor: number;
  /** On the path of every commit of a writer whose flushes return early. */
  readonly #walBytes = Buffer.alloc(WAL_BYTES);

  private constructor(path: string, descriptor: number) {
    this.path = path;
    this.#descriptor = descriptor;
  }

  /** Makes it anew, with no lease in it. None of PostgreSQL may run on `dataDir`. */
  static create(dataDir: string): LeaseFile {
    const path = sharedMemoryFile(dataDir, 'lease');
    rmSync(path, { force: true });
    // PostgreSQL may run as somebody else, who reads it.
    const file = new LeaseFile(path, openSync(path, 'wx', 0o644));
    const head = Buffer.alloc(FILE_BYTES);
    head.writeUInt32LE(MAGIC, 0);
    head.writeUInt32LE(FILE_BYTES, 4);
    file.#write(0, head);
    return file;
  }

  /** Replies may leave until `untilMs`; both by the clock's `now`. */
  permit({ askedAtMs, untilMs }: Permit, clock: Pick<Clock, 'now'>): void {
    const at = monotonicBy(clock);
    this.#write(TIMES_AT, encodeTimes(at(askedAtMs), at(untilMs)));
  }

  /** Replies need no lease: those of a reader, which shows the past by nature. */
  permitAlways(): void {
    this.#write(TIMES_AT, encodeTimes(NEVER_NS, NEVER_NS));
  }

  /** No reply leaves until `permit` says so. */
  permitNone(): void {
    this.#write(TIMES_AT, encodeTimes(0n, 0n));
  }

  /** The reader is the writer from now on; its own WAL begins at `lsn`, up to which it has replayed everything. */
  promote(lsn: bigint): void {
    const bytes = Buffer.alloc(PROMOTED_BYTES);
    bytes.writeBigUInt64LE(lsn, 0);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, lsn * UNTIL_FACTOR), 8);
    this.#write(PROMOTED_AT, bytes);
  }

  /** Of a reader: the writer is there. */
  writerIs({ host, port }: WriterAddress): void {
    const bytes = Buffer.alloc(WRITER_BYTES);
    ipv6Bytes(host).copy(bytes, 0);
    bytes.writeBigUInt64LE(BigInt(port), HOST_BYTES);
    const factors = [ASKED_FACTOR, UNTIL_FACTOR, PORT_FACTOR];
    const check = factors.reduce((sum, factor, index) => sum ^ BigInt.asUintN(64, bytes.readBigUInt64LE(index * 8) * factor), 0n);
    bytes.writeBigUInt64LE(check, HOST_BYTES + 8);
    this.#write(WRITER_AT, bytes);
  }

  /** Of a writer: sessions begin no transaction until then, by the clock's `now`. */
  pauseUntil(untilMs: number, clock: Pick<Clock, 'now'>): void {
    const untilNs = monotonicBy(clock)(untilMs);
    const bytes = Buffer.alloc(PAUSE_BYTES);
    bytes.writeBigUInt64LE(untilNs, 0);
    bytes.writeBigUInt64LE(BigInt.asUintN(64, untilNs * UNTIL_FACTOR), 8);
    this.#write(PAUSE_AT, bytes);
  }

  /** Of a writer whose flushes return before their quorum. */
  walIs({ durableLsn, promisedLsn }: WalPoints): void {
    const bytes = this.#walBytes;
    bytes.writeBigUInt64LE(durableLsn, 0);
    bytes.writeBigUInt64LE(promisedLsn, 8);
    bytes.writeBigUInt64LE(checkOfTwo(durableLsn, promisedLsn), 16);
    this.#write(WAL_AT, bytes);
  }

  #write(at: number, bytes: Buffer): void {
    writeSync(this.#descriptor, bytes, 0, bytes.length, at);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Times of the clock's `now` as nanoseconds of CLOCK_MONOTONIC. */
function monotonicBy(clock: Pick<Clock, 'now'>): (ms: number) => bigint {
  // In this order: what passes between the two makes what is permitted shorter.
  const monotonicNs = process.hrtime.bigint();
  const now = clock.now();
  return (ms) => {
    const ns = monotonicNs + BigInt(Math.floor((ms - now) * NS_PER_MS));
    return ns > 0n ? ns : 0n;
  };
}

function encodeTimes(askedNs: bigint, untilNs: bigint): Buffer {
  const times = Buffer.alloc(TIMES_BYTES);
  times.writeBigUInt64LE(askedNs, 0);
  times.writeBigUInt64LE(untilNs, 8);
  times.writeBigUInt64LE(checkOfTwo(askedNs, untilNs), 16);
  return times;
}

function checkOfTwo(first: bigint, second: bigint): bigint {
  return BigInt.asUintN(64, first * ASKED_FACTOR) ^ BigInt.asUintN(64, second * UNTIL_FACTOR);
}
