import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  OPCODE,
  RMGR,
  WAL_PAGE_BYTES,
  WalFormatError,
  WalPageWriter,
  buildRecord,
  lsn,
  type Lsn,
  type StreamRecord,
} from '@kube-aurora/pg-format';
import { RecordRun, recordsOf, sealRedoBatch } from '@kube-aurora/volume';
import { RunningTransactions } from './running-transactions.ts';
import { WalReader, type WalSource } from './wal-reader.ts';

const SYSTEM = 42n;
const PAGE = BigInt(WAL_PAGE_BYTES);
/** Before a segment's first page, so that a long page header comes early. */
const START = lsn(2n * 0x100_0000n - 2n * PAGE + 4096n);

/** What PostgreSQL does: records into pages in memory, pages into a file; the last page again and again. */
class Postgres implements WalSource {
  volumeTimeline: number | undefined;
  readonly #memory: WalPageWriter;
  readonly #file = new Map<bigint, Buffer>();
  readonly records: StreamRecord[] = [];
  /** End of the bytes in the file. */
  written: bigint = START;
  /** What the pass under way may read up to. */
  readable: bigint = START;
  readBytes = 0;
  bytesMax = Infinity;
  /** Runs before each read: PostgreSQL goes on while it is read. */
  meanwhile: () => void = () => undefined;
  #last: Lsn = lsn(START - 64n);

  constructor(timeline = 1) {
    this.#memory = new WalPageWriter({ systemIdentifier: SYSTEM, timeline, startLsn: START });
  }

  insert(
    bytes: number,
    info: number = OPCODE.XLOG.NOOP,
    mainData: Buffer = Buffer.alloc(bytes, this.records.length + 1),
    [rmid, xid]: readonly [number, number] = [RMGR.XLOG, 0],
  ): StreamRecord {
    const raw = buildRecord({ rmid, info, xid, prev: this.#last, mainData });
    const record = { ...this.#memory.append(raw), raw };
    this.#last = record.lsn;
    this.records.push(record);
    return record;
  }

  /**
   * Writes the pages below `upTo` and the one that it is in. Bytes from `copiedTo` on are not copied into the pages
   * yet.
   */
  write(upTo: bigint, copiedTo = upTo): bigint {
    const end = upTo + ((PAGE - (upTo % PAGE)) % PAGE);
    for (const { lsn: page, bytes } of this.#memory.pages()) {
      if (page + PAGE <= this.written - PAGE || page >= end) continue;
      const whole = Buffer.from(bytes);
      if (copiedTo < page + PAGE) whole.fill(0, Math.max(0, Number(copiedTo - page)));
      this.#file.set(page, whole);
    }
    if (end > this.written) this.written = end;
    return this.written;
  }

  damage(at: bigint): void {
    const page = this.#file.get(at - (at % PAGE));
    if (page === undefined) throw new Error('not written');
    const offset = Number(at % PAGE);
    page[offset] = (page[offset] ?? 0) ^ 1;
  }

  read(from: Lsn, to: bigint, bytesMax: number): Buffer {
    this.meanwhile();
    expect(to).toBeLessThanOrEqual(this.readable);
    const inPage = Number(from % PAGE);
    const page = this.#file.get(from - BigInt(inPage));
    if (page === undefined) throw new Error(`nothing was written at ${from}`);
    const length = Math.min(Number(to - from), bytesMax, this.bytesMax, WAL_PAGE_BYTES - inPage);
    this.readBytes += length;
    return Buffer.from(page.subarray(inPage, inPage + length));
  }
}

function readerOf(postgres: Postgres): { readonly pass: (written: bigint, runBytes?: number) => bigint[]; readonly reader: WalReader } {
  const reader = new WalReader(postgres, START, lsn(START - 64n), SYSTEM);
  const run = new RecordRun();
  const pass = (written: bigint, runBytes = 1 << 20): bigint[] => {
    const found: bigint[] = [];
    if (!reader.hasNews(written)) return found;
    postgres.readable = written;
    reader.begin(written);
    for (let state = reader.fill(run, runBytes); ; state = reader.fill(run, runBytes)) {
      if (run.count > 0) {
        const batch = sealRedoBatch(run, { pg: 0, epoch: 1n, backlink: run.startLsn, previousEpoch: 1n });
        for (const record of recordsOf(batch)) {
          expect(record.raw).toEqual(postgres.records.find((one) => one.lsn === record.lsn)?.raw);
          found.push(record.lsn);
        }
        run.clear();
      }
      if (state === 'end') return found;
    }
  };
  return { pass, reader };
}

describe('passes over WAL that goes on being written', () => {
  const step = fc.record({
    insert: fc.array(fc.oneof(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 3 }),
    /** How much of what was not written is written, how much of that is copied in, in thousandths. */
    write: fc.nat(1000),
    copied: fc.nat(1000),
    pass: fc.boolean(),
    runBytes: fc.integer({ min: 100, max: 50_000 }),
  });

  it('every record comes once, whole and in its order, whatever was in the last page before', () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 12 }), fc.integer({ min: 8, max: 12_000 }), (steps, bytesMax) => {
        const postgres = new Postgres();
        postgres.bytesMax = bytesMax;
        const { pass, reader } = readerOf(postgres);
        const found: bigint[] = [];
        for (const { insert, write, copied, pass: passes, runBytes } of steps) {
          for (const bytes of insert) postgres.insert(bytes);
          const end = postgres.records.at(-1)?.endLsn ?? START;
          const upTo = postgres.written + ((end > postgres.written ? end - postgres.written : 0n) * BigInt(write)) / 1000n;
          // Only the last page may be incomplete.
          const lastPage = upTo - (upTo % PAGE);
          const written = postgres.write(upTo, lastPage + ((upTo - lastPage) * BigInt(copied)) / 1000n);
          if (passes) found.push(...pass(written, runBytes));
          expect(reader.position).toBeLessThanOrEqual(found.length === 0 ? START : written + PAGE);
        }
        const end = postgres.records.at(-1)?.endLsn ?? START;
        found.push(...pass(postgres.write(end)));
        expect(found).toEqual(postgres.records.map((record) => record.lsn));
        expect(reader.position).toBe(end);
      }),
      { numRuns: 60 },
    );
  });

  it('a record that reaches into the last page and is still being copied there is not damage', () => {
    const postgres = new Postgres();
    const { pass } = readerOf(postgres);
    const whole = postgres.insert(100);
    const torn = postgres.insert(9000);
    expect(torn.endLsn / PAGE).toBeGreaterThan(torn.lsn / PAGE);
    expect(pass(postgres.write(torn.endLsn, torn.endLsn - 200n))).toEqual([whole.lsn]);
    // Its page is there, and not even the header says that it goes on with the record.
    expect(pass(postgres.write(torn.endLsn, torn.endLsn - (torn.endLsn % PAGE)))).toEqual([]);
    expect(pass(postgres.write(torn.endLsn))).toEqual([torn.lsn]);
  });

  it('a last page that changes while it is read gives what was whole in it, and the rest later', () => {
    const postgres = new Postgres();
    const { pass } = readerOf(postgres);
    const first = postgres.insert(100);
    const second = postgres.insert(100);
    const written = postgres.write(second.endLsn, first.endLsn + 30n);
    // The first part of the page as it was, the rest as it becomes.
    postgres.bytesMax = Number(first.endLsn - START) + 40;
    let reads = 0;
    postgres.meanwhile = () => void (reads++ === 1 && postgres.write(second.endLsn));
    expect(pass(written)).toEqual([first.lsn]);
    postgres.meanwhile = () => undefined;
    expect(pass(written)).toEqual([second.lsn]);
  });

  it('what is wrong before the last page is damage', () => {
    for (const at of [100n, 9000n, 5000n]) {
      const postgres = new Postgres();
      const { pass } = readerOf(postgres);
      const record = postgres.insert(9000);
      const last = postgres.insert(9000);
      const written = postgres.write(last.endLsn);
      postgres.damage(record.lsn + at);
      expect(() => pass(written)).toThrow(WalFormatError);
    }
  });

  it('zeros before the last page are damage too', () => {
    const postgres = new Postgres();
    const { pass } = readerOf(postgres);
    postgres.insert(100);
    const next = postgres.insert(30_000);
    const written = postgres.write(next.endLsn);
    for (let at = next.lsn; at < next.lsn + 4n; at++) {
      const flips = next.raw[Number(at - next.lsn)] ?? 0;
      for (let bit = 0; bit < 8; bit++) if ((flips & (1 << bit)) !== 0) postgres.damage(at);
    }
    expect(() => pass(written)).toThrow(WalFormatError);
  });

  it('a long record is not read again each time that a part more of it was written', () => {
    const postgres = new Postgres();
    const { pass, reader } = readerOf(postgres);
    const long = postgres.insert(800_000);
    for (let upTo: bigint = START; upTo < long.endLsn - PAGE; upTo += 2n * PAGE) expect(pass(postgres.write(upTo))).toEqual([]);
    expect(postgres.readBytes).toBeLessThan(100_000);
    expect(reader.hasNews(long.endLsn - PAGE)).toBe(false);
    expect(pass(postgres.write(long.endLsn))).toEqual([long.lsn]);
  });
});

it('knows from the records that are cut many at a time which transactions run', () => {
  const runningXacts = (oldest: number): Buffer => {
    const mainData = Buffer.alloc(24);
    mainData.writeUInt32LE(oldest, 16);
    return mainData;
  };
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ rmid: fc.constant(RMGR.HEAP), info: fc.constant(0), xid: fc.nat(6) }) },
    { weight: 3, arbitrary: fc.record({ rmid: fc.constant(RMGR.XACT), info: fc.constantFrom(0x00, 0x20), xid: fc.nat(6) }) },
    {
      weight: 1,
      arbitrary: fc.record({ rmid: fc.constant(RMGR.STANDBY), info: fc.constant(OPCODE.STANDBY.RUNNING_XACTS), xid: fc.nat(6) }),
    },
  );
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 60 }), (steps) => {
      const postgres = new Postgres();
      const { pass, reader } = readerOf(postgres);
      const running = new RunningTransactions();
      for (const { rmid, info, xid } of steps) {
        const isList = rmid === RMGR.STANDBY;
        const { lsn: at, raw } = postgres.insert(0, info, isList ? runningXacts(xid + 3) : Buffer.alloc(30), [rmid, isList ? 0 : xid + 3]);
        running.note(Number(at), raw, 0, raw.length);
      }
      pass(postgres.write(postgres.records.at(-1)?.endLsn ?? START));
      expect(reader.runningLsn).toBe(BigInt(running.oldestLsn ?? reader.position));
    }),
    { numRuns: 100 },
  );
});

it('gives what a PostgreSQL writes on a timeline of its own as on the volume’s, each record as long and where it was', () => {
  const postgres = new Postgres(2);
  postgres.volumeTimeline = 1;
  const endOfRecovery = (timeline: number, prevTimeline: number): Buffer => {
    const mainData = Buffer.alloc(24);
    mainData.writeUInt32LE(timeline, 8);
    mainData.writeUInt32LE(prevTimeline, 12);
    return mainData;
  };
  const [end, between, last] = [
    postgres.insert(0, OPCODE.XLOG.END_OF_RECOVERY, endOfRecovery(2, 1)),
    postgres.insert(9000),
    postgres.insert(0, OPCODE.XLOG.END_OF_RECOVERY, endOfRecovery(2, 2)),
  ];
  const reader = new WalReader(postgres, START, lsn(START - 64n), SYSTEM);
  const run = new RecordRun();
  postgres.readable = postgres.write(last.endLsn);
  reader.begin(postgres.readable);
  expect(reader.fill(run, 1 << 20)).toBe('end');
  const given = [...recordsOf(sealRedoBatch(run, { pg: 0, epoch: 1n, backlink: run.startLsn, previousEpoch: 1n }))];
  const prevs = [lsn(START - 64n), between.lsn];
  const due = prevs.map((prev) =>
    buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.END_OF_RECOVERY, xid: 0, prev, mainData: endOfRecovery(1, 1) }),
  );
  expect(given).toEqual([
    expect.objectContaining({ lsn: end.lsn, raw: due[0] }),
    expect.objectContaining({ lsn: between.lsn, raw: between.raw }),
    expect.objectContaining({ lsn: last.lsn, raw: due[1] }),
  ]);
  expect(reader.position).toBe(last.endLsn);
});
