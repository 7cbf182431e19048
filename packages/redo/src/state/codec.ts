import { BinaryReader, crc32c, decodePgControl, encodePgControl, lsn, type PgControl } from '@kube-aurora/pg-format';
import { EngineStateError } from '@kube-aurora/redo-engine';
import { ByteWriter } from './byte-writer.ts';
import { PACKED_FORK, RelationTable } from './relation-table.ts';
import { SlruRange } from './slru-range.ts';
import { TransactionTable } from './transaction-table.ts';
import { addDatabase, addPrepared, emptySlrus, emptyVolumeState, setRelationMap, SLRU_NAMES, type VolumeState } from './volume-state.ts';

/**
 * VolumeState as bytes. Equal states give equal bytes (every collection is sorted), so that daemons can compare them.
 *
 *   0 magic 'KAVS'   4 version u32   8 payload length u32   12 CRC32C of the payload u32   16 payload
 *
 * Payload, little-endian, collections with a u32 count before them: pg_control (296 bytes); last record, end and
 * highest page LSN, next full xid (u64); running xids; locks; prepared transactions; forks; relation maps; databases;
 * tablespaces; first and last page of each SLRU (i32); replication origins; settings (name and value; only in version
 * 2, which is written when there are any).
 */
const MAGIC = 0x5356414b;
const VERSION = { plain: 1, withSettings: 2 } as const;
const HEADER_SIZE = 16;
/** ControlFileData with its CRC; the rest of the file is zeros. */
const CONTROL_SIZE = 296;

export function encodeVolumeState(state: VolumeState): Buffer {
  const payload = encodePayload(state);
  const header = Buffer.alloc(HEADER_SIZE);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(state.settings.size === 0 ? VERSION.plain : VERSION.withSettings, 4);
  header.writeUInt32LE(payload.length, 8);
  header.writeUInt32LE(crc32c(payload), 12);
  return Buffer.concat([header, payload]);
}

/** Inverse of {@link encodeVolumeState}. Throws EngineStateError; the state has to come from another copy then. */
export function decodeVolumeState(bytes: Buffer): VolumeState {
  if (bytes.length < HEADER_SIZE) throw new EngineStateError('header', `${bytes.length} bytes, needs ${HEADER_SIZE}`);
  if (bytes.readUInt32LE(0) !== MAGIC)
    throw new EngineStateError('magic', `0x${bytes.readUInt32LE(0).toString(16)} is not a volume state's`);
  const version = bytes.readUInt32LE(4);
  if (version !== VERSION.plain && version !== VERSION.withSettings)
    throw new EngineStateError('version', `${version}, this program reads ${VERSION.plain} and ${VERSION.withSettings}`);
  const length = bytes.readUInt32LE(8);
  if (bytes.length !== HEADER_SIZE + length)
    throw new EngineStateError('length', `${bytes.length - HEADER_SIZE} bytes, expected ${length}`);
  const payload = bytes.subarray(HEADER_SIZE);
  if (crc32c(payload) !== bytes.readUInt32LE(12)) throw new EngineStateError('crc', 'checksum does not match; the bytes are damaged');
  try {
    return decodePayload(new BinaryReader(payload), version);
  } catch (error) {
    if (error instanceof EngineStateError) throw error;
    throw new EngineStateError('payload', error instanceof Error ? error.message : String(error));
  }
}

function encodePayload(state: VolumeState): Buffer {
  const out = new ByteWriter(16_384);
  out.bytes(encodePgControl(controlOf(state)).subarray(0, CONTROL_SIZE));
  out.u64(state.lastRecordLsn);
  out.u64(state.endLsn);
  out.u64(state.maxPageLsn);
  out.u64(state.transactions.nextFullXid);
  const running = [...state.transactions.running].sort((a, b) => a - b);
  out.u32(running.length);
  for (const xid of running) out.u32(xid);
  encodeLocks(out, state);
  const prepared = [...state.prepared.values()].sort((a, b) => Number(a.fullXid - b.fullXid));
  out.u32(prepared.length);
  for (const { data } of prepared) out.sized(data);
  const forks = state.relations.packed();
  out.u32(forks.length / PACKED_FORK);
  out.bytes(new Uint8Array(forks.buffer, forks.byteOffset, forks.byteLength));
  const maps = [...state.relationMaps.values()].sort(byDirectory);
  out.u32(maps.length);
  for (const { spcOid, dbOid, image } of maps) {
    out.u32(spcOid);
    out.u32(dbOid);
    out.sized(image);
  }
  const databases = [...state.databases.values()].sort(byDirectory);
  out.u32(databases.length);
  for (const { spcOid, dbOid } of databases) {
    out.u32(spcOid);
    out.u32(dbOid);
  }
  const tablespaces = [...state.tablespaces].sort(([a], [b]) => a - b);
  out.u32(tablespaces.length);
  for (const [spcOid, location] of tablespaces) {
    out.u32(spcOid);
    out.sized(Buffer.from(location));
  }
  for (const name of SLRU_NAMES) {
    out.i32(state.slrus[name].first);
    out.i32(state.slrus[name].last);
  }
  const origins = [...state.origins].sort(([a], [b]) => a - b);
  out.u32(origins.length);
  for (const [origin, { remoteLsn, localLsn }] of origins) {
    out.u32(origin);
    out.u64(remoteLsn);
    out.u64(localLsn);
  }
  if (state.settings.size > 0) {
    const settings = [...state.settings].sort(([a], [b]) => (a < b ? -1 : 1));
    out.u32(settings.length);
    for (const [name, value] of settings) {
      out.sized(Buffer.from(name));
      out.sized(Buffer.from(value));
    }
  }
  return out.finish();
}

/** The counter that `transactions` keeps stands in the checkpoint copy too, so that the bytes depend on it only. */
function controlOf(state: VolumeState): PgControl {
  return { ...state.control, checkPointCopy: { ...state.control.checkPointCopy, nextXid: state.transactions.nextFullXid } };
}

function encodeLocks(out: ByteWriter, state: VolumeState): void {
  const holders = [...state.locks].sort(([a], [b]) => a - b);
  out.u32(holders.length);
  for (const [xid, locks] of holders) {
    out.u32(xid);
    out.u32(locks.length);
    for (const { dbOid, relOid } of [...locks].sort((a, b) => a.dbOid - b.dbOid || a.relOid - b.relOid)) {
      out.u32(dbOid);
      out.u32(relOid);
    }
  }
}

function byDirectory(a: { spcOid: number; dbOid: number }, b: { spcOid: number; dbOid: number }): number {
  return a.spcOid - b.spcOid || a.dbOid - b.dbOid;
}

function decodePayload(input: BinaryReader, version: number): VolumeState {
  const control = decodePgControl(input.view(CONTROL_SIZE, 'control'));
  const empty = emptyVolumeState(control);
  empty.lastRecordLsn = lsn(input.u64('last record'));
  empty.endLsn = lsn(input.u64('end'));
  empty.maxPageLsn = lsn(input.u64('highest page'));
  const nextFullXid = input.u64('next xid');
  const running = list(input, 'running', () => input.u32('running xid'));
  const locks: VolumeState['locks'] = new Map();
  list(input, 'locks', () => {
    const xid = input.u32('lock holder');
    locks.set(
      xid,
      list(input, 'held locks', () => ({ dbOid: input.u32('lock database'), relOid: input.u32('lock relation') })),
    );
  });
  const prepared = list(input, 'prepared', () => sized(input, 'prepared data'));
  const transactions = new TransactionTable(nextFullXid, running);
  const state: VolumeState = { ...empty, transactions, locks, relations: packedForks(input), slrus: emptySlrus() };
  for (const data of prepared) addPrepared(state, data);
  list(input, 'relation maps', () => {
    const directory = { spcOid: input.u32('relation map'), dbOid: input.u32('relation map') };
    setRelationMap(state, directory, sized(input, 'relation map'));
  });
  list(input, 'databases', () => addDatabase(state, { spcOid: input.u32('database'), dbOid: input.u32('database') }));
  list(input, 'tablespaces', () => {
    const spcOid = input.u32('tablespace');
    state.tablespaces.set(spcOid, sized(input, 'tablespace').toString());
  });
  const slrus = emptySlrus();
  for (const name of SLRU_NAMES) slrus[name] = new SlruRange(name, input.i32(name), input.i32(name));
  list(input, 'origins', () => {
    const origin = input.u32('origin');
    state.origins.set(origin, { remoteLsn: lsn(input.u64('origin')), localLsn: lsn(input.u64('origin')) });
  });
  if (version === VERSION.withSettings)
    list(input, 'settings', () => state.settings.set(sized(input, 'setting').toString(), sized(input, 'setting').toString()));
  if (input.remaining !== 0) throw new EngineStateError('payload', `${input.remaining} bytes left over`);
  return { ...state, slrus };
}

/** Numbers of 32 bits, little-endian as all hosts that this runs on; copied, since they must be aligned. */
function packedForks(input: BinaryReader): RelationTable {
  const bytes = input.view(input.u32('forks') * PACKED_FORK * 4, 'forks');
  const packed = new Uint32Array(bytes.length / 4);
  new Uint8Array(packed.buffer).set(bytes);
  return RelationTable.fromPacked(packed);
}

function list<T>(input: BinaryReader, field: string, read: () => T): T[] {
  const items: T[] = [];
  for (let count = input.u32(field); count > 0; count--) items.push(read());
  return items;
}

function sized(input: BinaryReader, field: string): Buffer {
  return input.view(input.u32(field), field);
}
