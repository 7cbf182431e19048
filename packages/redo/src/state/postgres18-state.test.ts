import { buildRecord, decodeRecord, type Lsn, lsn, OPCODE, RMGR, WalFormatError } from '@kube-aurora/pg-format';
import { RedoError } from '@kube-aurora/redo-engine';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MADE_CONTROL } from '../test-record.ts';
import { touchedPages } from '../touched-pages.ts';
import { applyEffects } from './apply-effects.ts';
import { encodeVolumeState } from './codec.ts';
import { Postgres18State } from './postgres18-state.ts';
import { emptyVolumeState } from './volume-state.ts';

const START = 0x300_0028;

interface MadeBlock {
  readonly id: number;
  readonly fork: number;
  readonly rel: number;
  readonly block: number;
  readonly willInit: boolean;
  readonly isSame: boolean;
}

const block = fc.record({
  fork: fc.constantFrom(0, 2),
  rel: fc.constantFrom(16_384, 16_385),
  block: fc.constantFrom(0, 1, 40_000, 2 ** 32 - 2),
  willInit: fc.boolean(),
  isSame: fc.boolean(),
});
const blocks = fc
  .uniqueArray(fc.nat({ max: 4 }), { maxLength: 4 })
  .chain((ids) => fc.tuple(...ids.toSorted((a, b) => a - b).map((id) => block.map((one): MadeBlock => ({ id, ...one })))));
const records = fc.record({
  rmid: fc.constantFrom(RMGR.HEAP, RMGR.HEAP2, RMGR.BTREE, RMGR.HASH, RMGR.XLOG, RMGR.SEQ, RMGR.GENERIC, 25, 140),
  info: fc.constantFrom(...Array.from({ length: 16 }, (_, high) => high << 4)),
  xid: fc.nat({ max: 900 }),
  blocks,
  mainData: fc.uint8Array({ minLength: 8, maxLength: 40 }),
});

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}

/** A record whose blocks have neither data nor images (access/xlogrecord.h). */
function encoded({ rmid, info, xid, blocks: made, mainData }: Parameters<typeof entry>[0]): Buffer {
  const headers = made.map(({ id, fork, rel, block: number, willInit, isSame }, at) => {
    const same = isSame && at > 0;
    const flags = fork | (willInit ? 0x40 : 0) | (same ? 0x80 : 0);
    const names = same ? [] : [u32(1663), u32(5), u32(rel)];
    return Buffer.concat([Buffer.from([id, flags, 0, 0]), ...names, u32(number)]);
  });
  const raw = Buffer.concat([Buffer.alloc(24), ...headers, Buffer.from([255, mainData.length]), mainData]);
  raw.writeUInt32LE(raw.length, 0);
  raw.writeUInt32LE(xid, 4);
  raw[16] = info;
  raw[17] = rmid;
  return raw;
}

function entry<T extends { rmid: number; info: number; xid: number; blocks: readonly MadeBlock[]; mainData: Uint8Array }>(made: T): T {
  return made;
}

/** What came of a record: the pages that it changes, or which error it is refused with. */
type Outcome = readonly string[] | string;

function refused(error: unknown): string {
  if (error instanceof RedoError) return `RedoError ${error.record} ${error.message}`;
  if (error instanceof WalFormatError) return `WalFormatError ${error.field}`;
  return 'another error';
}

const named = (space: string, number: number, replaces: boolean): string =>
  `${Buffer.from(space, 'latin1').toString('hex')} ${number} ${replaces}`;

const NO_BYTES = Buffer.alloc(0);

/** Takes in records one after another, up to `most` together (0: one by one): what pages they change, and what came of it. */
function recorded(raws: readonly Buffer[], most: number): { touched: Map<string, string>; outcome: string; together: number } {
  const state = new Postgres18State(emptyVolumeState(MADE_CONTROL));
  const touched = new Map<string, string>();
  const touch = (page: string, record: number, replaces: boolean): void =>
    void touched.set(page, `${touched.get(page) ?? ''} ${record}${replaces ? '!' : ''}`);
  const starts: number[] = [];
  let at = 16;
  for (const raw of raws) {
    starts.push(at);
    at += (8 + raw.length + 7) & ~7;
  }
  const batch = Buffer.alloc(at);
  raws.forEach((raw, nth) => {
    batch.writeBigUInt64LE(BigInt(START + (starts[nth] ?? 0)), starts[nth]);
    raw.copy(batch, (starts[nth] ?? 0) + 8);
  });
  let together = 0;
  try {
    for (let next = 0; next < raws.length;) {
      const from = starts[next] ?? 0;
      const places = { lsns: new BigUint64Array(9), positions: new Float64Array(9), lengths: new Uint32Array(9), first: 2, count: most };
      const first = next;
      const limit = START + (starts[next + 3] ?? at);
      const count = state.takeMany({ batch, position: 1000, at: from, end: at, limit }, places, (space, block, refs, begin, end) => {
        for (const ref of refs.subarray(begin, end)) touch(named(space, block, false), first + (ref >> 1), (ref & 1) === 1);
      });
      for (let nth = 0; nth < count; nth++) {
        const start = starts[next + nth] ?? 0;
        const place = 2 + nth;
        expect([places.lsns[place], places.positions[place], places.lengths[place]]).toEqual([
          BigInt(START + start),
          1000 + start,
          raws[next + nth]?.length,
        ]);
      }
      // No more than there are places, and none at or past the limit.
      expect(count).toBeLessThanOrEqual(Math.min(most, 3));
      together += count;
      next += count;
      if (count > 0) continue;
      const { length } = raws[next] ?? NO_BYTES;
      const number = next++;
      state.take(batch, from + 8, length, START + from, (space, block, replaces) => touch(named(space, block, false), number, replaces));
    }
    return { touched, outcome: `${state.endLsn} ${state.encode().toString('hex')}`, together };
  } catch (error) {
    return { touched: new Map(), outcome: refused(error), together };
  }
}

describe('a record that is taken in where it stands', () => {
  it('does what it does decoded: to pages, to the state, and where it is refused', () => {
    fc.assert(
      fc.property(fc.array(records, { minLength: 1, maxLength: 6 }), fc.nat({ max: 9 }), (made, before) => {
        const state = emptyVolumeState(MADE_CONTROL);
        const taken = new Postgres18State(emptyVolumeState(MADE_CONTROL));
        let at = START;
        for (const one of made) {
          const raw = encoded(entry(one));
          const touched: string[] = [];
          let expected: Outcome;
          let found: Outcome = touched;
          try {
            const record = decodeRecord(raw, lsn(at));
            expected = touchedPages(record, false).map(({ space, block: number, replaces }) => named(space, number, replaces));
            applyEffects(state, record);
          } catch (error) {
            expected = refused(error);
          }
          try {
            const bytes = Buffer.concat([Buffer.alloc(before, 0xee), raw, Buffer.alloc(9, 0xee)]);
            taken.take(bytes, before, raw.length, at, (space, number, replaces) => touched.push(named(space, number, replaces)));
          } catch (error) {
            found = refused(error);
          }
          expect(found).toEqual(expected);
          // After one that is refused the state is of no use.
          if (typeof expected === 'string') return;
          expect(taken.endLsn).toBe(state.endLsn);
          at += (raw.length + 7) & ~7;
        }
        expect(taken.encode().equals(encodeVolumeState(state))).toBe(true);
      }),
    );
  });

  it('does the same when many are taken in together, and what is not of the kind is left', () => {
    let together = 0;
    fc.assert(
      fc.property(
        fc.array(records, { minLength: 1, maxLength: 12 }),
        fc.array(fc.tuple(fc.nat(1000), fc.nat(255)), { maxLength: 2 }),
        (made, damage) => {
          const raws = made.map((one) => encoded(entry(one)));
          for (const [at, byte] of damage) {
            const raw = raws[at % raws.length] ?? NO_BYTES;
            // Its length is checked before it comes here.
            if (raw.length > 4 + (at % 97)) raw[4 + (at % 97)] = byte;
          }
          const [one, many] = [recorded(raws, 0), recorded(raws, 5)];
          together += many.together;
          expect(many.outcome).toEqual(one.outcome);
          expect(many.touched).toEqual(one.touched);
        },
      ),
      { numRuns: 400 },
    );
    expect(together).toBeGreaterThan(100);
  });

  it('is refused when its bytes are no record, with what is wrong and where', () => {
    const raw = buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, xid: 0, prev: 0n as Lsn, mainData: Buffer.alloc(40) });
    const take = (bytes: Buffer, length: number): unknown =>
      new Postgres18State(emptyVolumeState(MADE_CONTROL)).take(bytes, 0, length, START, () => {});
    expect(() => take(raw.subarray(0, 50), raw.length)).toThrow(WalFormatError);
    expect(() => take(raw, raw.length - 8)).toThrow('0/3000028, tot_len');
    expect(() => take(Buffer.alloc(0), 0)).toThrow(WalFormatError);
    const damaged = Buffer.from(raw);
    damaged[24] = 77;
    expect(() => take(damaged, raw.length)).toThrow('77 is not a block id');
  });
});
