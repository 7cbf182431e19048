import type { Clock } from '@kube-aurora/clock';
import { coreWait, type Logger } from '@kube-aurora/process';
import { RMGRS_NEEDING_IMAGES } from '@kube-aurora/redo';
import { NO_XMINS, type StandbyXmins } from '@kube-aurora/rpc';
import { keepCommitsShort } from '../commit-wait/commit-wait.ts';
import type { Permit } from '../lease/writer-lease.ts';
import type { PostgresPaths } from '../postgres-paths.ts';
import { discardOld } from '../postgres/data-directory.ts';
import { watchForHang } from '../postgres/hang-watch.ts';
import type { WriterAddress } from '../postgres/lease-file.ts';
import type { LocalSocket } from '../postgres/local-client.ts';
import { recoveryEnds } from '../postgres/recovery-end.ts';
import { holdVacuum } from '../postgres/vacuum-hold.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import { drainSessions } from '../switchover/drain-sessions.ts';
import { postgresTransactions } from '../switchover/open-transactions.ts';
import { tellHotPages, type NextReader } from '../warm-cache/tell-hot-pages.ts';
import { startPostgres, type PostgresExit, type RunningPostgres } from '../postgres/supervise.ts';
import type { ReloadTarget } from '../settings/reload-settings.ts';
import type { SettingsSet } from '../settings/settings-files.ts';
import type { DatabaseEvents, VolumeAccess } from './database.ts';
import { serveShim, type ShimAccess } from './serve-shim.ts';
import { ServerConfiguration, type ConfigurationSources, type LaidConfiguration } from './server-configuration.ts';

/** A PostgreSQL that says nothing to a new connection for this long is not ready; the kubelet's probe waits for 2 s. */
const ANSWER_WITHIN_MS = 1000;
/**
 * A backend that hears in its commit that the epoch is over has this long to tell its client before PostgreSQL is
 * killed.
 */
const LAST_WORDS_MS = 250;
/** An end in order waits for so long for sessions that wait for the quorum by themselves: longer than a quorum takes that answers. */
const COMMITS_WITHIN_MS = 1000;
/**
 * After a promotion storage is to serve the new writer's clients first, and then whoever warms itself for its place: the old writer, back
 * with nothing, would fetch all of its cache just then.
 */
const WARM_AFTER_PROMOTION_MS = 60_000;

/** What touches the machine; tests give their own. */
export interface ServerPrograms {
  readonly serveShim: typeof serveShim;
  readonly startPostgres: typeof startPostgres;
  readonly discardOld: typeof discardOld;
}

export const SERVER_PROGRAMS: ServerPrograms = { serveShim, startPostgres, discardOld };

export interface PostgresServerOptions extends ConfigurationSources {
  readonly paths: PostgresPaths;
  readonly listen: { readonly host: string; readonly port: number };
  /** See ShimStart. */
  readonly writerPort?: number | undefined;
  /** Gives PostgreSQL its port, which somebody else answers until then. */
  readonly freePort: () => Promise<void>;
  /** Whom a writer tells which pages are local to it. */
  readonly toldHotPages: NextReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly programs: ServerPrograms;
}

/** A reader's PostgreSQL that becomes the writer. */
export interface ServerPromotion {
  /** It has replayed everything up to here, and gets no more: its own WAL begins here. */
  readonly startLsn: bigint;
  /** Once it takes writes, before the promotion counts as done. */
  readonly onReady: (socket: LocalSocket, over: AbortSignal) => Promise<void>;
}

/** One start of PostgreSQL, on a data directory that was laid for it. */
export interface ServerStart {
  /** As of which the data directory is. */
  readonly startLsn: bigint;
  readonly isStandby: boolean;
  /** Last word on settings, given the chosen ones. */
  readonly overrides?: (parameters: ReadonlyMap<string, string>) => Readonly<Record<string, string>>;
  /** What initdb chose for the volume. */
  readonly initialSettings: ReadonlyMap<string, string>;
  /** Once it takes connections, before it counts as started. */
  readonly onReady?: (socket: LocalSocket, over: AbortSignal) => Promise<void>;
}

/**
 * PostgreSQL under an agent: data directory → shim → postgres → kept up to date → killed.
 *
 * Invariant: once `shutDown` or `kill` was called no PostgreSQL is started any more, and `kill` resolves only when
 * every process of the one that was is gone.
 */
export class PostgresServer {
  readonly #options: PostgresServerOptions;
  readonly #programs: ServerPrograms;
  readonly #configuration: ServerConfiguration;
  /** Ends what keeps PostgreSQL up to date. */
  readonly #over = new AbortController();
  /** Aborted before that, when it is to end in order. */
  readonly #goesOn = new AbortController();
  #commitsShort: Promise<void> | undefined;
  #isEnding = false;
  #postgres: RunningPostgres | undefined;
  /** The last, also of the time before PostgreSQL was started, or was a writer's. */
  #permit: Permit | undefined;
  #isReader = false;
  /** Where the writer is, as far as it is known, also of the time before PostgreSQL was started. */
  #writer: WriterAddress | undefined;
  /** Its sessions begin no transaction until then. */
  #pausedUntilMs = 0;
  /** What it asks of the volume, and whom it tells of itself: another's once a reader is promoted. */
  #volume: VolumeAccess | undefined;
  #events: DatabaseEvents | undefined;
  /** It ended by itself, or hangs: for whoever asks to be told only then. */
  #lost: ((events: DatabaseEvents) => void) | undefined;
  #shim: Promise<ShimAccess> | undefined;
  /** From the choice of PostgreSQL's settings until it takes connections with them. */
  #settingsInTrial: SettingsSet | undefined;

  constructor(options: PostgresServerOptions) {
    this.#options = options;
    this.#programs = options.programs;
    this.#configuration = new ServerConfiguration(options);
  }

  get pid(): number | undefined {
    return this.#postgres?.pid;
  }

  async answers(): Promise<boolean> {
    return (await this.#postgres?.ask(ANSWER_WITHIN_MS)) === 'open';
  }

  /** Has the data directory laid, with the configuration that was chosen, unless the start was given up meanwhile. */
  async lay(lay: (configuration: LaidConfiguration) => void, signal: AbortSignal): Promise<void> {
    const configuration = await this.#configuration.forDirectory();
    const set = await this.#configuration.set();
    // The directory may be another session's by now.
    if (signal.aborted || this.#isEnding) return;
    this.#settingsInTrial = set;
    lay(configuration);
  }

  /** Resolves once it takes connections, or when it was ended meanwhile; rejects when it does not come up. */
  async start(start: ServerStart, volume: VolumeAccess, events: DatabaseEvents): Promise<void> {
    const { paths, freePort, listen, logger } = this.#options;
    this.#volume = volume;
    this.#events = events;
    this.#isReader = start.isStandby;
    const set = await this.#configuration.set();
    this.#shim = this.#programs.serveShim(paths, this.#presentVolume(), logger);
    const shim = await this.#shim;
    await freePort();
    // An end that came during the last steps has seen no PostgreSQL to end.
    if (this.#isEnding) return;
    events.onStep('postgres');
    const { startLsn, isStandby } = start;
    const postgres = this.#programs.startPostgres({
      postgres: paths.installation.postgres,
      dataDir: paths.dataDir,
      socketDir: paths.runDir,
      clientSocketDir: paths.clientSocketDir,
      listen,
      account: paths.account,
      imageResourceManagers: RMGRS_NEEDING_IMAGES,
      shim: {
        library: shim.library,
        socketPath: paths.shimSocket,
        token: shim.token,
        startLsn,
        isStandby,
        boundsCache: true,
        holdsReplies: true,
        writerPort: this.#options.writerPort,
      },
      logger: logger.child({ part: 'postgres' }),
      overrides: start.overrides?.(set.parameters) ?? {},
    });
    this.#postgres = postgres;
    this.#passPermitOn();
    if (this.#writer !== undefined) postgres.writerIs(this.#writer);
    void postgres.exited.then((exit) => this.#exited(postgres, exit));
    await postgres.ready;
    if (this.#isEnding) return;
    void this.#watchForHang(postgres);
    this.#settingsInTrial = undefined;
    this.#options.settings.started(set);
    await this.#configuration.admit(this.#reloadTarget, start.initialSettings);
    await start.onReady?.({ dir: paths.runDir, port: listen.port }, this.#over.signal);
    this.#keep(start);
    if (!this.#isReader) {
      this.#helpReaders(0);
      this.#keepCommitsShort(postgres);
    }
    // Only now: a hundred thousand files take seconds to delete, and a start should not share the disk with that.
    this.#discardOld();
  }

  /** Of a writer: replies to clients may leave until then. */
  permit(permit: Permit): void {
    this.#permit = permit;
    this.#passPermitOn();
  }

  /** Of a reader, whose replies need none. */
  #passPermitOn(): void {
    if (this.#permit !== undefined && !this.#isReader) this.#postgres?.permit(this.#permit, this.#options.clock);
  }

  /** From now on it tells these of itself; also, at once, of an end that came before. */
  tell(events: DatabaseEvents): void {
    this.#events = events;
    this.#lost?.(events);
  }

  #isLost(lost: (events: DatabaseEvents) => void): void {
    this.#lost = lost;
    if (this.#events !== undefined) lost(this.#events);
  }

  /** Of a reader: clients that want the writer are passed on to there. */
  writerIs(address: WriterAddress): void {
    this.#writer = address;
    this.#postgres?.writerIs(address);
  }

  /** Of a reader: replay waits for no query any more that it is in the way of. */
  hastenReplay(): void {
    this.#postgres?.hastenReplay();
  }

  /**
   * Makes the writer of a reader's PostgreSQL, which asks `volume` from here on. Resolves once it takes writes, or when it was
   * ended meanwhile.
   */
  async promote({ startLsn, onReady }: ServerPromotion, volume: VolumeAccess): Promise<void> {
    const { paths, listen, clock } = this.#options;
    const postgres = this.#postgres;
    if (postgres === undefined || this.#isEnding) return;
    // Before it is told: its first flush is a writer's.
    this.#volume = volume;
    this.#isReader = false;
    postgres.promote(startLsn);
    this.#passPermitOn();
    await recoveryEnds(paths.dataDir, clock, this.#over.signal);
    if (this.#isEnding) return;
    await onReady({ dir: paths.runDir, port: listen.port }, this.#over.signal);
    this.#helpReaders(WARM_AFTER_PROMOTION_MS);
    this.#keepCommitsShort(postgres);
  }

  #presentVolume(): VolumeAccess {
    const present = (): VolumeAccess => {
      if (this.#volume === undefined) throw new Error('PostgreSQL asks for a volume before it was started');
      return this.#volume;
    };
    return {
      wrote: (writtenLsn) => present().wrote(writtenLsn),
      flush: (writtenLsn) => present().flush(writtenLsn),
      get flushes() {
        return present().flushes;
      },
      readPages: (request, signal) => present().readPages(request, signal),
      pagesAlong: (request) => present().pagesAlong(request),
      expectPages: (request) => present().expectPages(request),
      runningLsn: () => present().runningLsn(),
      standbyXmins: () => present().standbyXmins(),
    };
  }

  /** See Database. */
  async drain(withinMs: number): Promise<DrainOutcome> {
    const { paths, listen, clock, logger } = this.#options;
    const postgres = this.#postgres;
    if (postgres === undefined || this.#isEnding) return { waitedMs: 0 };
    const pause = (untilMs: number): void => {
      this.#pausedUntilMs = untilMs;
      postgres.pauseUntil(untilMs, clock);
    };
    const access = postgresTransactions({ dir: paths.runDir, port: listen.port });
    return drainSessions({ pause, access, withinMs, clock, logger }, this.#over.signal);
  }

  async shutDown(): Promise<void> {
    this.#isEnding = true;
    // PostgreSQL ends when its standbys have, and the last of its WAL is waited for in the flush.
    this.#goesOn.abort();
    if (this.#commitsShort !== undefined) await Promise.race([this.#commitsShort, this.#options.clock.sleep(COMMITS_WITHIN_MS)]);
    await this.#postgres?.stop('fast');
  }

  async kill(): Promise<void> {
    const { settings, clock } = this.#options;
    this.#isEnding = true;
    this.#goesOn.abort();
    this.#over.abort();
    settings.stopped();
    if (this.#pausedUntilMs > clock.now()) await this.#sayGoodbye();
    // A shim that could not be served has failed the start.
    const shim = await this.#shim?.catch(() => undefined);
    const told = (await shim?.refuse()) ?? 0;
    // A backend that was told passes it on to its client; the postmaster ends by itself then.
    if (told > 0 && this.#postgres !== undefined) await Promise.race([this.#postgres.exited, clock.sleep(LAST_WORDS_MS)]);
    await this.#postgres?.kill();
    // Not before: a backend that finds nobody to ask would tell its client that, and not what has happened.
    await shim?.close();
    // A start that failed, perhaps for want of room, must not leave it either.
    this.#discardOld();
  }

  /** Its place was taken on purpose: PostgreSQL itself tells each of its clients that their session is over (57P01), and rolls back what is left. */
  async #sayGoodbye(): Promise<void> {
    const ended = this.#postgres?.stop('fast');
    await Promise.race([ended, this.#options.clock.sleep(LAST_WORDS_MS)]);
  }

  /** Changed settings, certificates and rules of who may log in reach PostgreSQL for as long as it runs. */
  #keep({ initialSettings }: ServerStart): void {
    const onRestartWanted = (why: string): void => this.#events?.onRestartWanted(why);
    this.#configuration.keep(this.#reloadTarget, initialSettings, onRestartWanted, this.#over.signal);
  }

  get #reloadTarget(): ReloadTarget {
    const { paths, listen, clock } = this.#options;
    return { dataDir: paths.dataDir, account: paths.account, socket: { dir: paths.runDir, port: listen.port }, clock };
  }

  /** Of a writer, for as long as it runs: readers' queries find what they may see, and the next writer hears what is local here. */
  #helpReaders(waitMs: number): void {
    const { paths, listen, clock, logger } = this.#options;
    const xmins = (): StandbyXmins => this.#volume?.standbyXmins() ?? NO_XMINS;
    const socket = { dir: paths.runDir, port: listen.port };
    void holdVacuum({ socket, xmins, clock, logger }, this.#over.signal);
    void tellHotPages({ socket, toWhom: this.#options.toldHotPages, waitMs, clock, logger }, this.#over.signal);
  }

  /** Of a writer: its commits do not wait for one another where the quorum is far. */
  #keepCommitsShort(postgres: RunningPostgres): void {
    const { paths, listen, clock, logger } = this.#options;
    const flushes = this.#volume?.flushes;
    if (flushes === undefined) throw new Error('a writer has no say in when its flushes return');
    const socket = { dir: paths.runDir, port: listen.port };
    this.#commitsShort = keepCommitsShort({ socket, flushes, server: postgres, coreWait: coreWait(), clock, logger }, this.#goesOn.signal);
  }

  /** A postmaster that hangs ends by nobody else's hand: without this its database would be away for good. */
  async #watchForHang(postgres: RunningPostgres): Promise<void> {
    const { clock, logger } = this.#options;
    const { signal } = this.#over;
    if (await watchForHang({ greets: (withinMs) => postgres.greets(withinMs), clock, logger, signal }))
      this.#isLost(({ onHung }) => onHung('PostgreSQL hung: it said nothing to new connections for a minute, and was killed'));
  }

  #exited(postgres: RunningPostgres, { code, signal }: PostgresExit): void {
    if (this.#isEnding) return;
    const fatal = postgres.lastFatal();
    const message = `PostgreSQL ended with ${signal ?? `code ${code}`}${fatal === undefined ? '' : `: ${fatal}`}`;
    // It never answered: the settings it started with may be why.
    const set = this.#settingsInTrial;
    const givesWay = set !== undefined && this.#options.settings.failed(set, postgres.recentLog());
    this.#isLost(({ onExited }) => onExited(givesWay ? 'settingsRefused' : 'postgresFailed', message));
  }

  /** In the background. */
  #discardOld(): void {
    this.#programs
      .discardOld(this.#options.paths.dataDir)
      .catch((error: unknown) => this.#options.logger.warn({ err: error }, 'the old data directory could not be deleted'));
  }
}
