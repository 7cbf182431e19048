import { dirname } from 'node:path';
import type { Wrapped } from '@kube-aurora/at-rest';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import type { EngineId } from '@kube-aurora/redo-engine';
import type { StandIn } from '@kube-aurora/rpc';
import type { EpochStart, LeaseHolder, SegmentRole } from '@kube-aurora/volume';
import type { Disk } from '../disk/disk.ts';

/**
 * What a segment has promised and where its data is: `<segment>/control`, replaced whole (write, fsync, rename, fsync
 * of the directory), so that it is either the old or the new one. It holds the same twice: a promise may not be
 * forgotten, and no peer knows it. Each copy: a line with format and CRC32C of the next, a line of JSON, line ends up
 * to a whole block.
 */
const FORMAT = 'aurora-segment-2';
/** Of an encrypted segment: releases that know nothing of keys refuse it. */
const FORMAT_ENCRYPTED = 'aurora-segment-3';
const BLOCK_BYTES = 4096;

/** The engine of volumes whose files and messages do not name one: there was no other then. */
export const VOLUMES_BEFORE_ENGINES: EngineId = { engine: 'postgres', major: 18 };

export interface SegmentControl {
  readonly volumeId: string;
  readonly pg: number;
  /** What it is for as long as the volume lives: quorums count by it. */
  readonly role: SegmentRole;
  /** Volume epoch: lower ones are refused. */
  readonly epoch: bigint;
  /** Who holds that epoch; '' when it was learned from a peer. */
  readonly writerId: string;
  readonly history: readonly EpochStart[];
  /** False until an import or copy was completed. */
  readonly ready: boolean;
  readonly baseEpoch: bigint;
  readonly baseLsn: bigint;
  readonly systemIdentifier: bigint;
  /** Whose redo it is; of no account until `ready`. */
  readonly engine: EngineId;
  /** Subdirectories pages-N and log-N; a new import or copy takes new ones. */
  readonly pagesGeneration: number;
  readonly logGeneration: number;
  /**
   * The segment may have acknowledged redo up to here that its log lost to damage. Until it has it again from its peers
   * it makes no promise to an opener, who could otherwise believe that it never existed.
   */
  readonly recoverToLsn: bigint;
  /** Of a tail: where its log starts while it holds no batch. Nothing else says so, as it has no pages. */
  readonly logStart: { readonly lsn: bigint; readonly epoch: bigint };
  /** Of a tail: it has pages as well, in its zone's full segment's place. It counts as a tail all the same. */
  readonly standIn: StandIn | undefined;
  /** Leases that were granted and may be live, each for so many milliseconds from its last grant on: see leases.ts. */
  readonly leases: readonly NotedLease[];
  /** The data key that redo and pages are sealed with, wrapped; undefined: nothing is sealed. Never changes but for who wraps it. */
  readonly encryption: Wrapped | undefined;
}

export interface NotedLease extends LeaseHolder {
  readonly leaseMs: number;
}

/** A control file that cannot be read; the segment has to be removed by hand, or its disk replaced. */
export class ControlFileError extends Error {
  constructor(path: string, message: string) {
    super(`${path}: ${message}; move the segment's directory away, and it will be copied from its peers`);
    this.name = 'ControlFileError';
  }
}

export function emptyControl(volumeId: string, pg: number, role: SegmentRole): SegmentControl {
  return {
    volumeId,
    pg,
    role,
    epoch: 0n,
    writerId: '',
    history: [],
    ready: false,
    baseEpoch: 0n,
    baseLsn: 0n,
    systemIdentifier: 0n,
    engine: VOLUMES_BEFORE_ENGINES,
    pagesGeneration: 0,
    logGeneration: 0,
    recoverToLsn: 0n,
    logStart: { lsn: 0n, epoch: 0n },
    leases: [],
    standIn: undefined,
    encryption: undefined,
  };
}

interface StoredControl {
  volumeId: string;
  pg: number;
  /** Not in files of releases whose segments were all full. */
  role?: SegmentRole;
  epoch: string;
  writerId: string;
  history: { epoch: string; startLsn: string }[];
  ready: boolean;
  baseEpoch: string;
  baseLsn: string;
  systemIdentifier: string;
  /** Not in files of releases that had no other than VOLUMES_BEFORE_ENGINES. */
  engine?: EngineId;
  pagesGeneration: number;
  logGeneration: number;
  recoverToLsn: string;
  /** Not in files of releases whose segments were all full. */
  logStart?: { lsn: string; epoch: string };
  /** Not in files of releases that granted none. */
  leases?: { epoch: string; writerId: string; leaseMs: number }[];
  /** Only while it stands in. */
  standIn?: Omit<StandIn, 'sinceUnixMs'> & { sinceUnixMs: string };
  /** Only in files of FORMAT_ENCRYPTED. */
  encryption?: Wrapped;
}

/** Of files from before it had that name. */
type FormerControl = Omit<StoredControl, 'recoverToLsn'> & { owesLsn: string };

/** One copy: whole blocks, so that a bad sector does not reach into the next copy. */
function copyOf(control: SegmentControl): Buffer {
  const body = `${JSON.stringify(control, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))}\n`;
  const format = control.encryption === undefined ? FORMAT : FORMAT_ENCRYPTED;
  const text = Buffer.from(`${format} ${crcOf(body)}\n${body}`);
  const copy = Buffer.alloc(Math.ceil(text.length / BLOCK_BYTES) * BLOCK_BYTES, '\n');
  text.copy(copy);
  return copy;
}

function crcOf(body: string): string {
  return (crc32c(Buffer.from(body)) >>> 0).toString(16);
}

export async function writeControl(disk: Disk, path: string, control: SegmentControl): Promise<void> {
  const copy = copyOf(control);
  const next = `${path}.next`;
  const file = await disk.openFile(next, 'create');
  try {
    await file.write([copy, copy], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(next, path);
  await disk.syncDirectory(dirname(path));
}

/** What it holds, by the names of today. */
function named(stored: StoredControl | FormerControl): StoredControl {
  if ('recoverToLsn' in stored) return stored;
  const { owesLsn, ...rest } = stored;
  return { ...rest, recoverToLsn: owesLsn };
}

function parseCopy(path: string, copy: Buffer): SegmentControl {
  const [head = '', json = ''] = copy.toString('utf8').split('\n', 2);
  const [format, crc] = head.split(' ');
  if (format !== FORMAT && format !== FORMAT_ENCRYPTED)
    throw new ControlFileError(path, `'${format}' is neither ${FORMAT} nor ${FORMAT_ENCRYPTED}`);
  if (crcOf(`${json}\n`) !== crc) throw new ControlFileError(path, 'fails its CRC');
  const stored = named(JSON.parse(json) as StoredControl | FormerControl);
  if ((stored.encryption !== undefined) !== (format === FORMAT_ENCRYPTED))
    throw new ControlFileError(path, `is of format ${format} and ${stored.encryption === undefined ? 'names no key' : 'names a key'}`);
  return {
    ...stored,
    role: stored.role ?? 'FULL',
    epoch: BigInt(stored.epoch),
    history: stored.history.map((entry) => ({ epoch: BigInt(entry.epoch), startLsn: BigInt(entry.startLsn) })),
    baseEpoch: BigInt(stored.baseEpoch),
    baseLsn: BigInt(stored.baseLsn),
    systemIdentifier: BigInt(stored.systemIdentifier),
    engine: stored.engine ?? VOLUMES_BEFORE_ENGINES,
    recoverToLsn: BigInt(stored.recoverToLsn),
    logStart: { lsn: BigInt(stored.logStart?.lsn ?? '0'), epoch: BigInt(stored.logStart?.epoch ?? '0') },
    leases: (stored.leases ?? []).map((lease) => ({ ...lease, epoch: BigInt(lease.epoch) })),
    standIn: stored.standIn === undefined ? undefined : { ...stored.standIn, sinceUnixMs: BigInt(stored.standIn.sinceUnixMs) },
    encryption: stored.encryption,
  };
}

/**
 * The control file, and the error of the copy that could not be used, if one could not; undefined when there is no
 * file. Throws ControlFileError when neither copy is sound.
 */
export function readControl(
  disk: Pick<Disk, 'readFile'>,
  path: string,
): { readonly control: SegmentControl; readonly damage: ControlFileError | undefined } | undefined {
  const bytes = disk.readFile(path);
  if (bytes === undefined) return undefined;
  const half = bytes.length / 2;
  let damage: ControlFileError | undefined;
  for (const copy of [bytes.subarray(0, half), bytes.subarray(half)]) {
    try {
      const control = parseCopy(path, copy);
      // The copies are written together, so a difference is damage, whichever is looked at.
      if (damage === undefined && !bytes.subarray(0, half).equals(bytes.subarray(half)))
        damage = new ControlFileError(path, 'its second copy is not like the first');
      return { control, damage };
    } catch (error) {
      if (!(error instanceof ControlFileError)) throw error;
      damage ??= error;
    }
  }
  throw damage ?? new ControlFileError(path, 'is empty');
}
