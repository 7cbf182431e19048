import { type CheckPoint, type Lsn, type PgControl, type RelFork, recordEndLsn } from '@kube-aurora/pg-format';
import { SLRU_KINDS, type SlruName } from '../page-key.ts';
import { preparedTransaction } from '../xact-record.ts';
import { RelationTable } from './relation-table.ts';
import { SlruRange } from './slru-range.ts';
import { TransactionTable } from './transaction-table.ts';

/** A table locked ACCESS EXCLUSIVE, which a hot standby must know before it answers queries. */
export interface AccessExclusiveLock {
  readonly dbOid: number;
  readonly relOid: number;
}

export interface Prepared {
  readonly fullXid: bigint;
  /** Main data of the PREPARE record; pg_twophase/<16 hex of fullXid> is this and its CRC32C. */
  readonly data: Buffer;
  readonly gid: string;
  readonly subxids: readonly number[];
}

/** A database's directory in a tablespace; what it shares across databases is in tablespace 1664, database 0. */
export interface DatabaseDirectory {
  readonly spcOid: number;
  readonly dbOid: number;
}

export interface RelationMap extends DatabaseDirectory {
  /** The file pg_filenode.map, 524 bytes. */
  readonly image: Buffer;
}

export interface OriginProgress {
  readonly remoteLsn: Lsn;
  readonly localLsn: Lsn;
}

/**
 * Everything that a volume holds beside pages, as of one LSN: what a compute needs to start there without replay.
 * applyEffects brings it forward by one record.
 */
export interface VolumeState {
  /**
   * pg_control of the volume's first start, with parameters as the log last set them. Its checkPointCopy holds the live
   * counters, but for nextXid and oldestActiveXid, which `transactions` knows; {@link checkpointAt} gives them
   * together.
   */
  readonly control: PgControl;
  /** Start of the last record applied, and its end: the LSN that this is the state of. */
  lastRecordLsn: Lsn;
  endLsn: Lsn;
  /** End of the last record that changed a relation page: no page has a higher pd_lsn. */
  maxPageLsn: Lsn;
  readonly transactions: TransactionTable;
  /** By the xid that holds them. */
  readonly locks: Map<number, AccessExclusiveLock[]>;
  /** By xid. */
  readonly prepared: Map<number, Prepared>;
  readonly relations: RelationTable;
  /** By {@link directoryKey}. */
  readonly relationMaps: Map<string, RelationMap>;
  /** By {@link directoryKey}. */
  readonly databases: Map<string, DatabaseDirectory>;
  /** Location by oid; pg_default and pg_global are not among them. */
  readonly tablespaces: Map<number, string>;
  readonly slrus: Readonly<Record<SlruName, SlruRange>>;
  /**
   * What initdb worked out from locale and time zone, by the setting's name: every start has the same. No record
   * changes it.
   */
  readonly settings: Map<string, string>;
  /** By replication origin id. */
  readonly origins: Map<number, OriginProgress>;
}

/** What the page store must do beyond changing pages. Pages of forks that grew need nothing. */
export type Effect =
  /** All forks of a relation are gone. */
  | { readonly kind: 'drop'; readonly relation: Omit<RelFork, 'fork'> }
  /** Every page of a database in one tablespace is gone. */
  | { readonly kind: 'drop-database'; readonly spcOid: number; readonly dbOid: number }
  /** Pages from `blocks` on are gone. */
  | { readonly kind: 'truncate'; readonly fork: RelFork; readonly blocks: number }
  /** Every page of `from` exists under `to` as well, as of this record. */
  | { readonly kind: 'copy-database'; readonly from: DatabaseDirectory; readonly to: DatabaseDirectory }
  /**
   * SLRU pages from `fromPage` up to, not including, `beforePage` are gone; numbers may wrap around to 0 between them.
   */
  | { readonly kind: 'slru-truncate'; readonly slru: SlruName; readonly fromPage: number; readonly beforePage: number };

/** Length of a checkpoint record. */
const CHECKPOINT_RECORD_BYTES = 114;

/**
 * State right after a clean shutdown, from its pg_control, with no relations and no files yet: the importer adds them
 * through the members' own methods.
 */
export function emptyVolumeState(control: PgControl): VolumeState {
  const endLsn = recordEndLsn(control.checkPoint, CHECKPOINT_RECORD_BYTES, false);
  return {
    control: { ...control, checkPointCopy: { ...control.checkPointCopy } },
    lastRecordLsn: control.checkPoint,
    endLsn,
    maxPageLsn: endLsn,
    transactions: new TransactionTable(control.checkPointCopy.nextXid),
    locks: new Map(),
    prepared: new Map(),
    relations: new RelationTable(),
    relationMaps: new Map(),
    databases: new Map(),
    tablespaces: new Map(),
    slrus: emptySlrus(),
    settings: new Map(),
    origins: new Map(),
  };
}

export function emptySlrus(): Record<SlruName, SlruRange> {
  return {
    pg_xact: new SlruRange('pg_xact'),
    'pg_multixact/offsets': new SlruRange('pg_multixact/offsets'),
    'pg_multixact/members': new SlruRange('pg_multixact/members'),
    pg_commit_ts: new SlruRange('pg_commit_ts'),
  };
}

export const SLRU_NAMES: readonly SlruName[] = Object.keys(SLRU_KINDS).filter((name): name is SlruName => name in SLRU_KINDS);

export function directoryKey(directory: DatabaseDirectory): string {
  return `${directory.spcOid}/${directory.dbOid}`;
}

export function addDatabase(state: VolumeState, directory: DatabaseDirectory): void {
  state.databases.set(directoryKey(directory), { spcOid: directory.spcOid, dbOid: directory.dbOid });
}

export function setRelationMap(state: VolumeState, directory: DatabaseDirectory, image: Buffer): void {
  state.relationMaps.set(directoryKey(directory), { spcOid: directory.spcOid, dbOid: directory.dbOid, image: Buffer.from(image) });
}

/** Adds a prepared transaction from its PREPARE record's main data (copied). */
export function addPrepared(state: VolumeState, data: Buffer): void {
  const copy = Buffer.from(data);
  const { xid, gid, subxids } = preparedTransaction(copy);
  state.prepared.set(xid, { fullXid: state.transactions.fullXid(xid), data: copy, gid, subxids });
}

/** Prepared transactions and their subtransactions: they outlive the writer. */
export function preparedXids(state: VolumeState): Set<number> {
  const xids = new Set<number>();
  for (const [xid, prepared] of state.prepared) {
    xids.add(xid);
    for (const subxid of prepared.subxids) xids.add(subxid);
  }
  return xids;
}

/**
 * Transactions that died with their writer, ascending: the next one logs their aborts before it starts. Prepared
 * transactions and their subtransactions are not among them.
 */
export function orphanedXids(state: VolumeState): number[] {
  const prepared = preparedXids(state);
  return [...state.transactions.running].filter((xid) => !prepared.has(xid)).sort((a, b) => (a - b) | 0);
}

/**
 * The checkpoint that describes this state. `online` names the oldest running transaction, as a hot standby needs; a
 * shutdown checkpoint has none. `time` is in seconds since 1970.
 */
export function checkpointAt(state: VolumeState, options: { redo: Lsn; online: boolean; time: bigint }): CheckPoint {
  return {
    ...state.control.checkPointCopy,
    redo: options.redo,
    prevTimeline: state.control.checkPointCopy.timeline,
    nextXid: state.transactions.nextFullXid,
    time: options.time,
    oldestActiveXid: options.online ? state.transactions.oldest() : 0,
  };
}
