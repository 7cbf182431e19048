import type { AuroraCluster, EncryptionSpec } from '../api/types.ts';
import { storageName } from '../api/names.ts';
import type { SegmentId } from '../api/segment-id.ts';
import type { ConditionReason } from '../api/conditions.ts';

/**
 * What a daemon says is wrong with its segment (proto/segment.proto, SegmentFault). Texts and numbers are for people;
 * only the kind is decided by. A kind that this operator does not know is UNKNOWN.
 */
export type ReportedFault =
  | { readonly kind: 'UNKNOWN' }
  | { readonly kind: 'DAMAGED_DATA'; readonly part: string }
  | { readonly kind: 'REDO_FAILED'; readonly lsn: string; readonly record: string; readonly page: string }
  | { readonly kind: 'LOST_REDO'; readonly lsn: string; readonly heldLsn: string }
  | { readonly kind: 'HISTORY_REFUSED'; readonly epoch: string; readonly startLsn: string; readonly durableLsn: string }
  | { readonly kind: 'DISK_FULL'; readonly freeBytes?: number; readonly neededBytes?: number }
  | { readonly kind: 'DISK_ERROR'; readonly error: string; readonly operation: string }
  | { readonly kind: 'ENGINE_UNKNOWN'; readonly engine: string }
  | { readonly kind: 'KEY_UNUSABLE' };

export type FaultKind = ReportedFault['kind'];
export const FAULT_KINDS = [
  'UNKNOWN',
  'DAMAGED_DATA',
  'REDO_FAILED',
  'LOST_REDO',
  'HISTORY_REFUSED',
  'DISK_FULL',
  'DISK_ERROR',
  'ENGINE_UNKNOWN',
  'KEY_UNUSABLE',
] as const satisfies readonly FaultKind[];

/** The condition's reason for each kind. */
export const FAULT_REASON: Readonly<Record<FaultKind, ConditionReason>> = {
  UNKNOWN: 'SegmentDamaged',
  DAMAGED_DATA: 'SegmentDamaged',
  REDO_FAILED: 'SegmentDamaged',
  HISTORY_REFUSED: 'SegmentDamaged',
  DISK_ERROR: 'DiskError',
  DISK_FULL: 'DiskFull',
  LOST_REDO: 'SegmentsMissing',
  ENGINE_UNKNOWN: 'SegmentsMissing',
  KEY_UNUSABLE: 'EncryptionKeyTrouble',
};

/** Kinds from which the copy itself may be trusted: it holds what it acknowledged. */
const SOUND: ReadonlySet<FaultKind> = new Set(['DISK_FULL']);

export function isSoundWith(fault: ReportedFault | undefined): boolean {
  return fault === undefined || SOUND.has(fault.kind);
}

export function formatBytes(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 1 : 0)} ${units[unit] ?? ''}`;
}

/** What is wrong, in a few words. */
export function faultInWords(fault: ReportedFault): string {
  switch (fault.kind) {
    case 'DAMAGED_DATA':
      return `damaged data in its ${fault.part}`;
    case 'REDO_FAILED':
      return `redo that cannot be applied (${[fault.record, fault.page === '' ? '' : `page ${fault.page}`, `at ${fault.lsn}`].filter((part) => part !== '').join(', ')})`;
    case 'LOST_REDO':
      return `lost redo: it had acknowledged up to ${fault.lsn} and holds up to ${fault.heldLsn}`;
    case 'HISTORY_REFUSED':
      return `an epoch history that contradicts durable redo (epoch ${fault.epoch} starts at ${fault.startLsn}, redo is durable up to ${fault.durableLsn})`;
    case 'DISK_FULL': {
      const free = fault.freeBytes === undefined ? '' : ` (${formatBytes(fault.freeBytes)} free`;
      const needed = free === '' ? '' : fault.neededBytes === undefined ? ')' : `, ${formatBytes(fault.neededBytes)} needed)`;
      return `a full disk${free}${needed}`;
    }
    case 'DISK_ERROR':
      return `a disk error (${[fault.error, fault.operation].filter((part) => part !== '').join(': ')})`;
    case 'ENGINE_UNKNOWN':
      return `a volume of ${fault.engine}, which its daemon does not have`;
    case 'KEY_UNUSABLE':
      return 'encrypted data and not its key';
    case 'UNKNOWN':
      return 'a fault, and stopped';
  }
}

/**
 * What to do about it. `othersSound`: four other copies are up and sound, so that this one may be thrown away and made
 * anew. A full disk is never a reason to throw a copy away: disks of one size fill together.
 */
export function faultAdvice({ metadata, spec }: AuroraCluster, segment: SegmentId, fault: ReportedFault, othersSound: boolean): string {
  const name = storageName(metadata.name, segment);
  const anew = othersSound
    ? `to have its copy made anew from its peers: kubectl delete pvc ${name}`
    : `keep its claim: fewer than four other copies are up and sound`;
  switch (fault.kind) {
    case 'DAMAGED_DATA':
    case 'HISTORY_REFUSED':
    case 'UNKNOWN':
      return anew;
    case 'REDO_FAILED':
      return 'keep its claim: a copy of the same redo would fail alike. Its log has the record; please report it';
    case 'LOST_REDO':
      return 'it counts again once it has that redo from its peers, by itself';
    case 'DISK_FULL':
      return 'give it room (raise spec.storage.size where the storage class can grow volumes, or remove what else is on that disk); it takes redo again by itself';
    case 'DISK_ERROR':
      return `look at the disk and its node; if the disk is broken, ${anew}`;
    case 'ENGINE_UNKNOWN':
      return `keep its claim, and give it the image of a release that has ${fault.engine}`;
    case 'KEY_UNUSABLE':
      return keyAdvice(spec.storage.encryption);
  }
}

function keyAdvice(encryption: EncryptionSpec | undefined): string {
  if (encryption === undefined)
    return 'keep its claim: the volume was made with encryption; make the cluster anew with spec.storage.encryption as it was then';
  const { secret } = encryption.key;
  if (secret === undefined)
    return 'keep its claim: its data key was wrapped by another key than the KMS has now; have the KMS decrypt with that one, or name the key from before as spec.storage.encryption.before; it opens by itself then';
  return `keep its claim, and put the key that it was encrypted with into Secret ${secret.name}, as any entry beside '${secret.key}'; it opens by itself then`;
}
