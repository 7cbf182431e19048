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
const NONCE_BYTES = 32;

/**
 * What of the file differs between major versions. The first fields, among them its own version, are where they are in
 * all.
 */
export interface ControlFileLayout {
  readonly major: number;
  /** PG_CONTROL_VERSION: a file's own says by which layout it is read and written. */
  readonly controlVersion: number;
  /** CATALOG_VERSION_NO of the release. */
  readonly catalogVersion: number;
  readonly fields: typeof PG_CONTROL;
  readonly checkpointCopyAt: number;
  readonly nonceAt: number;
  /** CRC32C of everything before it. */
  readonly crcAt: number;
}

const CONTROL_FILE_LAYOUTS: readonly ControlFileLayout[] = [
  {
    major: 18,
    controlVersion: 1800,
    catalogVersion: 202506291,
    fields: PG_CONTROL,
    checkpointCopyAt: 40,
    nonceAt: 257,
    crcAt: 292,
  },
];

/** The layout of a major version. Throws RangeError for one that is not known here. */
export function controlFileLayout(major: number): ControlFileLayout {
  const layout = CONTROL_FILE_LAYOUTS.find((one) => one.major === major);
  if (layout === undefined) throw new RangeError(`pg_control of PostgreSQL ${major} is not known here`);
  return layout;
}

function layoutOfVersion(version: number): ControlFileLayout {
  const layout = CONTROL_FILE_LAYOUTS.find(({ controlVersion }) => controlVersion === version);
  if (layout !== undefined) return layout;
  const known = CONTROL_FILE_LAYOUTS.map(({ controlVersion, major }) => `${controlVersion} (PostgreSQL ${major})`).join(' or ');
  throw new StructFormatError('pg_control_version', `${version}, expected ${known}`);
}

/**
 * The whole file, 8192 bytes, with its CRC, in the layout of its version. Throws StructFormatError when that is not
 * known.
 */
export function encodePgControl(control: PgControl): Buffer {
  const { fields, checkpointCopyAt, nonceAt, crcAt } = layoutOfVersion(control.pgControlVersion);
  if (control.mockAuthenticationNonce.length !== NONCE_BYTES) {
    throw new RangeError(`nonce has ${control.mockAuthenticationNonce.length} bytes, expected ${NONCE_BYTES}`);
  }
  const file = Buffer.alloc(PG_CONTROL_FILE_BYTES);
  encodeStruct(fields, control, file);
  encodeCheckpoint(control.checkPointCopy).copy(file, checkpointCopyAt, 0, CHECKPOINT_BYTES);
  control.mockAuthenticationNonce.copy(file, nonceAt);
  file.writeUInt32LE(crc32cRange(file, 0, crcAt), crcAt);
  return file;
}

/**
 * Reads the file by the layout of its version. Throws StructFormatError when it is short, damaged, or of a version that
 * is not known.
 */
export function decodePgControl(file: Buffer): PgControl {
  const versionEnd = PG_CONTROL.pgControlVersion.at + 4;
  if (file.length < versionEnd) throw new StructFormatError('pg_control', `file has ${file.length} bytes, needs ${versionEnd}`);
  const { fields, checkpointCopyAt, nonceAt, crcAt } = layoutOfVersion(file.readUInt32LE(PG_CONTROL.pgControlVersion.at));
  if (file.length < crcAt + 4) throw new StructFormatError('pg_control', `file has ${file.length} bytes, needs ${crcAt + 4}`);
  if (file.readUInt32LE(crcAt) !== crc32cRange(file, 0, crcAt)) {
    throw new StructFormatError('pg_control crc', 'checksum does not match; the file is damaged');
  }
  return {
    ...decodeStruct(fields, file),
    checkPointCopy: decodeCheckpoint(file, checkpointCopyAt),
    mockAuthenticationNonce: Buffer.from(file.subarray(nonceAt, nonceAt + NONCE_BYTES)),
  };
}
