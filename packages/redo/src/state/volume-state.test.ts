import { encodeCheckpoint, lsn, OPCODE, RMGR } from '@kube-aurora/pg-format';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { EngineStateError, RedoError } from '@kube-aurora/redo-engine';
import { SLRU_MAX_PAGE } from '../slru/layout.ts';
import { MADE_CONTROL, type MadeRecord, madeRecord, packed } from '../test-record.ts';
import { touchedPages } from '../touched-pages.ts';
import { applyEffects } from './apply-effects.ts';
import { decodeVolumeState, encodeVolumeState } from './codec.ts';
import { SlruRange } from './slru-range.ts';
import { TransactionTable } from './transaction-table.ts';
import {
  addDatabase,
  checkpointAt,
  type Effect,
  emptyVolumeState,
  orphanedXids,
  setRelationMap,
  type VolumeState,
} from './volume-state.ts';

function apply(state: VolumeState, ...records: MadeRecord[]): Effect[] {
  return records.flatMap((record) => [...applyEffects(state, madeRecord(record))]);
}

const insert = (xid: number, block = 0): MadeRecord => ({
  rmid: RMGR.HEAP,
  info: OPCODE.HEAP.INSERT,
  xid,
  blocks: [{ id: 0, blockNumber: block }],
});
const commit = (xid: number): MadeRecord => ({ rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT, xid, mainData: packed([8, 0]) });
const lock = (xid: number, relOid: number): MadeRecord => ({
  rmid: RMGR.STANDBY,
  info: OPCODE.STANDBY.LOCK,
  mainData: packed([4, 1], [4, xid], [4, 5], [4, relOid]),
});
const runningXacts = (next: number, oldest: number): MadeRecord => ({
  rmid: RMGR.STANDBY,
  info: OPCODE.STANDBY.RUNNING_XACTS,
  mainData: packed([4, 0], [4, 0], [4, 0], [4, next], [4, oldest], [4, next - 1]),
});

/** PREPARE with one subtransaction; gid `g`. */
function prepare(xid: number, subxid: number): MadeRecord {
  const data = Buffer.alloc(72 + 8 + 8);
  data.writeUInt32LE(xid, 8);
  data.writeInt32LE(1, 28);
  data.writeUInt16LE(2, 54);
  data.write('g\0', 72);
  data.writeUInt32LE(subxid, 80);
  return { rmid: RMGR.XACT, info: OPCODE.XACT.PREPARE, xid, mainData: data };
}

describe('transactions', () => {
  test('an xid in a gap runs until its end is logged', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    apply(state, insert(753));
    expect([...state.transactions.running]).toEqual([750, 751, 752, 753]);
    apply(state, commit(751), commit(753));
    expect(orphanedXids(state)).toEqual([750, 752]);
    expect(checkpointAt(state, { redo: lsn(1), online: true, time: 9n })).toMatchObject({ nextXid: 754n, oldestActiveXid: 750, time: 9n });
    apply(state, runningXacts(754, 752));
    expect(orphanedXids(state)).toEqual([752]);
  });

  test('prepared transactions, their subtransactions and locks outlive shutdown and pruning', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    apply(state, insert(750), insert(751), insert(752), lock(750, 99), lock(752, 98), prepare(750, 751));
    expect(orphanedXids(state)).toEqual([752]);
    apply(state, runningXacts(753, 753));
    expect([...state.transactions.running]).toEqual([750, 751]);
    expect([...state.locks.keys()]).toEqual([750]);
    const shutdown = checkpointAt(state, { redo: lsn(1), online: false, time: 0n });
    apply(state, { rmid: RMGR.XLOG, info: OPCODE.XLOG.CHECKPOINT_SHUTDOWN, mainData: encodeCheckpoint(shutdown) });
    expect([...state.transactions.running]).toEqual([750, 751]);
    expect(state.prepared.get(750)).toMatchObject({ gid: 'g', fullXid: 750n, subxids: [751] });
    const end = packed([8, 0], [4, 0x93], [4, 5], [4, 1663], [4, 1], [4, 751], [4, 750], [2, 0x67]);
    apply(state, { rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT_PREPARED | 0x80, mainData: end });
    expect([state.prepared.size, state.transactions.running.size, state.locks.size]).toEqual([0, 0, 0]);
  });

  test('the epoch grows when xids wrap around, and permanent xids are skipped', () => {
    const table = new TransactionTable(0xffff_fffen);
    table.observe(4);
    expect(table.nextFullXid).toBe(0x1_0000_0005n);
    expect([...table.running]).toEqual([0xffff_fffe, 0xffff_ffff, 3, 4]);
    expect(table.oldest()).toBe(0xffff_fffe);
    expect([table.fullXid(0xffff_ffff), table.fullXid(4)]).toEqual([0xffff_ffffn, 0x1_0000_0004n]);
  });
});

test('XLOG/NOOP, which replay knows though nothing writes it, moves the state on and changes nothing', () => {
  const withoutPosition = (bytes: Buffer): Buffer => {
    const state = decodeVolumeState(bytes);
    state.lastRecordLsn = lsn(0);
    state.endLsn = lsn(0);
    return encodeVolumeState(state);
  };
  const state = emptyVolumeState(MADE_CONTROL);
  apply(state, insert(750), lock(750, 99));
  const before = encodeVolumeState(state);
  const noop = madeRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, mainData: packed([4, 0]), lsn: 0x100_2000 });
  expect(touchedPages(noop)).toEqual([]);
  expect(applyEffects(state, noop)).toEqual([]);
  expect([state.lastRecordLsn, state.endLsn]).toEqual([noop.lsn, noop.endLsn]);
  expect(withoutPosition(encodeVolumeState(state)).equals(withoutPosition(before))).toBe(true);
});

describe('relations', () => {
  const truncate = (blocks: number): MadeRecord => ({
    rmid: RMGR.SMGR,
    info: OPCODE.SMGR.TRUNCATE,
    mainData: packed([4, blocks], [4, 1663], [4, 5], [4, 16384], [4, 7]),
  });
  const main = { spcOid: 1663, dbOid: 5, relNumber: 16384, fork: 0 };

  test('are as long as the highest block touched, less truncations', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    apply(state, insert(750, 9), insert(750, 3), { ...insert(750), blocks: [{ id: 0, blockNumber: 1, fork: 2 }] });
    expect(state.relations.blocks(main)).toBe(10);
    expect(apply(state, truncate(4))).toEqual([
      { kind: 'truncate', fork: main, blocks: 4 },
      { kind: 'truncate', fork: { ...main, fork: 2 }, blocks: 1 },
    ]);
    expect(apply(state, truncate(8))).toEqual([]);
    apply(state, insert(750, 4));
    expect(state.relations.blocks(main)).toBe(5);
  });

  test('go with the transaction that drops them, and may come back', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    apply(state, insert(750, 9));
    const relation = { spcOid: 1663, dbOid: 5, relNumber: 16384 };
    const data = packed([8, 0], [4, 0x04], [4, 1], [4, 1663], [4, 5], [4, 16384]);
    expect(apply(state, { rmid: RMGR.XACT, info: OPCODE.XACT.ABORT | 0x80, xid: 750, mainData: data })).toEqual([
      { kind: 'drop', relation },
    ]);
    expect(state.relations.blocks(main)).toBeUndefined();
    apply(state, { rmid: RMGR.SMGR, info: OPCODE.SMGR.CREATE, mainData: packed([4, 1663], [4, 5], [4, 16384], [4, 0]) });
    expect(state.relations.blocks(main)).toBe(0);
  });

  test('are copied and dropped with their database', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    addDatabase(state, { spcOid: 1663, dbOid: 5 });
    setRelationMap(state, { spcOid: 1663, dbOid: 5 }, Buffer.alloc(524, 3));
    apply(state, insert(750, 9));
    const copy = { rmid: RMGR.DBASE, info: OPCODE.DBASE.CREATE_FILE_COPY, mainData: packed([4, 6], [4, 1700], [4, 5], [4, 1663]) };
    expect(apply(state, copy)).toContainEqual({ kind: 'copy-database', from: { spcOid: 1663, dbOid: 5 }, to: { spcOid: 1700, dbOid: 6 } });
    expect(state.relations.blocks({ ...main, spcOid: 1700, dbOid: 6 })).toBe(10);
    expect(state.relationMaps.get('1700/6')?.image).toEqual(Buffer.alloc(524, 3));
    const drop = { rmid: RMGR.DBASE, info: OPCODE.DBASE.DROP, mainData: packed([4, 5], [4, 1], [4, 1663]) };
    expect(apply(state, drop)).toEqual([{ kind: 'drop-database', spcOid: 1663, dbOid: 5 }]);
    expect([...state.relations.forks()]).toEqual([{ ...main, spcOid: 1700, dbOid: 6, blocks: 10 }]);
    expect([...state.databases.keys()]).toEqual(['1700/6']);
  });
});

describe('SLRU pages', () => {
  test('are cut by whole segments', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    for (let page = 0; page < 70; page++) apply(state, { rmid: RMGR.CLOG, info: OPCODE.CLOG.ZEROPAGE, mainData: packed([8, page]) });
    const cut = { rmid: RMGR.CLOG, info: OPCODE.CLOG.TRUNCATE, mainData: packed([8, 65], [4, 2_130_000], [4, 5]) };
    expect(apply(state, cut)).toEqual([{ kind: 'slru-truncate', slru: 'pg_xact', fromPage: 0, beforePage: 64 }]);
    expect([state.slrus.pg_xact.first, state.slrus.pg_xact.last]).toEqual([64, 69]);
    expect(state.control.checkPointCopy).toMatchObject({ oldestXid: 2_130_000, oldestXidDb: 5 });
    expect(apply(state, cut)).toEqual([]);
  });

  test('follow each other around the end of their numbers', () => {
    const size = SLRU_MAX_PAGE.pg_commit_ts + 1;
    fc.assert(
      fc.property(fc.nat(size - 1), fc.integer({ min: 1, max: 200 }), fc.nat(250), (start, length, cut) => {
        const range = new SlruRange('pg_commit_ts');
        for (let i = 0; i < length; i++) range.extend((start + i) % size);
        const dropped = range.truncateBefore((start + cut) % size);
        expect(dropped).toBe(cut > 0 && cut < length);
        const from = dropped ? cut : 0;
        expect([...range.pages()]).toEqual(Array.from({ length: length - from }, (_, i) => (start + from + i) % size));
      }),
      { numRuns: 200 },
    );
  });

  test('of commit times come and go with the setting', () => {
    const state = emptyVolumeState(MADE_CONTROL);
    const parameters = (track: number): MadeRecord => ({
      rmid: RMGR.XLOG,
      info: OPCODE.XLOG.PARAMETER_CHANGE,
      mainData: packed([4, 50], [4, 4], [4, 3], [4, 2], [4, 32], [4, 2], [1, 1], [1, track]),
    });
    apply(state, parameters(1), commit(760));
    expect(state.control).toMatchObject({
      maxConnections: 50,
      maxPreparedXacts: 2,
      walLevel: 2,
      walLogHints: true,
      trackCommitTimestamp: true,
    });
    expect(state.control.checkPointCopy).toMatchObject({ oldestCommitTsXid: 750, newestCommitTsXid: 760 });
    expect(apply(state, parameters(0))).toEqual([{ kind: 'slru-truncate', slru: 'pg_commit_ts', fromPage: 0, beforePage: 1 }]);
    expect(state.slrus.pg_commit_ts.length).toBe(0);
  });
});

test('a record that PostgreSQL 18 does not write stops', () => {
  const state = emptyVolumeState(MADE_CONTROL);
  expect(() => apply(state, { rmid: RMGR.SMGR, info: 0x70, mainData: Buffer.alloc(20) })).toThrow(RedoError);
  for (const [rmid, info] of [
    [RMGR.BTREE, 0xf0],
    [40, 0],
    [150, 0],
  ] as const) {
    expect(() => apply(state, { rmid, info }), `${rmid}/${info}`).toThrow(/no such record/);
  }
  expect(apply(state, { ...insert(750), rmid: 150 })).toEqual([]);
  expect(() => apply(state, { rmid: RMGR.XLOG, info: OPCODE.XLOG.NEXTOID })).toThrow(/XLOG\/NEXTOID cannot be applied/);
});

describe('stored state', () => {
  function filled(order: 1 | -1): VolumeState {
    const state = emptyVolumeState(MADE_CONTROL);
    const steps: MadeRecord[] = [
      { rmid: RMGR.TBLSPC, info: OPCODE.TBLSPC.CREATE, mainData: Buffer.concat([packed([4, 1700]), Buffer.from('/there\0')]) },
      { rmid: RMGR.TBLSPC, info: OPCODE.TBLSPC.CREATE, mainData: Buffer.concat([packed([4, 1600]), Buffer.from('/here\0')]) },
      lock(750, 99),
      lock(750, 98),
      lock(751, 97),
      ...Array.from({ length: 900 }, (_, i): MadeRecord => ({
        ...insert(0),
        blocks: [{ id: 0, blockNumber: i, relNumber: 20_000 + ((i * 7919) % 900) }],
      })),
      { rmid: RMGR.REPLORIGIN, info: OPCODE.REPLORIGIN.SET, mainData: packed([8, 77], [2, 2], [2, 0]) },
      { rmid: RMGR.REPLORIGIN, info: OPCODE.REPLORIGIN.SET, mainData: packed([8, 78], [2, 1], [2, 0]) },
    ];
    apply(state, insert(750), insert(751), prepare(750, 751), ...(order === 1 ? steps : steps.reverse()));
    // The two orders end with different records; only what they did is compared.
    state.endLsn = lsn(0x200_0000);
    return state;
  }

  test('is the same bytes whatever the order things came in, and reads back', () => {
    const bytes = encodeVolumeState(filled(1));
    expect(encodeVolumeState(filled(-1)).equals(bytes)).toBe(true);
    const back = decodeVolumeState(bytes);
    expect(encodeVolumeState(back).equals(bytes)).toBe(true);
    const { relations, prepared, tablespaces, transactions, origins } = filled(1);
    expect([...back.relations.forks()]).toEqual([...relations.forks()]);
    expect(back).toMatchObject({ prepared, tablespaces, origins, endLsn: 0x200_0000n });
    expect([back.transactions.running, back.transactions.nextFullXid]).toEqual([transactions.running, 752n]);
  });

  test('that is damaged, cut short or of another version is refused', () => {
    const bytes = encodeVolumeState(filled(1));
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
        const damaged = Buffer.from(bytes);
        damaged.writeUInt8(damaged.readUInt8(at) ^ flip, at);
        expect(() => decodeVolumeState(damaged)).toThrow(EngineStateError);
      }),
      { numRuns: 200 },
    );
    expect(() => decodeVolumeState(bytes.subarray(0, -1))).toThrow(/length/);
    expect(() => decodeVolumeState(bytes.subarray(0, 10))).toThrow(/header/);
  });
});

test('settings that initdb chose are kept; a state without any has the bytes it always had', () => {
  const plain = encodeVolumeState(emptyVolumeState(MADE_CONTROL));
  expect(plain.readUInt32LE(4)).toBe(1);
  const state = emptyVolumeState(MADE_CONTROL);
  state.settings.set('timezone', 'Europe/Berlin');
  state.settings.set('datestyle', 'iso, mdy');
  const bytes = encodeVolumeState(state);
  expect(bytes.readUInt32LE(4)).toBe(2);
  expect([...decodeVolumeState(bytes).settings]).toEqual([
    ['datestyle', 'iso, mdy'],
    ['timezone', 'Europe/Berlin'],
  ]);
  expect(encodeVolumeState(decodeVolumeState(bytes))).toEqual(bytes);
  expect(decodeVolumeState(plain).settings.size).toBe(0);
});
