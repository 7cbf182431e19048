/**
 * Test fixture: a hot standby, as a reader starts it, on the volume of a {@link FixtureAgent} that applies redo. What
 * it asks for is given exactly as of the LSN that it names.
 */
import { chownSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { createLogger, type Logger } from '@kube-aurora/process';
import { decodeVolumeState, encodePageKey, SLRU_FORK, SLRU_KINDS, SLRU_NAMES, type VolumeState } from '@kube-aurora/redo';
import { systemClock } from '@kube-aurora/clock';
import { Client } from 'pg';
import { type CacheCounters, readCacheFile } from '../postgres/cache-file.ts';
import { installShim, type FixtureVolume } from '../postgres/fixture-agent.ts';
import type { FixtureRedoVolume } from '../postgres/fixture-redo-volume.ts';
import { checkParameters, type ParameterValue } from '../postgres/parameters.ts';
import { type ReadPagesRequest, ShimServer } from '../postgres/shim-server.ts';
import { recoveryEnds } from '../postgres/recovery-end.ts';
import { LOCAL_PORT, type RunningPostgres, startPostgres } from '../postgres/supervise.ts';
import { layPair } from '../tls/fixture-pki.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import { layStandbyDirectory } from './lay-standby-directory.ts';
import { makePrivateChain } from './private-chain.ts';
import { standbySettings } from './standby-settings.ts';
import { Walsender, type StandbyReply } from './walsender.ts';

const logger: Logger = createLogger('fixture', { level: process.env['LOG_LEVEL'] ?? 'silent' });
/** In the name of the socket that its WAL comes from. */
const STREAM_PORT = 5433;
const CACHE_BYTES = 1 << 30;

export class FixtureStandby {
  readonly dir: string;
  readonly reads: ReadPagesRequest[] = [];
  readonly errors: Error[] = [];
  /** Reads at an LSN that was not durable yet. */
  readonly readsAhead: ReadPagesRequest[] = [];
  /** X: what it starts from. */
  readonly state: VolumeState;
  readonly #volume: FixtureVolume;
  readonly #redo: FixtureRedoVolume;
  readonly #server: ShimServer;
  readonly #walsender: Walsender;
  #isPromoted = false;
  /** Of the volume's redo, how much was given to the standby. */
  #given: number;
  readonly replies: StandbyReply[] = [];
  /** Set before the start: where it listens beside its local socket, and a second port there. */
  listenHost: string | undefined;
  writerPort: number | undefined;
  /** Set before the start: what it shows clients from the network. */
  pair: KeyPair | undefined;
  #postgres: RunningPostgres | undefined;

  /** On the volume as it is now. */
  constructor(volume: FixtureVolume, redo: FixtureRedoVolume) {
    this.#volume = volume;
    this.#redo = redo;
    this.state = decodeVolumeState(redo.encodedState());
    this.dir = mkdtempSync(join(volume.dir, 'read-'));
    if (volume.account !== undefined) chownSync(this.dir, volume.account.uid, volume.account.gid);
    this.#server = new ShimServer(
      join(this.dir, 'agent.sock'),
      {
        wrote: () => {
          if (!this.#isPromoted) this.errors.push(new Error('a reader said that it has written WAL'));
        },
        flush: ({ writtenLsn }) => {
          if (!this.#isPromoted) return Promise.reject(new Error('a reader wants its WAL to be durable'));
          return Promise.resolve({ kind: 'durable', durableLsn: redo.flush(writtenLsn) });
        },
        readPages: (request) => Promise.resolve([this.#read(request)]),
        pagesAlong: () => undefined,
        expectPages: () => undefined,
        runningLsn: () => (this.#isPromoted ? redo.runningLsn : 0n),
      },
      { owner: volume.account, onError: (error) => this.errors.push(error) },
    );
    this.#given = redo.redo.length;
    this.#walsender = new Walsender({
      socketPath: join(this.dir, `.s.PGSQL.${STREAM_PORT}`),
      owner: volume.account,
      systemIdentifier: this.state.control.systemIdentifier,
      timeline: 1,
      startLsn: this.state.endLsn,
      clock: systemClock(),
      logger,
      onReply: (reply) => void this.replies.push(reply),
      onWantsMore: () => undefined,
    });
  }

  get dataDir(): string {
    return join(this.dir, 'pgdata');
  }

  get postgres(): RunningPostgres {
    if (this.#postgres === undefined) throw new Error('the standby has not been started');
    return this.#postgres;
  }

  /** What the shim counted. */
  get cache(): CacheCounters | undefined {
    return readCacheFile(this.dataDir);
  }

  /** Resolves when it answers queries as of X. */
  async start(parameters: Readonly<Record<string, ParameterValue>> = {}, cacheBytes = CACHE_BYTES): Promise<this> {
    const { account, installation } = this.#volume;
    const chain = makePrivateChain(this.state, 1_800_000_000_000);
    const own = checkParameters({ max_connections: 30, ...parameters });
    const tls = this.pair === undefined ? [] : Object.entries(layPair(this.pair, this.dir, account));
    layStandbyDirectory(
      { image: { state: this.state, slruPages: this.#slruPages() }, chain },
      { dataDir: this.dataDir, account, parameters: new Map([...own, ...tls]), hba: undefined, cacheBytes },
    );
    await this.#server.listen();
    const shim = {
      library: installShim(this.dir),
      socketPath: this.#server.socketPath,
      token: this.#server.token,
      startLsn: chain.endLsn,
      isStandby: true,
      boundsCache: true,
      holdsReplies: true,
      writerPort: this.writerPort,
    };
    this.#postgres = startPostgres({
      postgres: installation.postgres,
      dataDir: this.dataDir,
      socketDir: this.dir,
      listen: this.listenHost === undefined ? undefined : { host: this.listenHost, port: LOCAL_PORT },
      account,
      imageResourceManagers: [],
      shim,
      logger,
      overrides: standbySettings(this.state.control, { dir: this.dir, port: STREAM_PORT, applicationName: 'fixture' }, own),
    });
    await this.#postgres.ready;
    return this;
  }

  /** From now on the standby gets what the writer makes durable. */
  async follow(): Promise<void> {
    await this.#walsender.listen();
    const give = (): void => {
      for (; this.#given < this.#redo.redo.length; this.#given++) {
        const redo = this.#redo.redo[this.#given];
        if (redo !== undefined) this.#walsender.push(redo);
      }
    };
    this.#redo.onRedo = give;
    give();
  }

  /** Waits until it has replayed what is durable now. */
  async caughtUp(): Promise<void> {
    const to = this.#redo.position;
    const applied = (): bigint => this.replies.at(-1)?.applyLsn ?? 0n;
    // As long as it comes on it may take its time.
    let last = applied();
    for (let until = Date.now() + 30_000; applied() < to;) {
      if (applied() > last) until = Date.now() + 30_000;
      last = applied();
      if (Date.now() > until) throw new Error(`the standby replayed up to ${last}, not ${to}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** It becomes the writer, in place of one that is dead and whose every change it has replayed. */
  async promote(): Promise<void> {
    await this.caughtUp();
    this.#redo.onRedo = undefined;
    this.#redo.goesOnIn(join(this.dataDir, 'pg_wal'), 2);
    this.#isPromoted = true;
    this.postgres.promote(this.#redo.position);
    await recoveryEnds(this.dataDir, systemClock(), AbortSignal.timeout(30_000));
  }

  async connect(database = 'app'): Promise<Client> {
    const client = new Client({ host: this.dir, port: LOCAL_PORT, user: 'postgres', database });
    client.on('error', () => undefined);
    await client.connect();
    return client;
  }

  async stop(): Promise<void> {
    await this.#postgres?.kill();
    this.#redo.onRedo = undefined;
    await this.#walsender.close();
    await this.#server.close();
  }

  #slruPages(): Map<string, Buffer> {
    const pages = new Map<string, Buffer>();
    for (const slru of SLRU_NAMES) {
      for (const block of this.state.slrus[slru].pages()) {
        const page = { spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK, block };
        pages.set(encodePageKey(page).toString('hex'), Buffer.from(this.#redo.page(page, this.state.endLsn) ?? Buffer.alloc(8192)));
      }
    }
    return pages;
  }

  #read(request: ReadPagesRequest): Buffer {
    this.reads.push(request);
    if (request.lsn > this.#redo.position) this.readsAhead.push(request);
    return this.#redo.read(request);
  }
}
