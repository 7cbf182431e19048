import type { Disk } from '../disk/disk.ts';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { EpochRun, RedoBatchHeader } from '@kube-aurora/volume';
import { LogFile } from './log-file.ts';

/**
 * Where a log's one chain of batches stands, in memory: its files, its two ends, and which epochs wrote which part. It
 * does no I/O; recovery builds it, the log's changes move it, and readers find their file in it.
 */

/** The end of what the last batch of a chain leaves for the next. */
export interface ChainLink {
  readonly lsn: bigint;
  readonly epoch: bigint;
}

/** How a batch stands to the end of a chain. forked: it follows another batch than the chain's last. */
export type Link = 'next' | 'duplicate' | 'gap' | 'forked';

/** The rule of the chain: a batch is next when it links to the end, in place and in epoch. */
export function linkTo(end: ChainLink, header: RedoBatchHeader): Link {
  if (header.endLsn <= end.lsn) return 'duplicate';
  if (header.backlink > end.lsn) return 'gap';
  if (header.backlink < end.lsn || header.previousEpoch !== end.epoch) return 'forked';
  return 'next';
}

/** Why a batch is not next, for people. */
export function describeLink(end: ChainLink, { backlink, previousEpoch }: RedoBatchHeader): string {
  return `${formatLsn(backlink)} of epoch ${previousEpoch} does not link to the log's end ${formatLsn(end.lsn)} of epoch ${end.epoch}`;
}

export class LogChain {
  /** Oldest first. */
  readonly files: LogFile[] = [];
  /** Which epoch wrote what, oldest first. */
  readonly runs: EpochRun[] = [];
  /** Where the first batch links to. */
  start: ChainLink;
  /** End of the chain, written or about to be. */
  tail: ChainLink;
  /** End of what is on disk. */
  durable: ChainLink;
  /** Where byte 0 of the next file will stand in the log's own numbering of bytes. */
  #nextBase = 0;

  constructor(start: ChainLink) {
    this.start = start;
    this.tail = start;
    this.durable = start;
  }

  get nextBase(): number {
    return this.#nextBase;
  }

  get bytes(): number {
    let bytes = 0;
    for (const file of this.files) bytes += file.used;
    return bytes;
  }

  /** Takes a file, opened at `nextBase`, as the newest one. */
  addFile(file: LogFile): void {
    this.files.push(file);
    this.#nextBase = file.base + file.capacity;
  }

  /** Plans the next file, for batches from the one whose backlink is given on. */
  planFile(disk: Disk, path: string, backlink: bigint, capacity: number, phase: number): LogFile {
    const newest = this.files.at(-1);
    const base = newest === undefined ? this.#nextBase : Math.max(this.#nextBase, newest.base + newest.used);
    const file = LogFile.planned(disk, path, backlink, base, capacity, phase);
    this.addFile(file);
    return file;
  }

  /** Counts a batch that links to `tail` and stands, or is about to be written, at the end of `file`, in so many bytes. */
  extend(file: LogFile, header: RedoBatchHeader, storedBytes: number): void {
    file.note(header.backlink, header.endLsn, storedBytes);
    const last = this.runs.at(-1);
    if (last !== undefined && last.epoch === header.epoch) this.runs[this.runs.length - 1] = { ...last, toLsn: header.endLsn };
    else this.runs.push({ epoch: header.epoch, fromLsn: header.backlink, toLsn: header.endLsn });
    this.tail = { lsn: header.endLsn, epoch: header.epoch };
  }

  /** The chain ends at `lsn` from now on, a batch boundary in it. Files are the caller's. */
  endAt(lsn: bigint): void {
    const epoch = this.epochOf(lsn);
    while ((this.runs.at(-1)?.fromLsn ?? -1n) >= lsn) this.runs.pop();
    const last = this.runs.at(-1);
    if (last !== undefined && last.toLsn > lsn) this.runs[this.runs.length - 1] = { ...last, toLsn: lsn };
    this.tail = { lsn, epoch };
    this.durable = this.tail;
  }

  /** The chain starts at `lsn` from now on, a batch boundary in it. Files are the caller's. */
  startAt(lsn: bigint): void {
    this.start = { lsn, epoch: this.epochOf(lsn) };
    while (this.runs.length > 1 && (this.runs[0]?.toLsn ?? 0n) <= lsn) this.runs.shift();
  }

  /** An empty chain that starts at `start`. Files are the caller's. */
  restart(start: ChainLink): void {
    this.runs.length = 0;
    this.start = start;
    this.tail = start;
    this.durable = start;
  }

  /** Epoch of the batch that ends at or covers `lsn`, which is within the chain. */
  epochOf(lsn: bigint): bigint {
    return this.runs.find((run) => run.fromLsn < lsn && lsn <= run.toLsn)?.epoch ?? this.start.epoch;
  }

  /** The file in which the batch starts that follows `lsn`; undefined before the chain. */
  fileFrom(lsn: bigint): LogFile | undefined {
    return this.files.findLast((candidate) => candidate.firstLsn <= lsn);
  }

  /** The file that holds a byte, by the log's own numbering. */
  fileAt(position: number): LogFile | undefined {
    for (let index = this.files.length - 1; index >= 0; index--) {
      const file = this.files[index];
      if (file !== undefined && file.base <= position) return file;
    }
    return undefined;
  }
}
