import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import {
  buildRecord,
  lsn,
  OPCODE,
  RECORD_HEADER,
  RECORD_HEADER_BYTES,
  RECORD_MAX_BYTES,
  RMGR,
  RMGR_BUILTIN_MAX,
  RMGR_CUSTOM_MIN,
  WAL_LONG_HEADER_BYTES,
  WAL_PAGE_BYTES,
  WAL_PAGE_HEADER,
  WAL_PAGE_MAGIC,
  WAL_SEGMENT_BYTES,
  WAL_SHORT_HEADER_BYTES,
  WalFormatError,
  WalPageWriter,
  WalStreamDecoder,
  type Layout,
} from '@kube-aurora/pg-format';
import { RecordRun } from '@kube-aurora/volume';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { sanitizedSources } from '../native/build.mjs';
import { NUMBER, walCut } from './addon.ts';
import { RunCutter } from './run-cutter.ts';

const SYSTEM = 42n;
/** Before a segment's first page, so that a long page header comes early. */
const START = lsn(5n * BigInt(WAL_SEGMENT_BYTES) - 2n * BigInt(WAL_PAGE_BYTES) + 4096n);
const PREV = lsn(START - 64n);

interface MadeRecord {
  readonly rmid: number;
  readonly info: number;
  readonly xid: number;
  readonly bytes: number;
}

const PLAIN: MadeRecord = { rmid: RMGR.HEAP, info: OPCODE.HEAP.INSERT, xid: 7, bytes: 35 };

/** Bytes of a log with these records, from START on. */
function logOf(records: readonly MadeRecord[]): Buffer {
  const writer = new WalPageWriter({ systemIdentifier: SYSTEM, timeline: 1, startLsn: START });
  let prev = PREV;
  for (const { bytes, ...fields } of records) prev = writer.append(buildRecord({ ...fields, prev, mainData: Buffer.alloc(bytes, 7) })).lsn;
  return Buffer.concat([...writer.pages()].map((page) => page.bytes)).subarray(Number(START % BigInt(WAL_PAGE_BYTES)));
}

interface Outcome {
  readonly bytes: string;
  readonly position: bigint;
  /** Where and in which field the log is wrong. */
  readonly wrong: string | undefined;
  readonly byDecoder: number;
}

/** Cuts the log, given in chunks, into runs of `full` bytes; with the cutter where there is one. */
function cut(log: Buffer, chunkBytes: number, full: number, cutter: RunCutter | undefined): Outcome {
  const decoder = new WalStreamDecoder(START, { prev: PREV, systemIdentifier: SYSTEM });
  const run = new RecordRun(256);
  const parts: string[] = [];
  let [byDecoder, at] = [0, 0];
  let wrong: string | undefined;
  const finish = (): void => {
    parts.push(run.count === 0 ? '' : `${run.count} ${run.startLsn} ${run.endLsn} ${run.bytes.subarray(64).toString('hex')}`);
    run.clear();
  };
  try {
    for (;;) {
      cutter?.cut(decoder, run, full, () => undefined);
      if (run.byteLength < full && !decoder.advance()) {
        if (at === log.length || decoder.reachedZeros) break;
        decoder.push(log.subarray(at, at + chunkBytes));
        at = Math.min(log.length, at + chunkBytes);
      } else if (run.byteLength < full) {
        const { lsn: record, endLsn, bytes, start, length } = decoder.record;
        run.add(record, endLsn, bytes, start, length);
        byDecoder++;
      }
      if (run.byteLength >= full) finish();
    }
  } catch (error) {
    if (!(error instanceof WalFormatError)) throw error;
    wrong = `${error.lsn} ${error.field} ${error.message} ${decoder.stoppedLsn}`;
  }
  finish();
  return { bytes: parts.join('\n'), position: decoder.position, wrong, byDecoder };
}

const kinds = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom([RMGR.HEAP, 0], [RMGR.BTREE, 0], [RMGR.XACT, 0], [RMGR.XLOG, OPCODE.XLOG.FPI]) },
  {
    weight: 1,
    arbitrary: fc.constantFrom([RMGR.XLOG, OPCODE.XLOG.SWITCH], [RMGR.XLOG, OPCODE.XLOG.CHECKPOINT_ONLINE], [RMGR.STANDBY, 0x10]),
  },
);
const made = fc
  .record({ kind: kinds, xid: fc.nat(3), bytes: fc.oneof({ weight: 9, arbitrary: fc.nat(200) }, { weight: 1, arbitrary: fc.nat(20_000) }) })
  .map(({ kind: [rmid = 0, info = 0], xid, bytes }) => ({
    rmid,
    info,
    xid,
    bytes: info === OPCODE.XLOG.SWITCH && rmid === RMGR.XLOG ? 0 : bytes,
  }));

describe('beside the decoder', () => {
  it('gives the same records and stops at the same place for the same reason, whatever the log holds and however it comes', () => {
    const cutter = new RunCutter(SYSTEM);
    const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.nat(7)), { maxLength: 2 });
    fc.assert(
      fc.property(
        fc.array(
          made.filter(({ rmid, info }) => rmid !== RMGR.XLOG || info !== OPCODE.XLOG.SWITCH),
          { minLength: 1, maxLength: 60 },
        ),
        flips,
        fc.integer({ min: 100, max: 40_000 }),
        fc.integer({ min: 100, max: 40_000 }),
        (records, changes, chunkBytes, full) => {
          const log = logOf(records);
          for (const [where, bit] of changes) log[Math.floor(where * log.length)]! ^= 1 << bit;
          const alone = cut(log, chunkBytes, full, undefined);
          const together = cut(log, chunkBytes, full, cutter);
          expect({ ...together, byDecoder: 0 }).toEqual({ ...alone, byDecoder: 0 });
        },
      ),
      { numRuns: 120 },
    );
  });

  it('takes all but those that chunks divide, and hands back what is not a plain record', () => {
    const cutter = new RunCutter(SYSTEM);
    const log = logOf(Array.from({ length: 20_000 }, () => PLAIN));
    const { byDecoder, position } = cut(log, 256 * 1024, 1 << 20, cutter);
    expect(position).toBeGreaterThan(START + 1_000_000n);
    // The first page header tells the timeline; a run that must grow grows by a record.
    expect(byDecoder).toBeLessThan(25);
    for (const info of [OPCODE.XLOG.CHECKPOINT_SHUTDOWN, OPCODE.XLOG.CHECKPOINT_ONLINE, OPCODE.XLOG.END_OF_RECOVERY]) {
      const named = { ...PLAIN, rmid: RMGR.XLOG, info };
      expect(cut(logOf([PLAIN, named, PLAIN]), 8192, 1 << 20, cutter).byDecoder).toBeGreaterThan(0);
    }
  });

  it('passes over the rest of a segment after a switch', () => {
    const switched = { rmid: RMGR.XLOG, info: OPCODE.XLOG.SWITCH, xid: 0, bytes: 0 };
    const log = logOf([PLAIN, switched, PLAIN, PLAIN]);
    expect(cut(log, 10_000, 1 << 20, new RunCutter(SYSTEM))).toMatchObject({
      ...cut(log, 10_000, 1 << 20, undefined),
      byDecoder: expect.any(Number),
    });
  });

  it('names each record that may begin or end a transaction, and no other', () => {
    const commit = { ...PLAIN, rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT };
    const running = { ...PLAIN, rmid: RMGR.STANDBY, info: OPCODE.STANDBY.RUNNING_XACTS, xid: 0 };
    const none = { ...PLAIN, xid: 0 };
    const log = logOf([PLAIN, PLAIN, none, PLAIN, { ...PLAIN, xid: 8 }, none, PLAIN, commit, PLAIN, running, PLAIN, PLAIN]);
    const decoder = new WalStreamDecoder(START, { prev: PREV, systemIdentifier: SYSTEM });
    decoder.push(log);
    const noted: number[] = [];
    const run = new RecordRun(8192);
    const first = Number(START);
    const count = new RunCutter(SYSTEM).cut(decoder, run, 1 << 20, (at, bytes, start, length) => {
      noted.push((at - first) / 64);
      expect(length).toBe(bytes.readUInt32LE(start));
    });
    expect(count).toBe(12);
    expect(noted).toEqual([0, 4, 6, 7, 8, 9, 10]);
  });
});

it('the sanitizers find nothing', () => {
  const directory = mkdtempSync('/tmp/aurora-wal-cut-');
  try {
    const program = join(directory, 'damage');
    const source = join(import.meta.dirname, '../native/test/damage.c');
    execFileSync('cc', ['-std=c17', '-g', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Werror', '-o', program, source, ...sanitizedSources()]);
    expect(execFileSync(program, ['1', '800'], { encoding: 'utf8' })).toMatch(/^\d{5} records, \d{5} taken\n$/);
  } finally {
    rmSync(directory, { recursive: true });
  }
}, 60_000);

test('layouts are those of the tables in pg-format', () => {
  const { layouts } = walCut();
  const offsets = (prefix: string, layout: Layout): [string, number][] =>
    Object.entries(layout).map(([field, { at }]) => [`${prefix}_${field}`, at]);
  const due = Object.fromEntries([
    ...offsets('PAGE', WAL_PAGE_HEADER),
    ...offsets('RECORD', RECORD_HEADER),
    ...Object.entries(NUMBER).map(([name, place]) => [`NUMBER_${name}`, place]),
  ]);
  expect(layouts).toEqual({
    ...due,
    WAL_PAGE_BYTES,
    WAL_SEGMENT_BYTES,
    WAL_SHORT_HEADER_BYTES,
    WAL_LONG_HEADER_BYTES,
    WAL_PAGE_MAGIC,
    RECORD_HEADER_BYTES,
    RECORD_MAX_BYTES,
    RECORD_LSN_BYTES: 8,
    RMGR_BUILTIN_MAX,
    RMGR_CUSTOM_MIN,
  });
});
