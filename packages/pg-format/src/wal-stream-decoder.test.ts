import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildRecord } from './build-record.ts';
import { lsn } from './lsn.ts';
import { OPCODE, RMGR } from './rmgr.ts';
import { type Log, logs } from './wal-arbitraries.ts';
import { WalFormatError } from './wal-format-error.ts';
import { WAL_PAGE_BYTES, WAL_PAGE_HEADER, WAL_PAGE_INFO } from './wal-layout.ts';
import { WalPageWriter } from './wal-page-writer.ts';
import { pageHeaderBytes } from './wal-position.ts';
import { type StreamRecord, WalStreamDecoder } from './wal-stream-decoder.ts';

const SYSTEM = 7_000_000_000_000_000_001n;

function write(log: Log): WalPageWriter {
  const writer = new WalPageWriter({ systemIdentifier: SYSTEM, timeline: 3, startLsn: log.startLsn });
  for (const { lsn: start, endLsn, raw } of log.records) expect(writer.append(raw)).toEqual({ lsn: start, endLsn });
  return writer;
}

function streamOf(log: Log): Buffer {
  return Buffer.concat([...write(log).read(log.startLsn)].map((piece) => piece.bytes));
}

function drain(decoder: WalStreamDecoder): StreamRecord[] {
  const records: StreamRecord[] = [];
  for (let record = decoder.next(); record !== undefined; record = decoder.next()) records.push(record);
  return records;
}

function decoderOf(log: Log): WalStreamDecoder {
  return new WalStreamDecoder(log.startLsn, { systemIdentifier: SYSTEM, prev: log.prev });
}

/** Splits bytes into pieces whose sizes go round through `sizes`. */
function* chunked(bytes: Buffer, sizes: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let index = 0; at < bytes.length; index++) {
    const size = sizes[index % sizes.length] ?? 1;
    // A copy each, as reads from a socket would give.
    yield Buffer.from(bytes.subarray(at, at + size));
    at += size;
  }
}

const chunkSizes = fc.array(fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 20_000 })), { minLength: 1, maxLength: 5 });

describe('round trip', () => {
  test('records laid out as pages come back, at any start and for any chunking', () => {
    fc.assert(
      fc.property(logs({ withSwitch: false }), chunkSizes, fc.boolean(), (log, sizes, eager) => {
        const decoder = decoderOf(log);
        const found: StreamRecord[] = [];
        for (const chunk of chunked(streamOf(log), sizes)) {
          decoder.push(chunk);
          if (eager) found.push(...drain(decoder));
        }
        found.push(...drain(decoder));
        expect(found).toEqual(log.records);
        expect(decoder.position).toBe(log.records.at(-1)?.endLsn);
        expect(decoder.lastRecordLsn).toBe(log.records.at(-1)?.lsn);
        expect(decoder.reachedZeros).toBe(false);
      }),
      { numRuns: 150 },
    );
  });

  test('whole pages decode too, and their zero tail is the end', () => {
    fc.assert(
      fc.property(logs({ withSwitch: false }), (log) => {
        const [first, ...rest] = write(log).pages();
        const decoder = decoderOf(log);
        decoder.push(first === undefined ? Buffer.alloc(0) : first.bytes.subarray(Number(log.startLsn - first.lsn)));
        for (const page of rest) decoder.push(page.bytes);
        decoder.push(Buffer.alloc(WAL_PAGE_BYTES));
        expect(drain(decoder)).toEqual(log.records);
        expect(decoder.reachedZeros).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  test('XLOG_SWITCH runs to the end of its segment, which the reader may leave out', () => {
    fc.assert(
      fc.property(logs({ withSwitch: true }), fc.boolean(), (log, leaveOut) => {
        const writer = write(log);
        const decoder = decoderOf(log);
        const found: StreamRecord[] = [];
        for (const { lsn: start, bytes } of writer.read(log.startLsn)) {
          if (leaveOut && start + BigInt(bytes.length) <= decoder.position) continue;
          if (decoder.receivedLsn < start) expect(decoder.rewind()).toBe(start);
          decoder.push(bytes);
          found.push(...drain(decoder));
        }
        expect(found).toEqual(log.records);
      }),
      { numRuns: 25 },
    );
  });

  test('a second decoder can start at the end of any record', () => {
    fc.assert(
      fc.property(logs({ withSwitch: false }), fc.nat(), (log, pick) => {
        const from = log.records[pick % log.records.length];
        if (from === undefined) return;
        const decoder = new WalStreamDecoder(from.endLsn, { prev: from.lsn });
        decoder.push(streamOf(log).subarray(Number(from.endLsn - log.startLsn)));
        expect(drain(decoder)).toEqual(log.records.slice(log.records.indexOf(from) + 1));
      }),
      { numRuns: 60 },
    );
  });
});

describe('damage', () => {
  /** Whether the byte at `position` is part of a record (not header, padding or hole). */
  function isRecordByte(log: Log, position: bigint): boolean {
    const page = position - (position % BigInt(WAL_PAGE_BYTES));
    if (Number(position - page) < pageHeaderBytes(Number(page % 0x100_0000n))) return false;
    const owner = log.records.find((record) => record.lsn <= position && position < record.endLsn);
    return owner !== undefined && !(position >= owner.endLsn - BigInt(-owner.raw.length & 7));
  }

  test('a changed byte is never handed on: the records before it come, then an error or the end', () => {
    fc.assert(
      fc.property(logs({ withSwitch: false }), fc.nat(), fc.integer({ min: 1, max: 255 }), chunkSizes, (log, where, flip, sizes) => {
        const stream = streamOf(log);
        const at = where % stream.length;
        stream[at] = (stream[at] ?? 0) ^ flip;
        const decoder = decoderOf(log);
        const found: StreamRecord[] = [];
        let failure: unknown;
        try {
          for (const chunk of chunked(stream, sizes)) {
            decoder.push(chunk);
            for (let record = decoder.next(); record !== undefined; record = decoder.next()) found.push(record);
          }
        } catch (error) {
          failure = error;
        }
        expect(found).toEqual(log.records.slice(0, found.length));
        expect(decoder.position).toBe(found.at(-1)?.endLsn ?? log.startLsn);
        if (isRecordByte(log, log.startLsn + BigInt(at))) expect(found.length).toBeLessThan(log.records.length);
        if (failure !== undefined) {
          expect(failure).toBeInstanceOf(WalFormatError);
          expect(() => decoder.next()).toThrow(WalFormatError);
        }
      }),
      { numRuns: 300 },
    );
  });

  test('after a torn tail, rewind takes the rest again from the last good record', () => {
    fc.assert(
      fc.property(logs({ withSwitch: false }), fc.nat(), (log, cut) => {
        const stream = streamOf(log);
        const at = cut % stream.length;
        const decoder = decoderOf(log);
        decoder.push(Buffer.concat([stream.subarray(0, at), Buffer.alloc(stream.length - at)]));
        const found: StreamRecord[] = [];
        try {
          for (let record = decoder.next(); record !== undefined; record = decoder.next()) found.push(record);
        } catch (error) {
          expect(error).toBeInstanceOf(WalFormatError);
        }
        const again = decoder.rewind();
        expect(again).toBe(decoder.receivedLsn);
        decoder.push(stream.subarray(Number(again - log.startLsn)));
        found.push(...drain(decoder));
        expect(found).toEqual(log.records);
      }),
      { numRuns: 100 },
    );
  });

  const noop = (prev: bigint, length: number) =>
    buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, xid: 0, prev: lsn(prev), mainData: Buffer.alloc(length, 1) });
  const START = lsn(0x300_0000n);
  function pagesOf(...raws: Buffer[]): Buffer {
    const writer = new WalPageWriter({ systemIdentifier: SYSTEM, timeline: 3, startLsn: START });
    for (const raw of raws) writer.append(raw);
    return Buffer.concat(writer.pages().map((page) => page.bytes));
  }
  function firstError(bytes: Buffer, options = {}): WalFormatError {
    const decoder = new WalStreamDecoder(START, options);
    decoder.push(bytes);
    try {
      drain(decoder);
    } catch (error) {
      if (error instanceof WalFormatError) return error;
    }
    throw new Error('no WalFormatError');
  }

  test('another database is told by its system identifier', () => {
    expect(firstError(pagesOf(noop(0n, 10)), { systemIdentifier: 5n })).toMatchObject({ field: 'xlp_sysid', lsn: START });
  });

  test('a record that does not point back at the one before is refused', () => {
    const error = firstError(pagesOf(noop(0n, 10), noop(0x300_0000n, 10)));
    expect(error).toMatchObject({ field: 'xl_prev' });
    expect(error.message).toBe('WAL at 0/3000050, xl_prev: 0/3000000, expected 0/3000028');
  });

  test('a page of another place (a recycled segment) is refused', () => {
    const bytes = pagesOf(noop(0n, 10_000));
    bytes.writeBigUInt64LE(0x100_2000n, WAL_PAGE_BYTES + WAL_PAGE_HEADER.pageAddress.at);
    expect(firstError(bytes)).toMatchObject({ field: 'xlp_pageaddr', lsn: 0x300_2000n });
  });

  test('timelines never go back', () => {
    const bytes = pagesOf(noop(0n, 10_000));
    bytes.writeUInt32LE(2, WAL_PAGE_BYTES + WAL_PAGE_HEADER.timeline.at);
    expect(firstError(bytes)).toMatchObject({ field: 'xlp_tli' });
  });

  test('a length beyond any record asks for no memory', () => {
    const bytes = pagesOf(noop(0n, 10));
    bytes.writeUInt32LE(0xffff_fff0, 40);
    expect(firstError(bytes)).toMatchObject({ field: 'xl_tot_len' });
  });

  test('a start position within a page header is refused', () => {
    expect(() => new WalStreamDecoder(lsn(0x300_0010n))).toThrow(/0\/3000010 is not where/);
    expect(() => new WalStreamDecoder(lsn(0x300_2014n))).toThrow(RangeError);
  });

  test('a record that recovery abandoned is passed over', () => {
    const first = noop(0n, 10);
    const lost = noop(0x300_0028n, 20_000);
    const after = noop(0x300_0028n, 50);
    const bytes = pagesOf(first, lost);
    // Recovery wrote on at the second page: the overwrite flag, and its own record after the header.
    const page = bytes.subarray(WAL_PAGE_BYTES, 2 * WAL_PAGE_BYTES).fill(0, 20);
    page.writeUInt32LE(0, WAL_PAGE_HEADER.remainingLength.at);
    page.writeUInt16LE(WAL_PAGE_INFO.FIRST_IS_OVERWRITE_CONTRECORD, WAL_PAGE_HEADER.info.at);
    after.copy(page, 24);
    const decoder = new WalStreamDecoder(START);
    decoder.push(bytes.subarray(0, 2 * WAL_PAGE_BYTES));
    expect(drain(decoder).map((record) => record.lsn)).toEqual([0x300_0028n, 0x300_2018n]);
  });
});
