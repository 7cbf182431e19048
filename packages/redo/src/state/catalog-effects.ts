import { OPCODE, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { unknownOpcode } from '../rmgr/resource-manager.ts';
import { SMGR_TRUNCATE_FSM, SMGR_TRUNCATE_HEAP, SMGR_TRUNCATE_VM, truncatedTo, truncateFlags } from '../rmgr/smgr.ts';
import { vmPagesFor } from '../rmgr/visibility-map.ts';
import { addDatabase, directoryKey, type Effect, setRelationMap, type VolumeState } from './volume-state.ts';

/** Relation files, databases, tablespaces and relation maps. */

const MAIN = 0;
const FSM = 1;
const VM = 2;
const GLOBAL_TABLESPACE = 1664;

/** xl_smgr_create: 0 spcOid, 4 dbOid, 8 relNumber (u32), 12 fork i32. */
export function applyStorage(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const { mainData } = record;
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  if (op === OPCODE.SMGR.CREATE) {
    state.relations.create(mainData.readUInt32LE(0), mainData.readUInt32LE(4), mainData.readUInt32LE(8), mainData.readInt32LE(12));
    return undefined;
  }
  if (op !== OPCODE.SMGR.TRUNCATE) throw unknownOpcode(record, undefined);
  const relation = { spcOid: mainData.readUInt32LE(4), dbOid: mainData.readUInt32LE(8), relNumber: mainData.readUInt32LE(12) };
  const flags = truncateFlags(record);
  const blocks = truncatedTo(record);
  const effects: Effect[] = [];
  state.relations.create(relation.spcOid, relation.dbOid, relation.relNumber, MAIN);
  const cut = (fork: number, to: number): void => {
    const before = state.relations.blocks({ ...relation, fork });
    if (before === undefined || before <= to) return;
    state.relations.setBlocks({ ...relation, fork }, to);
    effects.push({ kind: 'truncate', fork: { ...relation, fork }, blocks: to });
  };
  if ((flags & SMGR_TRUNCATE_HEAP) !== 0) cut(MAIN, blocks);
  if ((flags & SMGR_TRUNCATE_VM) !== 0) cut(VM, vmPagesFor(blocks));
  // The free-space map is a hint: without one PostgreSQL makes it anew, while a stale one would name blocks that are
  // gone.
  if ((flags & SMGR_TRUNCATE_FSM) !== 0) cut(FSM, 0);
  return effects;
}

/**
 * CREATE_FILE_COPY: 0 database, 4 tablespace, 8 source database, 12 source tablespace. CREATE_WAL_LOG: 0 database,
 * 4 tablespace. DROP: 0 database u32, 4 count i32, 8 tablespaces.
 */
export function applyDatabase(state: VolumeState, record: WalRecord): Effect[] | undefined {
  const { mainData } = record;
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  const dbOid = mainData.readUInt32LE(0);
  if (op === OPCODE.DBASE.CREATE_WAL_LOG) {
    addDatabase(state, { spcOid: mainData.readUInt32LE(4), dbOid });
    return undefined;
  }
  if (op === OPCODE.DBASE.CREATE_FILE_COPY) {
    const to = { spcOid: mainData.readUInt32LE(4), dbOid };
    const from = { spcOid: mainData.readUInt32LE(12), dbOid: mainData.readUInt32LE(8) };
    // The target directory is made anew: PostgreSQL removes one that is in the way.
    state.relations.dropDatabase(to.spcOid, to.dbOid);
    state.relations.copyDatabase(from, to);
    // A database has one directory of its own and, with tables in other tablespaces, one there: each is copied by a
    // record.
    if (state.databases.has(directoryKey(from))) addDatabase(state, to);
    const map = state.relationMaps.get(directoryKey(from));
    if (map !== undefined) setRelationMap(state, to, map.image);
    return [
      { kind: 'drop-database', ...to },
      { kind: 'copy-database', from, to },
    ];
  }
  if (op !== OPCODE.DBASE.DROP) throw unknownOpcode(record, undefined);
  const effects: Effect[] = [];
  for (let i = 0; i < mainData.readInt32LE(4); i++) {
    const directory = { spcOid: mainData.readUInt32LE(8 + i * 4), dbOid };
    state.relations.dropDatabase(directory.spcOid, dbOid);
    state.databases.delete(directoryKey(directory));
    state.relationMaps.delete(directoryKey(directory));
    effects.push({ kind: 'drop-database', ...directory });
  }
  return effects;
}

/** CREATE: 0 tablespace u32, 4 its path, zero-ended. DROP: 0 tablespace u32. */
export function applyTablespace(state: VolumeState, record: WalRecord): undefined {
  const { mainData } = record;
  const op = RMGRS.opcodeOf(record.rmid, record.info);
  const spcOid = mainData.readUInt32LE(0);
  if (op === OPCODE.TBLSPC.CREATE) state.tablespaces.set(spcOid, mainData.toString('utf8', 4, mainData.indexOf(0, 4)));
  else if (op === OPCODE.TBLSPC.DROP) state.tablespaces.delete(spcOid);
  else throw unknownOpcode(record, undefined);
}

/** xl_relmap_update: 0 database u32 (0: shared), 4 tablespace u32, 8 length i32, 12 the file. */
export function applyRelationMap(state: VolumeState, record: WalRecord): undefined {
  const { mainData } = record;
  if (RMGRS.opcodeOf(record.rmid, record.info) !== OPCODE.RELMAP.UPDATE) throw unknownOpcode(record, undefined);
  const dbOid = mainData.readUInt32LE(0);
  const spcOid = dbOid === 0 ? GLOBAL_TABLESPACE : mainData.readUInt32LE(4);
  setRelationMap(state, { spcOid, dbOid }, mainData.subarray(12, 12 + mainData.readInt32LE(8)));
}
