import fc from 'fast-check';
import { expect, test } from 'vitest';
import { CHECKPOINT, CHECKPOINT_BYTES, decodeCheckpoint, encodeCheckpoint } from './checkpoint.ts';
import { lsn } from './lsn.ts';
import { controlFileLayout, decodePgControl, encodePgControl, PG_CONTROL, PG_CONTROL_FILE_BYTES, type PgControl } from './pg-control.ts';
import { decodeStruct, type Field, type Layout, type StructOf } from './struct.ts';
import { StructFormatError } from './wal-format-error.ts';

/** Values for every field of a layout, within its type. */
function structs<L extends Layout>(layout: L): fc.Arbitrary<StructOf<L>> {
  const values = Object.fromEntries(Object.entries(layout).map(([name, field]) => [name, valuesOf(field)]));
  return fc.record(values).map((fields) => fields as StructOf<L>);
}

function valuesOf({ type }: Field): fc.Arbitrary<number | bigint | boolean> {
  const unsigned64 = fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn });
  switch (type) {
    case 'u8':
      return fc.nat({ max: 0xff });
    case 'u16':
      return fc.nat({ max: 0xffff });
    case 'u32':
      return fc.integer({ min: 0, max: 0xffff_ffff });
    case 'i32':
      return fc.integer();
    case 'f64':
      return fc.double({ noNaN: true });
    case 'bool':
      return fc.boolean();
    case 'i64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case 'u64':
      return unsigned64;
    case 'lsn':
      return unsigned64.map((position) => lsn(position));
  }
}

const controls: fc.Arbitrary<PgControl> = fc
  .tuple(structs(PG_CONTROL), structs(CHECKPOINT), fc.uint8Array({ minLength: 32, maxLength: 32 }))
  .map(([fields, checkPointCopy, nonce]) => ({
    ...fields,
    pgControlVersion: controlFileLayout(18).controlVersion,
    checkPointCopy,
    mockAuthenticationNonce: Buffer.from(nonce),
  }));

test('a checkpoint comes back', () => {
  fc.assert(
    fc.property(structs(CHECKPOINT), (checkpoint) => {
      const bytes = encodeCheckpoint(checkpoint);
      expect(bytes.length).toBe(CHECKPOINT_BYTES);
      expect(decodeCheckpoint(bytes)).toEqual(checkpoint);
    }),
  );
  expect(() => decodeCheckpoint(Buffer.alloc(87))).toThrow(RangeError);
});

test('pg_control comes back, and fields do not overlap', () => {
  fc.assert(
    fc.property(controls, (control) => {
      const file = encodePgControl(control);
      expect(file.length).toBe(PG_CONTROL_FILE_BYTES);
      expect(decodePgControl(file)).toEqual(control);
    }),
  );
});

test('a changed byte is detected', () => {
  fc.assert(
    fc.property(controls, fc.nat({ max: 295 }), fc.integer({ min: 1, max: 255 }), (control, at, flip) => {
      const file = encodePgControl(control);
      file[at] = (file[at] ?? 0) ^ flip;
      expect(() => decodePgControl(file)).toThrow(StructFormatError);
    }),
  );
});

test('short files and values that do not fit are refused', () => {
  const file = Buffer.alloc(100);
  file.writeUInt32LE(controlFileLayout(18).controlVersion, 8);
  expect(() => decodePgControl(file)).toThrow('file has 100 bytes, needs 296');
  expect(() => decodePgControl(file.subarray(0, 11))).toThrow('file has 11 bytes, needs 12');
  expect(() => encodeCheckpoint({ ...decodeStruct(CHECKPOINT, Buffer.alloc(88)), nextOid: 2 ** 32 })).toThrow(RangeError);
});

test('a file is read and written by the layout of its version; one that is not known is named', () => {
  const other = Buffer.alloc(PG_CONTROL_FILE_BYTES);
  other.writeUInt32LE(1902, 8);
  expect(() => decodePgControl(other)).toThrow('1902, expected 1800 (PostgreSQL 18)');
  expect(() => controlFileLayout(19)).toThrow('pg_control of PostgreSQL 19 is not known here');
  fc.assert(
    fc.property(controls, (control) => {
      expect(() => encodePgControl({ ...control, pgControlVersion: 1902 })).toThrow(StructFormatError);
    }),
    { numRuns: 5 },
  );
});
