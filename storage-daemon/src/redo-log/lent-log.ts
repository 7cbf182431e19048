import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { RedoBatchHeader } from '@kube-aurora/volume';
import type { DurableEvent } from './durable-event.ts';
import type { GroupCommit } from './group-commit.ts';
import { describeLink, linkTo, type ChainLink, type LogChain } from './log-chain.ts';
import type { LogFile } from './log-file.ts';
import type { TailCache } from './tail-cache.ts';

/**
 * A log that is lent to who has a writer's connection (packages/append-lane), so that batches that are next get to the disk and are
 * acknowledged without a turn of the event loop. What was appended so is told here, some milliseconds later.
 *
 * Invariants:
 * - it is lent to one at a time, and nothing is appended here meanwhile: the borrower's end of the chain is the chain's;
 * - the chain here may be behind the disk while it is lent, and is never ahead: what is known here is durable. So whatever an answer rests
 *   on that must count every acknowledged batch (a promise, annulling, a peer's redo, closing) takes the log back first;
 * - what was lent is within one file, and filled ahead as by anybody who writes it: a crash leaves what it leaves of any other write.
 */

/** Where the next batch goes. */
export interface LogTerms {
  readonly descriptor: number;
  readonly offset: number;
  /** Filled with zeros up to `filled`, with room up to `capacity`: see LogFile.ready. */
  readonly filled: number;
  readonly capacity: number;
  readonly end: ChainLink;
}

/** What the borrower can be asked for. */
export interface LentLane {
  /** When it returns everything that was appended has been told. */
  refresh(): void;
  /** The same, and nothing more is appended. */
  reclaim(): void;
}

/** Starts the borrower off; undefined where it cannot take the log now. */
export type StartLane = (terms: LogTerms, lent: LentLog) => LentLane | undefined;

/** A batch stands in the log, at a position. */
export type OnAppended = (header: RedoBatchHeader, position: number) => void;

interface LentLogOptions {
  readonly file: LogFile;
  readonly chain: LogChain;
  readonly cache: TailCache;
  readonly commit: GroupCommit;
  readonly durable: DurableEvent;
  readonly onAppended: OnAppended;
}

export class LentLog {
  readonly #options: LentLogOptions;
  #lane: LentLane | undefined;
  #isOver = false;
  #hasMoved = false;

  constructor(options: LentLogOptions) {
    this.#options = options;
  }

  began(lane: LentLane): void {
    this.#lane = lane;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** What the borrower has appended is told. */
  refresh(): void {
    this.#lane?.refresh();
  }

  takeBack(): void {
    const lane = this.#lane;
    this.#lane = undefined;
    lane?.reclaim();
    this.#isOver = true;
  }

  /** A batch that the borrower has brought to disk, checked there. Throws where it is not next: then one of us is wrong. */
  appended(header: RedoBatchHeader, batch: Buffer): void {
    const { file, chain, cache, onAppended } = this.#options;
    if (this.#isOver) throw new Error(`a batch at ${formatLsn(header.startLsn)} was appended to a log that was taken back`);
    if (linkTo(chain.tail, header) !== 'next')
      throw new Error(`batch at ${formatLsn(header.startLsn)}, appended by the borrower: ${describeLink(chain.tail, header)}`);
    const position = file.base + file.used;
    chain.extend(file, header, batch.length);
    chain.durable = chain.tail;
    cache.push(position, batch, header);
    this.#hasMoved = true;
    onAppended(header, position);
  }

  /** A write and sync of the borrower's, all of which was told, took so long, and the file is filled so far behind it. */
  synced(ms: number, aheadBytes: number): void {
    this.#options.commit.lentSynced(this.#options.file, ms, aheadBytes);
  }

  /** The disk failed under the borrower. */
  failed(error: Error): void {
    this.#options.commit.lentFailed(error);
  }

  /** Everything that was told together is in: says so to whom it concerns. */
  told(): void {
    if (!this.#hasMoved) return;
    this.#hasMoved = false;
    this.#options.durable.emit(this.#options.chain.durable);
  }
}
