import type { PrimaryLimits } from '@kube-aurora/redo';
import type { DatabaseEvents, VolumeAccess } from '../session/database.ts';
import { PostgresServer, SERVER_PROGRAMS, type PostgresServerOptions } from '../session/postgres-server.ts';
import { readCacheFile, type CacheCounters } from '../postgres/cache-file.ts';
import type { LocalSocket } from '../postgres/local-client.ts';
import type { LocalChunk } from '../warm-cache/local-pages.ts';
import { warmCache, type HotPages, type Warmth } from '../warm-cache/warm-cache.ts';
import type { FollowedSlots } from '../failover-slots/followed-slots.ts';
import type { WrittenDirectory } from '../postgres/written-directory.ts';
import { layStandbyDirectory, type StandbyStart } from './lay-standby-directory.ts';
import { watchConflicts, type RecoveryConflicts } from './recovery-conflicts.ts';
import type { RunningStandby } from './running-standby.ts';
import { keepsSlots, needsMore, standbySettings, type StreamSource } from './standby-settings.ts';

/**
 * What a reader's session has of its database. It calls `prepare`, then `start`, each at most once, and `kill` always.
 */
export interface ReaderDatabase {
  /** Lays down what it starts from. Nothing of it runs when this resolves. */
  prepare(start: StandbyStart, signal: AbortSignal): Promise<void>;
  /** Resolves once it answers queries, or when it was ended meanwhile; rejects when it does not come up. */
  start(start: StandbyStart, volume: VolumeAccess, events: DatabaseEvents): Promise<void>;
  /** The writer runs with these parameters from some record on: can it replay what follows? */
  canFollow(writer: PrimaryLimits): boolean;
  shutDown(): Promise<void>;
  kill(): Promise<void>;
  answers(): Promise<boolean>;
  readonly pid: number | undefined;
  /** Undefined until they were first counted. */
  readonly conflicts: RecoveryConflicts | undefined;
  /** The writer has these pages in its local cache. */
  hotPages(chunks: readonly LocalChunk[]): void;
  /** Undefined until the writer's pages were first looked at. */
  readonly warmth: Warmth | undefined;
  /** What runs, for whoever makes the writer of it. */
  readonly server: RunningStandby['server'];
  /** See Session. */
  missingSlots(withinMs: number): Promise<readonly string[]>;
}

export interface StandbyDatabaseOptions extends Omit<PostgresServerOptions, 'programs'> {
  readonly cacheBytes: number;
  /** At present; 0: none. */
  readonly warmPagesPerSecond: () => number;
  /** Would this compute be the next writer? */
  readonly isNextWriter: (signal: AbortSignal) => Promise<boolean>;
  /** Where its WAL comes from. */
  readonly stream: StreamSource;
  readonly directory: Pick<WrittenDirectory, 'forReader'>;
  /** The writer's, that it keeps up with where its parameters let it. */
  readonly slots: Pick<FollowedSlots, 'follow' | 'missing'>;
}

/** A reader's PostgreSQL: a stock hot standby. Roles and their passwords are those of the volume. */
export class StandbyDatabase implements ReaderDatabase {
  readonly #options: StandbyDatabaseOptions;
  readonly server: PostgresServer;
  #parameters: ReadonlyMap<string, string> = new Map();
  #startedFor: PrimaryLimits | undefined;
  #conflicts: RecoveryConflicts | undefined;
  #hotPages: HotPages | undefined;
  /** The highest that was heard of. */
  #writerEpoch = 0n;
  #warmth: Warmth | undefined;

  constructor(options: StandbyDatabaseOptions) {
    this.#options = options;
    this.server = new PostgresServer({ ...options, programs: SERVER_PROGRAMS });
  }

  get pid(): number | undefined {
    return this.server.pid;
  }

  get conflicts(): RecoveryConflicts | undefined {
    return this.#conflicts;
  }

  get warmth(): Warmth | undefined {
    return this.#warmth;
  }

  /** There is a writer of this epoch. What an earlier one had in its cache says nothing of this one, which tells when it wants to. */
  writerIsOf(epoch: bigint): void {
    if (epoch <= this.#writerEpoch) return;
    this.#writerEpoch = epoch;
    this.#hotPages = undefined;
  }

  hotPages(chunks: readonly LocalChunk[]): void {
    this.#hotPages = { chunks, atMs: this.#options.clock.wallTime() };
  }

  answers(): Promise<boolean> {
    return this.server.answers();
  }

  prepare(start: StandbyStart, signal: AbortSignal): Promise<void> {
    const { paths, cacheBytes, directory } = this.#options;
    const { dataDir, account } = paths;
    return this.server.lay(
      ({ parameters, hba }) =>
        directory.forReader(start.chain.endLsn, () => layStandbyDirectory(start, { dataDir, account, parameters, hba, cacheBytes })),
      signal,
    );
  }

  start(start: StandbyStart, volume: VolumeAccess, events: DatabaseEvents): Promise<void> {
    const { control, settings } = start.image.state;
    this.#startedFor = control;
    return this.server.start(
      {
        startLsn: start.chain.endLsn,
        isStandby: true,
        initialSettings: settings,
        overrides: (parameters) => {
          this.#parameters = parameters;
          return standbySettings(control, this.#options.stream, parameters);
        },
        onReady: (socket, over) => {
          void this.#watchConflicts(socket, over);
          void this.#warm(socket, over);
          if (keepsSlots(this.#parameters)) void this.#options.slots.follow(socket, over);
          return Promise.resolve();
        },
      },
      volume,
      events,
    );
  }

  canFollow(writer: PrimaryLimits): boolean {
    return this.#startedFor === undefined || !needsMore(this.#startedFor, this.#parameters, writer);
  }

  missingSlots(withinMs: number): Promise<readonly string[]> {
    const { paths, listen, slots } = this.#options;
    return keepsSlots(this.#parameters) ? slots.missing({ dir: paths.runDir, port: listen.port }, withinMs) : Promise.resolve([]);
  }

  #watchConflicts(socket: LocalSocket, over: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    const onCounted = (conflicts: RecoveryConflicts): void => {
      this.#conflicts = conflicts;
    };
    return watchConflicts({ socket, onCounted, clock, logger }, over);
  }

  /** Until it is no reader any more. */
  async #warm(socket: LocalSocket, over: AbortSignal): Promise<void> {
    const { clock, logger, paths, warmPagesPerSecond: pagesPerSecond, isNextWriter: isNext } = this.#options;
    const onWarmth = (warmth: Warmth | undefined): void => {
      this.#warmth = warmth;
    };
    const cache = (): CacheCounters | undefined => readCacheFile(paths.dataDir);
    await warmCache({ socket, list: () => this.#hotPages, isNext, cache, pagesPerSecond, onWarmth, clock, logger }, over);
  }

  shutDown(): Promise<void> {
    return this.server.shutDown();
  }

  kill(): Promise<void> {
    return this.server.kill();
  }
}
