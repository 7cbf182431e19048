import { PAGE_KEY_BYTES_MAX, PAGE_KEY_BYTES_MIN } from '@kube-aurora/redo-engine';
import {
  AuroraRpcError,
  type AppendHello,
  type CatchUpRequest,
  type ComputeImageRequest,
  FOLLOW_WANTS,
  NEVER_PROMOTED,
  type FollowHello,
  type FollowWants,
  type CopySegmentRequest,
  type FetchRedoRequest,
  type GetPagesRequest,
  type GetPeerPageRequest,
  type GiveBackLeaseRequest,
  type GossipRequest,
  type ImportBegin,
  type OpenEpochRequest,
  type PageImage,
  type RenewLeaseRequest,
  type SegmentId,
  type SeenFollower,
  type SegmentState,
  type StandIn,
  type StandInReason,
  type VolumeEngine,
  type WriterSeen,
  type InstallHistoryRequest,
} from '@kube-aurora/rpc';
import { EPOCH_MAX, HISTORY_MAX, lastEpoch, LEASE_MS_MAX, LEASE_MS_MIN, type SegmentRole, type EpochStart } from '@kube-aurora/volume';

/**
 * What every field of every message must be, in one place, asked before anything is looked up, saved or passed on. A
 * message's table has a line for each of its fields, or it does not compile. What depends on the segment's own state is
 * asked there.
 */

/** What is wrong with the value at `path`; undefined when nothing is. */
type Check<T> = (value: T, path: string) => string | undefined;
type Table<T> = { readonly [K in keyof T]-?: Check<T[K]> };

/** LSNs are kept as numbers in memory: exact up to here, which is 8 PiB of WAL. */
const LSN_MAX = BigInt(Number.MAX_SAFE_INTEGER);
const U64_MAX = 2n ** 64n - 1n;
const PG_MAX = 65_535;
/** Of any engine. */
const PAGE_BYTES_MAX = 64 * 1024;
const PAGES_MAX = 256;
/** Pages in one message of an import. */
const IMPORT_PAGES_MAX = 4096;
const WRITER_ID_MAX = 253;
const NAME_MAX = 253;
const MAJOR_MAX = 65_535;
const U32_MAX = 0xffff_ffff;
const PROMOTION_TIER_MAX = 15;
/** More streams are not taken (FOLLOWERS_MAX in follow-session.ts). */
const SEEN_FOLLOWERS_MAX = 128;
const MESSAGE_MAX = 16 * 1024;
/** UUID in lower case. */
export const VOLUME_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
/** No control characters: these end up in logs and status. */
const PRINTABLE = /^[^\p{Cc}]*$/u;

const fieldName = (key: string): string => key.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

function fields<T extends object>(table: Table<T>): Check<T | undefined> {
  const lines = Object.keys(table).map((key) => ({ key: key as keyof T & string, name: fieldName(key) }));
  return (value, path) => {
    if (value === undefined) return `${path === '' ? 'the message' : path}: is missing`;
    for (const { key, name } of lines) {
      const wrong = table[key](value[key], path === '' ? name : `${path}.${name}`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

/** All of them, in order; the first that finds something. */
function all<T>(...checks: readonly Check<T>[]): Check<T> {
  return (value, path) => {
    for (const check of checks) {
      const wrong = check(value, path);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

function list<T>(max: number, each: Check<T>): Check<readonly T[]> {
  return (values, path) => {
    if (values.length > max) return `${path}: has ${values.length} entries, at most ${max} are taken`;
    for (const [index, value] of values.entries()) {
      const wrong = each(value, `${path}[${index}]`);
      if (wrong !== undefined) return wrong;
    }
    return undefined;
  };
}

function wide(min: bigint, max: bigint): Check<bigint> {
  return (value, path) => (value >= min && value <= max ? undefined : `${path}: ${value} is not from ${min} to ${max}`);
}

function whole(min: number, max: number): Check<number> {
  return (value, path) =>
    Number.isInteger(value) && value >= min && value <= max ? undefined : `${path}: ${value} is not from ${min} to ${max}`;
}

function text(min: number, max: number): Check<string> {
  return (value, path) => {
    if (value.length < min) return `${path}: is empty`;
    if (value.length > max) return `${path}: has ${value.length} characters, at most ${max} are taken`;
    return PRINTABLE.test(value) ? undefined : `${path}: has control characters`;
  };
}

const notEmpty: Check<readonly unknown[]> = (values, path) => (values.length === 0 ? `${path}: is empty` : undefined);
const any: Check<unknown> = () => undefined;
const epoch = wide(1n, EPOCH_MAX);
const epochOrNone = wide(0n, EPOCH_MAX);
const lsn = wide(1n, LSN_MAX);
const lsnOrNone = wide(0n, LSN_MAX);

const uuid: Check<string> = (value, path) =>
  VOLUME_ID.test(value) ? undefined : `${path}: '${value.slice(0, 64)}' is not a UUID in lower case`;
const segment = fields<SegmentId>({ volumeId: uuid, pg: whole(0, PG_MAX) });
const bytes =
  (min: number, max: number): Check<Buffer> =>
  ({ length }, path) =>
    length >= min && length <= max ? undefined : `${path}: has ${length} bytes, not ${min} to ${max}`;
/** What else they must be the volume's engine knows: page-keys.ts. */
const pageKey = bytes(PAGE_KEY_BYTES_MIN, PAGE_KEY_BYTES_MAX);
const page = bytes(1, PAGE_BYTES_MAX);

/** Ascending order and the rest of a history's form are part of its own rules (history-rules.ts). */
const history = list(HISTORY_MAX, fields<EpochStart>({ epoch, startLsn: lsnOrNone }));

const ROLES: readonly SegmentRole[] = ['FULL', 'TAIL'];
const role: Check<SegmentRole> = (value, path) => (ROLES.includes(value) ? undefined : `${path}: ${String(value)} is no role`);
const REASONS: readonly StandInReason[] = ['SILENT', 'EMPTY', 'DAMAGED', 'UNWRITABLE'];
const standIn = fields<StandIn>({
  of: text(1, NAME_MAX),
  sinceUnixMs: wide(0n, U64_MAX),
  reason: (value, path) => (REASONS.includes(value) ? undefined : `${path}: ${String(value)} is no reason to stand in`),
});
const promotionTier: Check<number> = (value, path) =>
  value === NEVER_PROMOTED || (Number.isInteger(value) && value >= 0 && value <= PROMOTION_TIER_MAX)
    ? undefined
    : `${path}: ${value} is not from 0 to ${PROMOTION_TIER_MAX}, nor ${NEVER_PROMOTED} for never`;
const writerSeen = fields<WriterSeen>({
  epoch,
  writerId: text(0, WRITER_ID_MAX),
  silentMs: whole(0, U32_MAX),
  leaseGivenBack: any,
  promisedMs: whole(0, U32_MAX),
});
const seenFollower = fields<SeenFollower>({
  computeId: text(1, WRITER_ID_MAX),
  promotionTier,
  takenLsn: lsnOrNone,
  silentMs: whole(0, U32_MAX),
});
const PHASES: readonly SegmentState['phase'][] = ['EMPTY', 'IMPORTING', 'READY', 'DAMAGED'];
const engine = fields<VolumeEngine>({ engine: text(1, NAME_MAX), major: whole(1, MAJOR_MAX) });
const engineOrNone: Check<VolumeEngine | undefined> = (value, path) => (value === undefined ? undefined : engine(value, path));
const stateFields = fields<SegmentState>({
  phase: (value, path) => (PHASES.includes(value) ? undefined : `${path}: ${String(value)} is no phase`),
  epoch: epochOrNone,
  scl: lsnOrNone,
  lastBatchEpoch: epochOrNone,
  baseEpoch: epochOrNone,
  baseLsn: lsnOrNone,
  appliedLsn: lsnOrNone,
  vdl: lsnOrNone,
  logStartLsn: lsnOrNone,
  systemIdentifier: wide(0n, U64_MAX),
  engine: engineOrNone,
  history,
  message: (value, path) =>
    value.length <= MESSAGE_MAX ? undefined : `${path}: has ${value.length} characters, at most ${MESSAGE_MAX} are taken`,
  daemonId: text(1, NAME_MAX),
  zone: text(0, NAME_MAX),
  pgmrpl: lsnOrNone,
  bytesUsed: wide(0n, U64_MAX),
  fault: any,
  recoverToLsn: lsnOrNone,
  role,
  checkpointLsn: lsnOrNone,
  logStartEpoch: epochOrNone,
  standIn: (value, path) => (value === undefined ? undefined : standIn(value, path)),
  writer: (value, path) => (value === undefined ? undefined : writerSeen(value, path)),
  followers: list(SEEN_FOLLOWERS_MAX, seenFollower),
});
/** What cannot be true of any segment, whatever happened to it. */
const stateWhole: Check<SegmentState | undefined> = (state, path) => {
  if (state === undefined) return undefined;
  const last = lastEpoch(state.history);
  if (last > state.epoch) return `${path}.epoch: ${state.epoch} is below its own history's last epoch ${last}`;
  if (state.lastBatchEpoch > state.epoch) return `${path}.last_batch_epoch: ${state.lastBatchEpoch} is past its epoch ${state.epoch}`;
  if (state.role === 'FULL' && state.standIn !== undefined) return `${path}.stand_in: only a tail stands in for a full segment`;
  if (state.phase !== 'READY') return undefined;
  if (state.scl < state.baseLsn) return `${path}.scl: ${state.scl} is before its base ${state.baseLsn}`;
  if (state.logStartLsn > state.scl) return `${path}.log_start_lsn: ${state.logStartLsn} is past its SCL ${state.scl}`;
  return undefined;
};
const segmentState = all<SegmentState | undefined>(stateFields, stateWhole);

const hello = fields<AppendHello>({ segment, epoch, writerId: text(1, WRITER_ID_MAX), history, role });
const wants: Check<FollowWants> = (value, path) => (FOLLOW_WANTS.includes(value) ? undefined : `${path}: ${String(value)} is none`);
const pageImage = fields<PageImage>({ key: pageKey, page });

/** By message. The names are the proto's. */
export const MESSAGE_RULES = {
  SegmentId: segment,
  SegmentState: segmentState,
  AppendHello: hello,
  AppendPoints: fields<{ vdl: bigint; pgmrpl: bigint }>({ vdl: lsnOrNone, pgmrpl: lsnOrNone }),
  OpenEpochRequest: fields<OpenEpochRequest>({ segment, epoch, writerId: text(1, WRITER_ID_MAX), role, leaseMs: whole(0, LEASE_MS_MAX) }),
  InstallHistoryRequest: fields<InstallHistoryRequest>({ segment, epoch, history }),
  CatchUpRequest: fields<CatchUpRequest>({ segment, lsn }),
  FollowHello: fields<FollowHello>({ segment, readerId: text(1, WRITER_ID_MAX), wants, promotionTier }),
  FollowPoints: fields<{ takenLsn: bigint; readFloor: bigint }>({ takenLsn: lsnOrNone, readFloor: lsnOrNone }),
  GetPagesRequest: fields<GetPagesRequest>({ segment, epoch: epochOrNone, lsn, keys: all(notEmpty, list(PAGES_MAX, pageKey)) }),
  ComputeImageRequest: fields<ComputeImageRequest>({ segment, epoch: epochOrNone, lsn }),
  ImportBegin: fields<ImportBegin>({
    segment,
    epoch,
    baseLsn: lsn,
    systemIdentifier: wide(1n, U64_MAX),
    volumeState: any,
    engine: engineOrNone,
    role,
  }),
  ImportPages: fields<{ pages: readonly PageImage[] }>({ pages: list(IMPORT_PAGES_MAX, pageImage) }),
  RenewLeaseRequest: fields<RenewLeaseRequest>({
    segment,
    epoch,
    writerId: text(1, WRITER_ID_MAX),
    leaseMs: whole(LEASE_MS_MIN, LEASE_MS_MAX),
  }),
  GiveBackLeaseRequest: fields<GiveBackLeaseRequest>({ segment, epoch, writerId: text(1, WRITER_ID_MAX), reopens: any }),
  GossipRequest: fields<GossipRequest>({ segment, state: segmentState }),
  FetchRedoRequest: fields<FetchRedoRequest>({ segment, fromLsn: lsnOrNone, fromEpoch: epochOrNone, toLsn: lsnOrNone }),
  CopySegmentRequest: fields<CopySegmentRequest>({ segment }),
  GetPeerPageRequest: fields<GetPeerPageRequest>({ segment, key: pageKey, lsn }),
} as const;

/** Throws AuroraRpcError INVALID that names the field; `path`: where in the message the value stands. */
export function checkMessage<K extends keyof typeof MESSAGE_RULES>(
  name: K,
  value: Parameters<(typeof MESSAGE_RULES)[K]>[0],
  path = '',
): void {
  const check = MESSAGE_RULES[name] as Check<unknown>;
  const wrong = check(value, path);
  if (wrong !== undefined) throw new AuroraRpcError('INVALID', wrong);
}
