/**
 * The file by which the shim knows until when replies to clients may leave (compute-node/native/lease.c): the agent
 * writes it, every backend looks at it. It lies in memory, so that no disk can hold its writes up, among the shared memory
 * of its data directory, and goes with that.
 *
 * Little-endian; times are nanoseconds of CLOCK_MONOTONIC:
 *
 * | offset | type | field                                                                                  |
 * | ------ | ---- | -------------------------------------------------------------------------------------- |
 * | 0      | u32  | magic 'LEAS'                                                                           |
 * | 4      | u32  | bytes of all of this, 32                                                               |
 * | 8      | u64  | when the lease was asked for                                                           |
 * | 16     | u64  | until when it holds; 0: there is none                                                  |
 * | 24     | u64  | check: of the two before, so that whoever reads amid a write sees that it did          |
 */
import { closeSync, openSync, rmSync, writeSync } from 'node:fs';
import type { Clock } from '@kube-aurora/clock';
import type { Permit } from '../lease/writer-lease.ts';
import { sharedMemoryFile } from './shared-memory.ts';

const MAGIC = 0x5341_454c;
const FILE_BYTES = 32;
const TIMES_AT = 8;
const ASKED_FACTOR = 0x9e37_79b1_85eb_ca87n;
const UNTIL_FACTOR = 0xc2b2_ae3d_27d4_eb4fn;
const NS_PER_MS = 1e6;

export class LeaseFile {
  readonly path: string;
  readonly #descriptor: number;

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
    writeSync(file.#descriptor, head, 0, FILE_BYTES, 0);
    return file;
  }

  /** Replies may leave until `untilMs`; both by the clock's `now`. */
  permit({ askedAtMs, untilMs }: Permit, clock: Pick<Clock, 'now'>): void {
    // In this order: what passes between the two makes the lease shorter.
    const monotonicNs = process.hrtime.bigint();
    const now = clock.now();
    const at = (ms: number): bigint => {
      const ns = monotonicNs + BigInt(Math.floor((ms - now) * NS_PER_MS));
      return ns > 0n ? ns : 0n;
    };
    const times = encodeTimes(at(askedAtMs), at(untilMs));
    writeSync(this.#descriptor, times, 0, times.length, TIMES_AT);
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

function encodeTimes(askedNs: bigint, untilNs: bigint): Buffer {
  const times = Buffer.alloc(FILE_BYTES - TIMES_AT);
  times.writeBigUInt64LE(askedNs, 0);
  times.writeBigUInt64LE(untilNs, 8);
  times.writeBigUInt64LE(BigInt.asUintN(64, askedNs * ASKED_FACTOR) ^ BigInt.asUintN(64, untilNs * UNTIL_FACTOR), 16);
  return times;
}
