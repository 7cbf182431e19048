/** The replication slots of a data directory, as PostgreSQL keeps them: pg_replslot/NAME/state. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { crc32c, INVALID_LSN, lsn, type Lsn } from '@kube-aurora/pg-format';

/** SLOT_MAGIC and SLOT_VERSION (replication/slot.c). */
const SLOT_MAGIC = 0x1051ca1;
const SLOT_VERSION = 5;
const HEADER_BYTES = 16;
/** RS_PERSISTENT (replication/slot.h): ephemeral and temporary ones end with the server. */
const PERSISTENT = 0;
/** RS_INVAL_NONE */
const VALID = 0;

export interface ReplicationSlot {
  readonly name: string;
  /** The file, whole. */
  readonly bytes: Buffer;
  readonly isPersistent: boolean;
  /** WAL from here on is needed; undefined when none is. */
  readonly restartLsn: Lsn | undefined;
  /** Readers keep slots up with it, or it is such a one. */
  readonly isFailover: boolean;
}

export class ReplicationSlotError extends Error {
  constructor(name: string, why: string) {
    super(`the state of replication slot '${name}' ${why}`);
    this.name = 'ReplicationSlotError';
  }
}

/**
 * Reads a slot's state file; throws {@link ReplicationSlotError} for one that PostgreSQL would not take.
 *
 *     0 magic u32 | 4 CRC32C of all from 8 on u32 | 8 version u32 | 12 bytes from 16 on u32
 *    16 name 64 bytes | 80 database u32 | 84 persistency i32 | 88 xmin u32 | 92 catalog xmin u32
 *    96 restart LSN u64 | 104 cause of invalidation i32 | 112 confirmed flush LSN u64 | 120 two-phase LSN u64 | 128 two-phase u8
 *   129 plugin 64 bytes | 193 synced u8 | 194 failover u8 | ...
 */
export function decodeReplicationSlot(name: string, bytes: Buffer): ReplicationSlot {
  if (bytes.length < HEADER_BYTES + 179 || bytes.readUInt32LE(0) !== SLOT_MAGIC) throw new ReplicationSlotError(name, 'is no such file');
  const version = bytes.readUInt32LE(8);
  if (version !== SLOT_VERSION) throw new ReplicationSlotError(name, `has version ${version}, not ${SLOT_VERSION}`);
  if (bytes.length !== HEADER_BYTES + bytes.readUInt32LE(12)) throw new ReplicationSlotError(name, 'is cut off');
  if (crc32c(bytes.subarray(8)) !== bytes.readUInt32LE(4)) throw new ReplicationSlotError(name, 'is damaged');
  const restartLsn = lsn(bytes.readBigUInt64LE(96));
  return {
    name,
    bytes,
    isPersistent: bytes.readInt32LE(84) === PERSISTENT,
    restartLsn: bytes.readInt32LE(104) !== VALID || restartLsn === INVALID_LSN ? undefined : restartLsn,
    isFailover: bytes.readUInt8(194) !== 0,
  };
}

export interface SlotsFound {
  /** Those that outlive the server. */
  readonly slots: readonly ReplicationSlot[];
  readonly unreadable: readonly { readonly name: string; readonly why: string }[];
}

/** The slots of a data directory whose PostgreSQL is dead; none when there is no such directory. */
export function readReplicationSlots(dataDir: string): SlotsFound {
  const slots: ReplicationSlot[] = [];
  const unreadable: { name: string; why: string }[] = [];
  const directory = join(dataDir, 'pg_replslot');
  let names: string[];
  try {
    names = readdirSync(directory);
  } catch (error) {
    if (!isAbsent(error)) throw error;
    names = [];
  }
  for (const name of names.toSorted()) {
    // Being made, or being dropped.
    if (name.endsWith('.tmp')) continue;
    try {
      const slot = decodeReplicationSlot(name, readFileSync(join(directory, name, 'state')));
      if (slot.isPersistent) slots.push(slot);
    } catch (error) {
      unreadable.push({ name, why: error instanceof Error ? error.message : String(error) });
    }
  }
  return { slots, unreadable };
}

/** Another text whenever PostgreSQL has written a slot that outlives it, made one or dropped one. */
export const slotFiles = (dataDir: string): string =>
  readReplicationSlots(dataDir)
    .slots.map(({ name, bytes }) => `${name} ${bytes.toString('base64')}`)
    .join('\n');

/** No such file or directory. */
function isAbsent(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT';
}
