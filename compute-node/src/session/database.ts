import type { StandbyXmins } from '@kube-aurora/rpc';
import type { FlushControl } from '../commit-wait/commit-wait.ts';
import type { FlushAnswer, FlushOutcome } from '../flush-outcome.ts';
import type { ComputeImage } from '../open/fetch-image.ts';
import type { FirstBatch } from '../open/first-batch.ts';
import type { Permit } from '../lease/writer-lease.ts';
import type { OpeningStep } from '../open/opening-steps.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import type { PageRequest, PagesAlong } from '../read-path/page-source.ts';
import type { WalSource } from '../write-path/wal-reader.ts';

/** Why PostgreSQL is not up although the volume was opened. */
export type StartFailure =
  /** PostgreSQL did not start, or ended by itself. */
  | 'postgresFailed'
  /** PostgreSQL refuses its settings: the same settings fail again. */
  | 'settingsRefused'
  /** No segment gave what PostgreSQL starts from. */
  | 'imageFailed';

/** What a database starts from: the volume at X, and the first redo after it. */
export interface StartPoint {
  /** As of the first batch's end. */
  readonly image: ComputeImage;
  readonly first: FirstBatch;
}

/** What a database asks of the volume while it runs. */
export interface VolumeAccess {
  /** WAL is in its files up to here; it may go to storage before it is flushed. */
  wrote(writtenLsn: bigint): void;
  flush(writtenLsn: bigint): Promise<FlushAnswer>;
  /** Undefined of a reader, which flushes nothing. */
  readonly flushes: FlushControl | undefined;
  /** In buffers of one or more pages, as of the request's LSN or later, once that is durable. Rejects when `signal` aborts, or when this compute is fenced or stopped. */
  readPages(request: PageRequest, signal?: AbortSignal): Promise<readonly Buffer[]>;
  /** What is at hand and may come along with the pages of a request, which are there. */
  pagesAlong(request: PageRequest): PagesAlong | undefined;
  /** These are going to be read. */
  expectPages(request: PageRequest): void;
  /** No transaction that runs in the database has written redo that ends at or below this LSN. Never goes back. */
  runningLsn(): bigint;
  /** What the snapshots of readers may need, as heard last: of a writer, which keeps vacuum from it. */
  standbyXmins(): StandbyXmins;
}

/** What a database tells its session while it runs. */
export interface DatabaseEvents {
  readonly onStep: (step: OpeningStep) => void;
  /** It ended by itself. */
  readonly onExited: (reason: StartFailure, message: string) => void;
  readonly onHung: (message: string) => void;
  /** It wants to be ended in order and started again. */
  readonly onRestartWanted: (why: string) => void;
}

/**
 * What runs on an opened volume: PostgreSQL in an agent, a load in the simulation. A session calls `prepare`, then
 * `start`, each at most once, and `kill` always, at any time, also while one of them is under way.
 */
export interface Database {
  /**
   * Lays down what it starts from, and gives the WAL that it will write. Nothing that is not durable is shown by it when this
   * resolves. `durable`: whether the first batch is, once that is known.
   */
  prepare(start: StartPoint, signal: AbortSignal, durable: Promise<FlushOutcome>): Promise<WalSource>;
  /**
   * Starts it. Resolves once it takes connections, or when it was ended meanwhile; rejects when it does not come up.
   */
  start(start: StartPoint, volume: VolumeAccess, events: DatabaseEvents): Promise<void>;
  /** Ends it in order: its last WAL is made durable. Starts nothing any more. */
  shutDown(): Promise<void>;
  /** Ends it at once. Nothing of it runs when this resolves, and nothing of it will. */
  kill(): Promise<void>;
  /** Replies to clients may leave until then, and none before the first of these, at any time. */
  permit(permit: Permit): void;
  /**
   * Its place is to be taken: clients begin no transaction from now on, and those that are under way have `withinMs` to end. Resolves when
   * they have, or then, or once it is ended; never rejects. If nobody takes its place soon after that, it goes on.
   */
  drain(withinMs: number): Promise<DrainOutcome>;
  /** Does it take connections? Asks it, for a bounded time. */
  answers(): Promise<boolean>;
  readonly pid: number | undefined;
}
