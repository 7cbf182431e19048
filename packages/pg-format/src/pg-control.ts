import { CHECKPOINT_BYTES, decodeCheckpoint, encodeCheckpoint, type CheckPoint } from './checkpoint.ts';
import { crc32cRange } from './crc32c.ts';
import { decodeStruct, encodeStruct, type Layout, type StructOf } from './struct.ts';
import { StructFormatError } from './wal-format-error.ts';

/** DBState (catalog/pg_control.h). */
export const DB_STATE = {
  STARTUP: 0,
  SHUTDOWNED: 1,
  SHUTDOWNED_IN_RECOVERY: 2,
  SHUTDOWNING: 3,
  IN_CRASH_RECOVERY: 4,
  IN_ARCHIVE_RECOVERY: 5,
  IN_PRODUCTION: 6,
} as const;

/** ControlFileData (catalog/pg_control.h) but for its checkpoint copy, nonce and CRC. */
export const PG_CONTROL = {
  systemIdentifier: { type: 'u64', at: 0 },
  pgControlVersion: { type: 'u32', at: 8 },
  catalogVersion: { type: 'u32', at: 12 },
  /** One of {@link DB_STATE}. */
  state: { type: 'i32', at: 16 },
  /** Seconds since 1970. */
  time: { type: 'i64', at: 24 },
  /** Start of the last checkpoint record. */
  checkPoint: { type: 'lsn', at: 32 },
  unloggedLsn: { type: 'lsn', at: 128 },
  minRecoveryPoint: { type: 'lsn', at: 136 },
  minRecoveryPointTimeline: { type: 'u32', at: 144 },
  backupStartPoint: { type: 'lsn', at: 152 },
  backupEndPoint: { type: 'lsn', at: 160 },
  backupEndRequired: { type: 'bool', at: 168 },
  /** 0 minimal, 1 replica, 2 logical. */
  walLevel: { type: 'i32', at: 172 },
  walLogHints: { type: 'bool', at: 176 },
  maxConnections: { type: 'i32', at: 180 },
  maxWorkerProcesses: { type: 'i32', at: 184 },
  maxWalSenders: { type: 'i32', at: 188 },
  maxPreparedXacts: { type: 'i32', at: 192 },
  maxLocksPerXact: { type: 'i32', at: 196 },
  trackCommitTimestamp: { type: 'bool', at: 200 },
  maxAlign: { type: 'u32', at: 204 },
  /** Always 1234567.0; tells that the machine's floats are ours. */
  floatFormat: { type: 'f64', at: 208 },
  blockBytes: { type: 'u32', at: 216 },
  blocksPerSegmentFile: { type: 'u32', at: 220 },
  walBlockBytes: { type: 'u32', at: 224 },
  walSegmentBytes: { type: 'u32', at: 228 },
  nameDataLength: { type: 'u32', at: 232 },
  indexMaxKeys: { type: 'u32', at: 236 },
  toastMaxChunkBytes: { type: 'u32', at: 240 },
  largeObjectBlockBytes: { type: 'u32', at: 244 },
  float8ByValue: { type: 'bool', at: 248 },
  /** 0 when data checksums are off. */
  dataChecksumVersion: { type: 'u32', at: 252 },
  defaultCharSignedness: { type: 'bool', at: 256 },
} as const satisfies Layout;

export interface PgControl extends StructOf<typeof PG_CONTROL> {
  /** Copy of the last checkpoint record's data. */
  checkPointCopy: CheckPoint;
  /** mock_authentication_nonce, 32 bytes. */
  mockAuthenticationNonce: Buffer;
}

/** Size of the file global/pg_control; what follows the structure is zeros. */
export const PG_CONTROL_FILE_BYTES = 8192;
/** PG_CONTROL_VERSION of PostgreSQL 18. */
export const PG_CONTROL_VERSION = 1800;
/** CATALOG_VERSION_NO of PostgreSQL 18. */
export const PG_CATALOG_VERSION = 202506291;

const CHECKPOINT_COPY_AT = 40;
const NONCE_AT = 257;
const NONCE_BYTES = 32;
const CRC_AT = 292;

/** The whole file, 8192 bytes, with its CRC. */
export function encodePgControl(control: PgControl): Buffer {
  if (control.mockAuthenticationNonce.length !== NONCE_BYTES) {
    throw new RangeError(`nonce has ${control.mockAuthenticationNonce.length} bytes, expected ${NONCE_BYTES}`);
  }
  const file = Buffer.alloc(PG_CONTROL_FILE_BYTES);
  encodeStruct(PG_CONTROL, control, file);
  encodeCheckpoint(control.checkPointCopy).copy(file, CHECKPOINT_COPY_AT, 0, CHECKPOINT_BYTES);
  control.mockAuthenticationNonce.copy(file, NONCE_AT);
  file.writeUInt32LE(crc32cRange(file, 0, CRC_AT), CRC_AT);
  return file;
}

/** Reads the file. Throws StructFormatError when it is short, damaged, or of another major version. */
export function decodePgControl(file: Buffer): PgControl {
  if (file.length < CRC_AT + 4) throw new StructFormatError('pg_control', `file has ${file.length} bytes, needs ${CRC_AT + 4}`);
  const version = file.readUInt32LE(PG_CONTROL.pgControlVersion.at);
  if (version !== PG_CONTROL_VERSION) {
    throw new StructFormatError('pg_control_version', `${version}, expected ${PG_CONTROL_VERSION} (PostgreSQL 18)`);
  }
  if (file.readUInt32LE(CRC_AT) !== crc32cRange(file, 0, CRC_AT)) {
    throw new StructFormatError('pg_control crc', 'checksum does not match; the file is damaged');
  }
  return {
    ...decodeStruct(PG_CONTROL, file),
    checkPointCopy: decodeCheckpoint(file, CHECKPOINT_COPY_AT),
    mockAuthenticationNonce: Buffer.from(file.subarray(NONCE_AT, NONCE_AT + NONCE_BYTES)),
  };
}
