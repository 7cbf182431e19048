import type { LeaseView } from '../lease/writer-lease.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { Warmth } from '../warm-cache/warm-cache.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import type { StartFailure } from './database.ts';
import type { WriteCounters } from './volume-driver.ts';

/** Why an epoch of ours ended. */
export type SessionEnd =
  | { readonly kind: 'fenced'; readonly message: string }
  /** The local WAL was not what PostgreSQL said it wrote. The volume is sound. */
  | { readonly kind: 'damaged'; readonly message: string }
  | { readonly kind: 'stopped' }
  /** To be started again: with other settings, in order; or, `isForced`, since it could not go on from where it was. */
  | { readonly kind: 'restarting'; readonly why: string; readonly isForced?: true }
  | { readonly kind: 'failed'; readonly reason: StartFailure; readonly message: string }
  /** Of a reader: whoever was given its PostgreSQL makes the writer of it. */
  | { readonly kind: 'handedOver' };

/** How far a compute that only reads has come. */
export interface ReplayView {
  /** The highest LSN that is known to be durable. */
  readonly vdl: bigint;
  /** Its queries see the database as of here. */
  readonly replayLsn: bigint;
  /** For how long the oldest redo that was not replayed is known to be durable; 0 when all is replayed. */
  readonly lagMs: number;
  /** The segment that its redo comes from; undefined while there is none. */
  readonly source: string | undefined;
  /** By kind, how many queries were canceled since they held up replay; undefined while nobody knows. */
  readonly conflicts?: Readonly<Record<string, number>> | undefined;
  /** Of one that would be the next writer; undefined while nothing is known of the writer's cache. */
  readonly warmth?: Warmth | undefined;
}

/** One epoch of a compute, as the agent sees it. */
export interface Session {
  /** Settles once, when this epoch is over; PostgreSQL is dead by then, or was handed over. */
  readonly ended: Promise<SessionEnd>;
  /** PostgreSQL takes connections. */
  readonly ready: boolean;
  readonly postgresPid: number | undefined;
  readonly volume: VolumeView;
  /** Undefined for a compute that only reads. */
  readonly writePath: WriteCounters | undefined;
  /** Undefined for a writer. */
  readonly replay: ReplayView | undefined;
  /** Undefined for a compute that only reads. */
  readonly lease: LeaseView | undefined;
  /** Never rejects: failures end the session. */
  start(): Promise<void>;
  /** Does PostgreSQL take connections? Asks it, for a bounded time. */
  answers(): Promise<boolean>;
  /** Of a writer: see Database. Undefined for a compute that only reads. */
  drain?(withinMs: number): Promise<DrainOutcome>;
  /**
   * Of a reader that may become the writer: which of the writer's slots with failover = true it keeps none like, so that they would be lost; waits for so long
   * at most until there is none. Never rejects.
   */
  missingSlots?(withinMs: number): Promise<readonly string[]>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}
