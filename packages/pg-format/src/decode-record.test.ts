import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildRecord, recordCrc, recordCrcIsValid } from './build-record.ts';
import { decodeRecord } from './decode-record.ts';
import { lsn } from './lsn.ts';
import { PAGE_BYTES } from './page.ts';
import { OPCODE, RMGR, resourceManagers } from './rmgr.ts';
import { WalFormatError } from './wal-format-error.ts';
import { BLOCK_FLAG, IMAGE_FLAG, RECORD_HEADER } from './wal-layout.ts';
import { recordEndLsn } from './wal-position.ts';
import type { BlockRef, WalRecord } from './wal-record.ts';

const START = lsn(0x300_0028n);

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' }).map((array) => Buffer.from(array));

const images: fc.Arbitrary<BlockRef['image']> = fc.oneof(
  fc.constant(undefined),
  fc
    .tuple(fc.boolean(), fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3000 }), fc.boolean())
    .map(([apply, holeOffset, holeLength, hasHole]) =>
      hasHole
        ? { data: Buffer.alloc(PAGE_BYTES - holeLength, 7), holeOffset, holeLength, apply, compression: 'none' as const }
        : { data: Buffer.alloc(PAGE_BYTES, 7), holeOffset: 0, holeLength: 0, apply, compression: 'none' as const },
    ),
  fc
    .tuple(fc.boolean(), fc.constantFrom('pglz' as const, 'lz4' as const, 'zstd' as const), bytes(300), fc.boolean())
    .map(([apply, compression, data, hasHole]) => ({
      data,
      holeOffset: hasHole ? 100 : 0,
      holeLength: hasHole ? 50 : 0,
      apply,
      compression,
    })),
);

const blocks = fc.uniqueArray(fc.integer({ min: 0, max: 32 }), { maxLength: 4 }).chain((ids) =>
  fc.tuple(
    ...ids
      .toSorted((a, b) => a - b)
      .map((id) =>
        fc.record({
          id: fc.constant(id),
          spcOid: fc.constantFrom(1663, 1664),
          dbOid: fc.constantFrom(5, 0),
          relNumber: fc.constantFrom(16384, 2619),
          fork: fc.integer({ min: 0, max: 3 }),
          blockNumber: u32,
          willInit: fc.boolean(),
          image: images,
          data: bytes(100),
        }),
      ),
  ),
);

const records = fc.record({
  xid: u32,
  rmid: fc.constantFrom(RMGR.HEAP, RMGR.BTREE, RMGR.XLOG),
  info: fc.constantFrom(0x00, 0x10, 0x80, 0x20, 0x21),
  prev: fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }).map((position) => lsn(position)),
  blocks,
  mainData: fc.oneof(bytes(20), bytes(600)),
  origin: fc.option(fc.integer({ min: 0, max: 0xffff }), { nil: undefined }),
  topLevelXid: fc.option(u32, { nil: undefined }),
});

type Fields = Omit<WalRecord, 'lsn' | 'endLsn' | 'crc' | 'raw'>;

/** The encoder that the product does not need: a record with block references, from access/xlogrecord.h. */
function encode(fields: Fields): Buffer {
  const headers: Buffer[] = [];
  const payload: Buffer[] = [];
  let previous: BlockRef | undefined;
  for (const block of fields.blocks) {
    const { image } = block;
    const sameRel = previous?.spcOid === block.spcOid && previous.dbOid === block.dbOid && previous.relNumber === block.relNumber;
    const flags =
      block.fork |
      (image === undefined ? 0 : BLOCK_FLAG.HAS_IMAGE) |
      (block.data.length > 0 ? BLOCK_FLAG.HAS_DATA : 0) |
      (block.willInit ? BLOCK_FLAG.WILL_INIT : 0) |
      (sameRel ? BLOCK_FLAG.SAME_REL : 0);
    headers.push(Buffer.from([block.id, flags]), u16(block.data.length));
    if (image !== undefined) {
      const method = { none: 0, pglz: IMAGE_FLAG.PGLZ, lz4: IMAGE_FLAG.LZ4, zstd: IMAGE_FLAG.ZSTD }[image.compression];
      const info = method | (image.holeLength > 0 ? IMAGE_FLAG.HAS_HOLE : 0) | (image.apply ? IMAGE_FLAG.APPLY : 0);
      headers.push(u16(image.data.length), u16(image.holeOffset), Buffer.from([info]));
      if (method !== 0 && image.holeLength > 0) headers.push(u16(image.holeLength));
      payload.push(image.data);
    }
    if (!sameRel) headers.push(le32(block.spcOid), le32(block.dbOid), le32(block.relNumber));
    headers.push(le32(block.blockNumber));
    payload.push(block.data);
    previous = block;
  }
  if (fields.origin !== undefined) headers.push(Buffer.from([253]), u16(fields.origin));
  if (fields.topLevelXid !== undefined) headers.push(Buffer.from([252]), le32(fields.topLevelXid));
  const main = fields.mainData;
  if (main.length > 255) headers.push(Buffer.from([254]), le32(main.length));
  else if (main.length > 0) headers.push(Buffer.from([255, main.length]));
  const raw = Buffer.concat([Buffer.alloc(24), ...headers, ...payload, main]);
  raw.writeUInt32LE(raw.length, RECORD_HEADER.totalLength.at);
  raw.writeUInt32LE(fields.xid, RECORD_HEADER.xid.at);
  raw.writeBigUInt64LE(fields.prev, RECORD_HEADER.prev.at);
  raw.writeUInt8(fields.info, RECORD_HEADER.info.at);
  raw.writeUInt8(fields.rmid, RECORD_HEADER.rmid.at);
  raw.writeUInt32LE(recordCrc(raw), RECORD_HEADER.crc.at);
  return raw;
}

function u16(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value);
  return buffer;
}

function le32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32LE(value);
  return buffer;
}

test('every field of a record comes back', () => {
  fc.assert(
    fc.property(records, (fields) => {
      const raw = encode(fields);
      const { lsn: start, endLsn, crc, raw: kept, prev, xid, rmid, info, mainData, origin, topLevelXid, blocks } = decodeRecord(raw, START);
      const plain = blocks.map(({ id, spcOid, dbOid, relNumber, fork, blockNumber, willInit, image, data }) => {
        return { id, spcOid, dbOid, relNumber, fork, blockNumber, willInit, image, data };
      });
      expect({ prev, xid, rmid, info, mainData, origin, topLevelXid, blocks: plain }).toEqual(fields);
      expect(kept).toBe(raw);
      expect(start).toBe(START);
      expect(endLsn).toBe(recordEndLsn(START, raw.length, false));
      expect(crc).toBe(recordCrc(raw));
    }),
  );
});

test('whatever the bytes, decoding gives a record or a WalFormatError', () => {
  fc.assert(
    fc.property(records, fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 8 }), (fields, changes) => {
      const raw = encode(fields);
      for (const [at, value] of changes) raw[4 + (at % (raw.length - 4))] = value;
      expect(recordCrcIsValid(raw)).toBe(recordCrc(raw) === raw.readUInt32LE(20));
      try {
        decodeRecord(raw, START);
      } catch (error) {
        expect(error).toBeInstanceOf(WalFormatError);
      }
    }),
    { numRuns: 500 },
  );
});

describe('what is refused', () => {
  const plain = buildRecord({ rmid: RMGR.HEAP, info: 0, xid: 1, prev: lsn(0), mainData: Buffer.from('abc') });
  function refusal(change: (raw: Buffer) => Buffer | void): string {
    const copy = Buffer.from(plain);
    const changed = change(copy) ?? copy;
    try {
      decodeRecord(changed, START);
    } catch (error) {
      if (error instanceof WalFormatError) return error.message;
    }
    return 'nothing wrong';
  }

  test('nothing, in the record as it is', () => expect(refusal(() => undefined)).toBe('nothing wrong'));
  test.each([
    ['a buffer shorter than a header', (raw: Buffer) => raw.subarray(0, 20), /tot_len: record of 20 bytes is shorter/],
    ['a cut record', (raw: Buffer) => raw.subarray(0, 28), /tot_len: says 29, record has 28 bytes/],
    ['payload that is not announced', (raw: Buffer) => void raw.writeUInt8(2, 25), /3 bytes of payload, headers announce 2/],
    ['an id that is none', (raw: Buffer) => void raw.writeUInt8(77, 24), /block_id: 77 is not a block id/],
    ['a block header beyond the end', (raw: Buffer) => void raw.fill(0, 24), /needs 12 bytes at offset 28, 1 left/],
  ])('%s', (_, change, message) => {
    expect(refusal(change)).toMatch(message);
  });
});

describe('buildRecord', () => {
  test('a filler has exactly the length asked for', () => {
    for (const totalBytes of [24, 32, 40, 272, 280, 288, 8192, 100_000]) {
      const raw = buildRecord({ rmid: 0, info: OPCODE.XLOG.NOOP, xid: 0, prev: lsn(8), mainData: Buffer.alloc(0), totalBytes });
      expect(raw.length).toBe(totalBytes);
      expect(recordCrcIsValid(raw)).toBe(true);
      expect(decodeRecord(raw, START).mainData.every((byte) => byte === 0)).toBe(true);
    }
    for (const totalBytes of [23, 25, 282]) {
      expect(() => buildRecord({ rmid: 0, info: 0, xid: 0, prev: lsn(8), mainData: Buffer.alloc(0), totalBytes })).toThrow(RangeError);
    }
  });
});

test.each([
  [RMGR.HEAP, 0x80, 'Heap/INSERT+INIT'],
  [RMGR.HEAP, 0x21, 'Heap/UPDATE'],
  [RMGR.HEAP2, 0xd0, 'Heap2/MULTI_INSERT+INIT'],
  [RMGR.XACT, 0x80, 'Transaction/COMMIT'],
  [RMGR.XLOG, 0xe0, 'XLOG/CHECKPOINT_REDO'],
  [RMGR.BTREE, 0xc0, 'Btree/VACUUM'],
  [RMGR.BRIN, 0x90, 'BRIN/INSERT+INIT'],
  [RMGR.GIST, 0x20, 'Gist/PAGE_REUSE'],
  [RMGR.GIST, 0x40, 'Gist/UNKNOWN (40)'],
  [200, 0x10, 'custom200/UNKNOWN (10)'],
])('record of resource manager %i with info %i is %s', (rmid, info, name) => {
  expect(resourceManagers(18).recordName({ rmid, info })).toBe(name);
});
