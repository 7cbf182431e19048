import type { WalRecord } from './wal-record.ts';

/**
 * Resource managers (access/rmgrlist.h) and their records: a table for each major version, whose ids and opcodes are
 * its own. Names are those that pg_waldump prints. RMGR and OPCODE are PostgreSQL 18's, for what reads or writes
 * records of that version.
 */
export const RMGR = {
  XLOG: 0,
  XACT: 1,
  SMGR: 2,
  CLOG: 3,
  DBASE: 4,
  TBLSPC: 5,
  MULTIXACT: 6,
  RELMAP: 7,
  STANDBY: 8,
  HEAP2: 9,
  HEAP: 10,
  BTREE: 11,
  HASH: 12,
  GIN: 13,
  GIST: 14,
  SEQ: 15,
  SPGIST: 16,
  BRIN: 17,
  COMMIT_TS: 18,
  REPLORIGIN: 19,
  GENERIC: 20,
  LOGICALMSG: 21,
} as const;
export type RmgrName = keyof typeof RMGR;

/** Ids between these two are no resource manager; from the second on they are extensions'. */
export const RMGR_BUILTIN_MAX = 21;
export const RMGR_CUSTOM_MIN = 128;

/** Opcodes: the high nibble of info (for XACT, Heap, Heap2 and BRIN without 0x80, which is a flag there). */
export const OPCODE = {
  XLOG: {
    CHECKPOINT_SHUTDOWN: 0x00,
    CHECKPOINT_ONLINE: 0x10,
    NOOP: 0x20,
    NEXTOID: 0x30,
    SWITCH: 0x40,
    BACKUP_END: 0x50,
    PARAMETER_CHANGE: 0x60,
    RESTORE_POINT: 0x70,
    FPW_CHANGE: 0x80,
    END_OF_RECOVERY: 0x90,
    FPI_FOR_HINT: 0xa0,
    FPI: 0xb0,
    OVERWRITE_CONTRECORD: 0xd0,
    CHECKPOINT_REDO: 0xe0,
  },
  XACT: {
    COMMIT: 0x00,
    PREPARE: 0x10,
    ABORT: 0x20,
    COMMIT_PREPARED: 0x30,
    ABORT_PREPARED: 0x40,
    ASSIGNMENT: 0x50,
    INVALIDATION: 0x60,
  },
  SMGR: { CREATE: 0x10, TRUNCATE: 0x20 },
  CLOG: { ZEROPAGE: 0x00, TRUNCATE: 0x10 },
  DBASE: { CREATE_FILE_COPY: 0x00, CREATE_WAL_LOG: 0x10, DROP: 0x20 },
  TBLSPC: { CREATE: 0x00, DROP: 0x10 },
  MULTIXACT: { ZERO_OFF_PAGE: 0x00, ZERO_MEM_PAGE: 0x10, CREATE_ID: 0x20, TRUNCATE_ID: 0x30 },
  RELMAP: { UPDATE: 0x00 },
  STANDBY: { LOCK: 0x00, RUNNING_XACTS: 0x10, INVALIDATIONS: 0x20 },
  HEAP2: {
    REWRITE: 0x00,
    PRUNE_ON_ACCESS: 0x10,
    PRUNE_VACUUM_SCAN: 0x20,
    PRUNE_VACUUM_CLEANUP: 0x30,
    VISIBLE: 0x40,
    MULTI_INSERT: 0x50,
    LOCK_UPDATED: 0x60,
    NEW_CID: 0x70,
  },
  HEAP: {
    INSERT: 0x00,
    DELETE: 0x10,
    UPDATE: 0x20,
    TRUNCATE: 0x30,
    HOT_UPDATE: 0x40,
    HEAP_CONFIRM: 0x50,
    LOCK: 0x60,
    INPLACE: 0x70,
  },
  BTREE: {
    INSERT_LEAF: 0x00,
    INSERT_UPPER: 0x10,
    INSERT_META: 0x20,
    SPLIT_L: 0x30,
    SPLIT_R: 0x40,
    INSERT_POST: 0x50,
    DEDUP: 0x60,
    DELETE: 0x70,
    UNLINK_PAGE: 0x80,
    UNLINK_PAGE_META: 0x90,
    NEWROOT: 0xa0,
    MARK_PAGE_HALFDEAD: 0xb0,
    VACUUM: 0xc0,
    REUSE_PAGE: 0xd0,
    META_CLEANUP: 0xe0,
  },
  HASH: {
    INIT_META_PAGE: 0x00,
    INIT_BITMAP_PAGE: 0x10,
    INSERT: 0x20,
    ADD_OVFL_PAGE: 0x30,
    SPLIT_ALLOCATE_PAGE: 0x40,
    SPLIT_PAGE: 0x50,
    SPLIT_COMPLETE: 0x60,
    MOVE_PAGE_CONTENTS: 0x70,
    SQUEEZE_PAGE: 0x80,
    DELETE: 0x90,
    SPLIT_CLEANUP: 0xa0,
    UPDATE_META_PAGE: 0xb0,
    VACUUM_ONE_PAGE: 0xc0,
  },
  GIN: {
    CREATE_PTREE: 0x10,
    INSERT: 0x20,
    SPLIT: 0x30,
    VACUUM_PAGE: 0x40,
    DELETE_PAGE: 0x50,
    UPDATE_META_PAGE: 0x60,
    INSERT_LISTPAGE: 0x70,
    DELETE_LISTPAGE: 0x80,
    VACUUM_DATA_LEAF_PAGE: 0x90,
  },
  GIST: {
    PAGE_UPDATE: 0x00,
    DELETE: 0x10,
    PAGE_REUSE: 0x20,
    PAGE_SPLIT: 0x30,
    PAGE_DELETE: 0x60,
    ASSIGN_LSN: 0x70,
  },
  SEQ: { LOG: 0x00 },
  SPGIST: {
    ADD_LEAF: 0x10,
    MOVE_LEAFS: 0x20,
    ADD_NODE: 0x30,
    SPLIT_TUPLE: 0x40,
    PICKSPLIT: 0x50,
    VACUUM_LEAF: 0x60,
    VACUUM_ROOT: 0x70,
    VACUUM_REDIRECT: 0x80,
  },
  BRIN: {
    CREATE_INDEX: 0x00,
    INSERT: 0x10,
    UPDATE: 0x20,
    SAMEPAGE_UPDATE: 0x30,
    REVMAP_EXTEND: 0x40,
    DESUMMARIZE: 0x50,
  },
  COMMIT_TS: { ZEROPAGE: 0x00, TRUNCATE: 0x10 },
  REPLORIGIN: { SET: 0x00, DROP: 0x10 },
  GENERIC: { Generic: 0x00 },
  LOGICALMSG: { MESSAGE: 0x00 },
} as const satisfies Record<RmgrName, Record<string, number>>;

/** XLOG_HEAP_INIT_PAGE and XLOG_BRIN_INIT_PAGE: redo makes the page anew. */
export const INFO_INIT_PAGE = 0x80;
/** XLOG_XACT_HAS_INFO: the xinfo field is present. */
export const INFO_XACT_HAS_INFO = 0x80;

/** Display names, by id. */
const RMGR_DISPLAY = [
  'XLOG',
  'Transaction',
  'Storage',
  'CLOG',
  'Database',
  'Tablespace',
  'MultiXact',
  'RelMap',
  'Standby',
  'Heap2',
  'Heap',
  'Btree',
  'Hash',
  'Gin',
  'Gist',
  'Sequence',
  'SPGist',
  'BRIN',
  'CommitTs',
  'ReplicationOrigin',
  'Generic',
  'LogicalMessage',
] as const;

/** A major version's resource managers. */
interface ResourceManagerTable {
  readonly major: number;
  /** By their names in the source. */
  readonly ids: Readonly<Record<string, number>>;
  readonly opcodes: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Display names, by id. */
  readonly display: readonly string[];
  /** Those whose info bit 0x80 is a flag beside the opcode, and no part of it. */
  readonly flagged: ReadonlySet<number>;
  /** Those of them for which the flag says that the page is made anew. */
  readonly initialising: ReadonlySet<number>;
}

const TABLES: readonly ResourceManagerTable[] = [
  {
    major: 18,
    ids: RMGR,
    opcodes: OPCODE,
    display: RMGR_DISPLAY,
    flagged: new Set([RMGR.XACT, RMGR.HEAP, RMGR.HEAP2, RMGR.BRIN]),
    initialising: new Set([RMGR.HEAP, RMGR.HEAP2, RMGR.BRIN]),
  },
];

/** What a record is, by the resource managers of one major version. */
export class ResourceManagers {
  readonly #table: ResourceManagerTable;
  /** Of the info byte, by resource manager: which bits are the opcode. */
  readonly #opcodeBits = new Uint8Array(256).fill(0xf0);
  readonly #names: ReadonlyMap<number, string>;

  constructor(table: ResourceManagerTable) {
    this.#table = table;
    for (const rmid of table.flagged) this.#opcodeBits[rmid] = 0x70;
    this.#names = new Map(
      Object.entries(table.ids).flatMap(([name, rmid]) =>
        Object.entries(table.opcodes[name] ?? {}).map(([opcode, code]) => [(rmid << 8) | code, opcode] as const),
      ),
    );
  }

  /** The opcode in a record's info: its high nibble, without the flag bit where the resource manager has one. */
  opcodeOf(rmid: number, info: number): number {
    return info & (this.#opcodeBits[rmid] ?? 0xf0);
  }

  /** 'Heap', 'Btree', …; `custom150` for an extension's. */
  nameOf(rmid: number): string {
    return this.#table.display[rmid] ?? `custom${rmid}`;
  }

  /** Has this version such a record? */
  has({ rmid, info }: Pick<WalRecord, 'rmid' | 'info'>): boolean {
    return this.#names.has((rmid << 8) | this.opcodeOf(rmid, info));
  }

  /** 'Heap/INSERT+INIT', as pg_waldump would say it; an opcode not known is given as `UNKNOWN (c0)`. */
  recordName({ rmid, info }: Pick<WalRecord, 'rmid' | 'info'>): string {
    const name = this.#names.get((rmid << 8) | this.opcodeOf(rmid, info));
    if (name === undefined) return `${this.nameOf(rmid)}/UNKNOWN (${(info & 0xf0).toString(16)})`;
    const initialises = this.#table.initialising.has(rmid) && (info & INFO_INIT_PAGE) !== 0;
    return `${this.nameOf(rmid)}/${name}${initialises ? '+INIT' : ''}`;
  }
}

const MANAGERS: ReadonlyMap<number, ResourceManagers> = new Map(TABLES.map((table) => [table.major, new ResourceManagers(table)]));

/** Those of a major version. Throws RangeError for one that is not known here. */
export function resourceManagers(major: number): ResourceManagers {
  const managers = MANAGERS.get(major);
  if (managers === undefined) throw new RangeError(`the resource managers of PostgreSQL ${major} are not known here`);
  return managers;
}
