import { chmod, copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import { DB_STATE, INVALID_LSN, encodePgControl, formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { RMGRS_NEEDING_IMAGES, SLRU_KINDS, SLRU_NAMES, decodePageKey, type VolumeState } from '@kube-aurora/redo';
import type { FailureReason } from './agent-state.ts';
import type { AgentConfig } from './config.ts';
import type { AgentMetrics } from './metrics.ts';
import { fetchComputeImage } from './open/compute-image.ts';
import { makeFirstBatch, type FirstBatch } from './open/first-batch.ts';
import { findLeftovers } from './open/dropped-leftovers.ts';
import type { OpenedVolume } from './open/open-volume.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import { SINGLE_GROUP } from './placement.ts';
import type { PostgresPlace } from './postgres-place.ts';
import { buildDataDirectory, discardOld, type SlruPage } from './postgres/data-directory.ts';
import type { RolePasswords } from './postgres/role-passwords.ts';
import { configurationFile } from './postgres/parameters.ts';
import { ShimServer } from './postgres/shim-server.ts';
import { watchForHang } from './postgres/hang-watch.ts';
import { startPostgres, type PostgresExit, type RunningPostgres } from './postgres/supervise.ts';
import { PageReader } from './read-path/page-reader.ts';
import type { VolumeView } from './read-path/volume-view.ts';
import type { SegmentEndpoint, WriterIdentity } from './segments.ts';
import type { PostgresSettings } from './settings/postgres-settings.ts';
import { ignoredSettings, reloadSettings } from './settings/reload-settings.ts';
import type { SettingsSet } from './settings/settings-files.ts';
import { LocalWal } from './write-path/local-wal.ts';
import { WritePath } from './write-path/write-path.ts';

/** A PostgreSQL that says nothing to a new connection for this long is not ready; the kubelet's probe waits for 2 s. */
const ANSWER_WITHIN_MS = 1000;
/** A backend that hears in its commit that the epoch is over has this long to tell its client before PostgreSQL is killed. */
const LAST_WORDS_MS = 250;
/** After this an ordered restart becomes one without a shutdown checkpoint: nothing acknowledged is lost by it. */
const RESTART_WITHIN_MS = 60_000;

/** Why an epoch of ours ended. */
export type SessionEnd =
  | { readonly kind: 'fenced'; readonly message: string }
  | { readonly kind: 'stopped' }
  /** In order, to be started again with other settings. */
  | { readonly kind: 'restarting'; readonly why: string }
  | { readonly kind: 'failed'; readonly reason: FailureReason; readonly message: string };

export interface SessionOptions {
  readonly config: AgentConfig;
  readonly place: PostgresPlace;
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly opened: OpenedVolume;
  /** Told as each step of the opening begins. */
  readonly onStep: (step: OpeningStep) => void;
  readonly settings: PostgresSettings;
  readonly passwords: RolePasswords;
  readonly metrics: AgentMetrics;
  /** Gives PostgreSQL its port, which somebody else answers until then. */
  readonly freePort: () => Promise<void>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One epoch of ours, from an opened volume to the end of its PostgreSQL.
 *
 * Order that safety rests on: the epoch's first batch (which makes the open final) is durable on four segments before
 * PostgreSQL starts, and PostgreSQL is dead before the write path forgets a flush as anything but failed.
 */
export class WriterSession {
  readonly writePath: WritePath;
  readonly pageReader: PageReader;
  /** Settles once, when this epoch is over; PostgreSQL is dead by then. */
  readonly ended: Promise<SessionEnd>;
  readonly #options: SessionOptions;
  readonly #end: (end: SessionEnd) => void;
  readonly #cancel = new AbortController();
  #ending: Promise<void> | undefined;
  #postgres: RunningPostgres | undefined;
  #shim: ShimServer | undefined;
  #wal: LocalWal | undefined;
  /** From the choice of PostgreSQL's settings until it takes connections with them. */
  #settingsInTrial: SettingsSet | undefined;
  #ready = false;
  #asking: Promise<boolean> | undefined;
  #stopping = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.ended = promise;
    this.#end = resolve;
    const { segments, identity, opened, config, metrics, clock, logger } = options;
    const onFenced = (message: string): void => void this.#finish({ kind: 'fenced', message });
    this.writePath = new WritePath({
      segments,
      identity,
      epoch: opened.epoch,
      history: opened.history,
      startLsn: opened.startLsn,
      previousEpoch: opened.previousEpoch,
      ringBytesMax: config.ringBytesMax,
      placement: SINGLE_GROUP,
      oldestRead: () => this.pageReader.oldestRead(),
      onFenced,
      onDamagedWal: (error) => {
        logger.error({ err: error }, 'local WAL is not what PostgreSQL said it wrote; opening the volume anew');
        void this.#finish({ kind: 'failed', reason: 'damagedWal', message: error.message });
      },
      onFlushed: (seconds) => metrics.flushSeconds.observe(seconds),
      clock,
      logger,
    });
    this.pageReader = new PageReader({
      segments,
      identity,
      epoch: opened.epoch,
      zone: config.zone,
      volume: this.writePath,
      placement: SINGLE_GROUP,
      onFenced,
      onRead: ({ seconds, pages, hedged }) => {
        metrics.pageReadSeconds.observe(seconds);
        metrics.pagesRead.inc(pages);
        if (hedged) metrics.pageReadsHedged.inc();
      },
      onError: (segment, code) => metrics.pageReadErrors.inc({ segment, code }),
      clock,
      logger,
    });
  }

  get volume(): VolumeView {
    return this.writePath;
  }
  get ready(): boolean {
    return this.#ready;
  }
  /** Does PostgreSQL take connections? Asks it, for at most a bounded time; whoever asks meanwhile shares the answer. */
  answers(): Promise<boolean> {
    if (!this.#ready || this.#postgres === undefined) return Promise.resolve(false);
    this.#asking ??= this.#postgres.ask(ANSWER_WITHIN_MS).then((answer) => {
      this.#asking = undefined;
      return answer === 'open' && this.#ready;
    });
    return this.#asking;
  }
  get postgresPid(): number | undefined {
    return this.#postgres?.pid;
  }

  /** Brings PostgreSQL up on the opened volume. Never rejects: failures end the session. */
  async start(): Promise<void> {
    try {
      await this.#start();
    } catch (error) {
      // A stop in the middle of the start breaks it, and sees to the rest itself.
      if (this.#stopping) return;
      if (!this.#cancel.signal.aborted) this.#options.logger.error({ err: error }, 'could not start on the opened volume');
      await this.#finish({ kind: 'failed', reason: 'postgresFailed', message: error instanceof Error ? error.message : String(error) });
    }
  }

  /** Fast shutdown: sessions end, the last WAL becomes durable, then everything closes. Waits for a quorum if it must. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#postgres !== undefined && this.#ending === undefined) await this.#postgres.stop('fast');
    await this.#finish({ kind: 'stopped' });
  }

  /** As `stop`, so that PostgreSQL is started again at once. Connections are refused meanwhile. */
  async restart(why: string): Promise<void> {
    if (this.#ending !== undefined || this.#stopping) return;
    this.#stopping = true;
    this.#ready = false;
    this.#options.logger.info({ why }, 'PostgreSQL restarts');
    const late = this.#options.clock.after(RESTART_WITHIN_MS, () => void this.#finish({ kind: 'restarting', why }));
    await this.#postgres?.stop('fast');
    late.cancel();
    await this.#finish({ kind: 'restarting', why });
  }

  /** Ends PostgreSQL at once, whatever waits. */
  kill(): Promise<void> {
    return this.#finish({ kind: 'stopped' });
  }

  async #start(): Promise<void> {
    const { config, place, segments, identity, opened, onStep, settings, passwords, clock, logger } = this.#options;
    const startedAt = clock.now();
    // A trial of new settings runs while storage is asked.
    const chosen = settings.choose();
    chosen.catch(() => undefined);
    const elapsedMs = (): number => Math.round(clock.now() - startedAt);
    // The streams' hellos tell the segments that X is durable, which lets them apply up to it.
    this.writePath.start();
    const sources = [...opened.upToDate].map((index) => segments[index]).filter((one) => one !== undefined);
    sources.sort((a, b) => Number(b.zone === config.zone) - Number(a.zone === config.zone));
    onStep('image');
    const { state, slruPages } = await fetchComputeImage({
      segments: sources,
      identity,
      epoch: opened.epoch,
      lsn: opened.startLsn,
      clock,
      logger,
      signal: this.#cancel.signal,
    });
    const imageMs = elapsedMs();
    onStep('directory');
    const leftovers = await findLeftovers({ state, slruPages }, (range) => this.pageReader.read(range, opened.startLsn), logger);
    const first = makeFirstBatch(state, slruPages, clock.wallTime(), leftovers);
    const durable = this.writePath.appendFirst(first.records);
    const set = await chosen;
    this.#settingsInTrial = set;
    buildDataDirectory({
      dir: place.dataDir,
      account: place.account,
      state,
      controlFile: controlFile(state, first),
      walPages: first.walPages,
      slruPages: slruPagesOf(slruPages),
      parameters: set.parameters,
      hba: config.pgHba,
    });
    const directoryMs = elapsedMs();
    onStep('firstBatch');
    if ((await durable).kind !== 'durable' || this.#cancel.signal.aborted) return;

    this.#wal = new LocalWal(join(place.dataDir, 'pg_wal'), first.checkpoint.timeline);
    this.writePath.follow(this.#wal, first.checkpointLsn, state.control.systemIdentifier);
    const shim = new ShimServer(
      place.shimSocket,
      {
        flush: ({ writtenLsn }) => this.writePath.flush(writtenLsn),
        readPages: (request, signal) => this.pageReader.read(request, request.lsn, signal),
      },
      {
        owner: place.account,
        onError: (error, request) => logger.warn({ err: error, operation: request?.operation }, 'a request of PostgreSQL failed'),
      },
    );
    this.#shim = shim;
    await shim.listen();
    const library = join(place.runDir, 'libaurora_shim.so');
    // Written anew and renamed: a PostgreSQL that is still ending may have the old one mapped.
    await copyFile(place.shimLibrary, `${library}.new`);
    await chmod(`${library}.new`, 0o755);
    await rename(`${library}.new`, library);
    await this.#options.freePort();
    // A stop or a fence that came during the last steps has seen no PostgreSQL to end.
    if (this.#ending !== undefined || this.#stopping) return;
    onStep('postgres');
    const postgres = startPostgres({
      postgres: place.installation.postgres,
      dataDir: place.dataDir,
      socketDir: place.runDir,
      listen: config.pgListen,
      account: place.account,
      imageResourceManagers: RMGRS_NEEDING_IMAGES,
      shim: { library, socketPath: place.shimSocket, token: shim.token, startLsn: first.endLsn },
      logger: logger.child({ part: 'postgres' }),
    });
    this.#postgres = postgres;
    void postgres.exited.then((exit) => this.#postgresExited(exit));
    const spawnedMs = elapsedMs();
    await postgres.ready;
    const answersMs = elapsedMs();
    onStep('roles');
    this.#settingsInTrial = undefined;
    settings.started(set);
    const socket = { dir: place.runDir, port: config.pgListen.port };
    await passwords.applyAll(socket);
    this.#ready = this.#ending === undefined;
    const { signal } = this.#cancel;
    const target = { dataDir: place.dataDir, account: place.account, socket, clock };
    void passwords.keep(socket, signal);
    void this.#endWhenHung(postgres, signal);
    void settings.keep(
      {
        reload: (parameters) => reloadSettings(target, configurationFile(parameters, state.settings)),
        ignored: (names) => ignoredSettings(socket, names),
        restart: (why) => void this.restart(why),
      },
      signal,
    );
    // Only now: a hundred thousand files take seconds to delete, and a start should not share the disk with that.
    this.#discardOld();
    logger.info(
      {
        epoch: opened.epoch,
        startLsn: formatLsn(opened.startLsn),
        pid: postgres.pid,
        imageMs,
        directoryMs,
        spawnedMs,
        answersMs,
        readyMs: elapsedMs(),
      },
      'PostgreSQL is up',
    );
  }

  /** In the background. */
  #discardOld(): void {
    discardOld(this.#options.place.dataDir).catch((error: unknown) =>
      this.#options.logger.warn({ err: error }, 'the old data directory could not be deleted'),
    );
  }

  /** A postmaster that hangs ends by nobody else's hand: without this its database would be away for good. */
  async #endWhenHung(postgres: RunningPostgres, signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    if (!(await watchForHang({ greets: (withinMs) => postgres.greets(withinMs), clock, logger, signal })) || this.#stopping) return;
    await this.#finish({
      kind: 'failed',
      reason: 'postgresFailed',
      message: 'PostgreSQL hung: it said nothing to new connections for a minute, and was killed',
    });
  }

  #postgresExited({ code, signal }: PostgresExit): void {
    if (this.#ending !== undefined || this.#stopping) return;
    const fatal = this.#postgres?.lastFatal();
    const message = `PostgreSQL ended with ${signal ?? `code ${code}`}${fatal === undefined ? '' : `: ${fatal}`}`;
    // It never answered: the settings it started with may be why.
    const set = this.#settingsInTrial;
    const givesWay = set !== undefined && this.#options.settings.failed(set, this.#postgres?.recentLog() ?? []);
    void this.#finish({ kind: 'failed', reason: givesWay ? 'settingsRefused' : 'postgresFailed', message });
  }

  #finish(end: SessionEnd): Promise<void> {
    this.#ending ??= this.#tearDown(end);
    return this.#ending;
  }

  async #tearDown(end: SessionEnd): Promise<void> {
    this.#ready = false;
    this.#cancel.abort();
    this.#options.settings.stopped();
    if (end.kind === 'fenced' || end.kind === 'failed')
      this.#options.logger.error(
        { epoch: this.#options.opened.epoch, reason: end.message },
        end.kind === 'fenced' ? 'another writer owns the volume' : 'PostgreSQL is lost',
      );
    // First, so that every flush that waits hears that it is over, and why: nothing is acknowledged from here on.
    this.writePath.stop();
    this.pageReader.stop();
    const told = (await this.#shim?.close()) ?? 0;
    // A backend that was told passes it on to its client; the postmaster ends by itself then.
    if (told > 0 && this.#postgres !== undefined) await Promise.race([this.#postgres.exited, this.#options.clock.sleep(LAST_WORDS_MS)]);
    await this.#postgres?.kill();
    this.#wal?.close();
    // A start that failed, perhaps for want of room, must not leave it either.
    this.#discardOld();
    this.#end(end);
  }
}

/** pg_control as a clean shutdown at the fabricated checkpoint would have left it. */
function controlFile(state: VolumeState, first: FirstBatch): Buffer {
  return encodePgControl({
    ...state.control,
    state: DB_STATE.SHUTDOWNED,
    time: first.checkpoint.time,
    checkPoint: first.checkpointLsn,
    checkPointCopy: first.checkpoint,
    minRecoveryPoint: INVALID_LSN,
    minRecoveryPointTimeline: 0,
    backupStartPoint: INVALID_LSN,
    backupEndPoint: INVALID_LSN,
    backupEndRequired: false,
  });
}

function* slruPagesOf(pages: ReadonlyMap<string, Buffer>): Generator<SlruPage> {
  for (const [key, bytes] of pages) {
    const { dbOid, block } = decodePageKey(Buffer.from(key, 'hex'));
    const slru = SLRU_NAMES.find((name) => SLRU_KINDS[name] === dbOid);
    if (slru !== undefined) yield { slru, page: block, bytes };
  }
}
