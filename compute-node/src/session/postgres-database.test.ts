import { NO_XMINS } from '@kube-aurora/rpc';
import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { NO_RULES } from '../access/access-files.ts';
import type { FlushControl } from '../commit-wait/commit-wait.ts';
import { makeFirstBatch } from '../open/first-batch.ts';
import { NOTHING_CARRIED } from '../postgres/carry-over.ts';
import { fixtureState } from '../postgres/fixture-state.ts';
import { PostgresStartError, type PostgresExit, type RunningPostgres } from '../postgres/supervise.ts';
import { WrittenDirectory } from '../postgres/written-directory.ts';
import type { AdjustableServer } from '../settings/postgres-settings.ts';
import { NO_SETTINGS, type SettingsSet } from '../settings/settings-files.ts';
import type { StartPoint } from './database.ts';
import { HANDOVER_MS } from '../switchover/drain-sessions.ts';
import { PostgresDatabase } from './postgres-database.ts';

/** For ever where nobody ends it. */
function untilAborted(signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) resolve();
    else signal?.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Of which there were too few to say how far the quorum is. */
const NO_FLUSHES: FlushControl = {
  watch: () => undefined,
  returnFlushes: () => undefined,
  quickestFlushMs: undefined,
  timed: { flushes: 0, flushMs: 0 },
  promisedLsn: 0n,
  durable: () => Promise.resolve({ kind: 'stopped' }),
};

/** What the start waits for, in its order. Each is held until a test lets it go on, or fails it. */
const STEPS = ['settings', 'shim', 'port', 'ready', 'passwords'] as const;
type Step = (typeof STEPS)[number];

const SET: SettingsSet = { fingerprint: 'wanted', parameters: new Map([['work_mem', '8MB']]) };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** PostgreSQL on doubles for what touches the machine; they note what is asked of them. */
class Rig {
  readonly journal: string[] = [];
  readonly #held = new Map(STEPS.map((step) => [step, Promise.withResolvers<void>()]));
  readonly exited = Promise.withResolvers<PostgresExit>();
  /** What the session hears. */
  readonly told: string[] = [];
  /** Flushes that the shim has refused. */
  refused = 0;
  greets = true;
  server: AdjustableServer | undefined;
  readonly database: PostgresDatabase;
  readonly #start: StartPoint;
  readonly #over = new AbortController();

  constructor() {
    for (const { promise } of this.#held.values()) promise.catch(() => undefined);
    const state = fixtureState();
    const image = { state, slruPages: new Map<string, Buffer>() };
    this.#start = { image, first: makeFirstBatch(state, image.slruPages, 0) };
    this.database = new PostgresDatabase({
      paths: {
        installation: { postgres: '/pg/postgres' } as never,
        account: undefined,
        dataDir: '/none/pgdata',
        runDir: '/none/run',
        clientSocketDir: '/none/run/clients',
        shimSocket: '/none/run/agent.sock',
        shimLibrary: '/none/shim.so',
        scratchDir: '/none/new',
        trialDir: '/none/trial',
        writersFile: '/none/writers',
      },
      listen: { host: '127.0.0.1', port: 5432 },
      cacheBytes: 1 << 20,
      toldHotPages: () => Promise.resolve(undefined),
      settings: {
        choose: () => this.#step('settings').then(() => SET),
        started: (set) => void this.journal.push(`settings ${set.fingerprint} run`),
        failed: (set, log) => (this.journal.push(`settings ${set.fingerprint} failed: ${log.join()}`), set !== NO_SETTINGS),
        stopped: () => void this.journal.push('settings run no more'),
        keep: (server) => {
          this.server = server;
          return Promise.resolve();
        },
      },
      rules: {
        choose: () => Promise.resolve(NO_RULES),
        look: () => (this.journal.push('rules'), Promise.resolve()),
        keep: () => Promise.resolve(),
      },
      tls: { look: () => Promise.resolve(), keep: () => Promise.resolve(), settings: { ssl: 'on' }, pair: undefined },
      passwords: { applyAll: () => this.#step('passwords'), keep: () => Promise.resolve() },
      directory: new WrittenDirectory({ clock: systemClock(), logger: silentLogger() }),
      opened: { epoch: 8n, previousEpoch: 7n },
      freePort: () => this.#step('port'),
      clock: { ...systemClock(), sleep: (ms, signal) => (ms < 1000 || this.greets ? untilAborted(signal) : turn()) },
      logger: silentLogger(),
      programs: {
        layDataDirectory: (_start, { parameters }) => {
          this.journal.push(`directory ${[...parameters.keys()].join()}`);
          return NOTHING_CARRIED;
        },
        serveShim: () =>
          this.#step('shim').then(() => ({
            library: '/none/run/shim.so',
            token: 7n,
            refuse: () => (this.journal.push('shim refuses'), Promise.resolve(this.refused)),
            close: () => (this.journal.push('shim closed'), Promise.resolve()),
          })),
        startPostgres: ({ shim }) => {
          this.journal.push(`postgres from ${shim?.startLsn === this.#start.first.endLsn ? 'the first batch’s end' : 'elsewhere'}`);
          return this.#postgres();
        },
        discardOld: () => (this.journal.push('old one deleted'), Promise.resolve()),
      },
    });
  }

  #step(step: Step): Promise<void> {
    this.journal.push(step);
    return this.#held.get(step)?.promise ?? Promise.reject(new Error(step));
  }

  #postgres(): RunningPostgres {
    const { exited } = this;
    const dead = exited.promise.then(() => {
      throw new PostgresStartError('it ended', []);
    });
    const ready = Promise.race([this.#step('ready'), dead]);
    ready.catch(() => undefined);
    const end = (how: string): Promise<PostgresExit> => {
      this.journal.push(how);
      return exited.promise;
    };
    return {
      pid: 4711,
      ready,
      exited: exited.promise,
      ask: () => Promise.resolve('open'),
      writerIs: () => undefined,
      walIs: () => undefined,
      waitForStandby: () => undefined,
      greets: () => Promise.resolve(this.greets),
      recentLog: () => ['FATAL:  bad'],
      lastFatal: () => 'FATAL:  bad',
      permit: ({ untilMs }) => void this.journal.push(`permit ${untilMs}`),
      pauseUntil: () => void this.journal.push('pause'),
      hastenReplay: () => undefined,
      promote: () => undefined,
      stop: (mode) => end(`stop ${mode}`),
      kill: () => end('kill'),
    };
  }

  /** Goes through the start until it waits in `step`; undefined: until PostgreSQL runs. */
  async until(step: Step | undefined): Promise<{ outcome: string }> {
    const seen = { outcome: 'waits' };
    const run = async (): Promise<void> => {
      await this.database.prepare(this.#start, this.#over.signal);
      await this.database.start(
        this.#start,
        {
          wrote: () => undefined,
          flush: () => Promise.resolve({ kind: 'stopped' }),
          flushes: NO_FLUSHES,
          readPages: () => Promise.reject(new Error('not read')),
          pagesAlong: () => undefined,
          expectPages: () => undefined,
          runningLsn: () => 0n,
          standbyXmins: () => NO_XMINS,
        },
        {
          onStep: (one) => this.told.push(`step ${one}`),
          onExited: (reason, message) => this.told.push(`${reason}: ${message}`),
          onHung: () => this.told.push('hung'),
          onRestartWanted: (why) => this.told.push(`restart: ${why}`),
        },
      );
    };
    run().then(
      () => (seen.outcome = 'returned'),
      (error: unknown) => (seen.outcome = String(error)),
    );
    for (const one of STEPS) {
      await turn();
      if (one === step) break;
      this.pass(one);
    }
    await turn();
    return seen;
  }

  pass(step: Step): void {
    this.#held.get(step)?.resolve();
  }

  fail(step: Step): void {
    this.#held.get(step)?.reject(new Error(`${step} failed`));
  }

  get isRunning(): boolean {
    return this.journal.some((what) => what.startsWith('postgres'));
  }
}

describe('the end of a PostgreSQL whose place was taken on purpose', () => {
  it('is told to its clients by itself, before anything is taken from it, and is not waited for', async () => {
    const rig = new Rig();
    await rig.until(undefined);
    void rig.database.drain(0);
    await expect.poll(() => rig.journal).toContain('pause');
    rig.journal.length = 0;
    const killed = rig.database.kill();
    rig.exited.resolve({ code: 0, signal: null });
    await killed;
    expect(rig.journal.slice(0, 4)).toEqual(['settings run no more', 'stop fast', 'shim refuses', 'kill']);
  });

  it('is an end like any other once sessions go on again', async () => {
    const rig = new Rig();
    await rig.until(undefined);
    void rig.database.drain(-HANDOVER_MS);
    await expect.poll(() => rig.journal).toContain('pause');
    rig.journal.length = 0;
    rig.exited.resolve({ code: 0, signal: null });
    await rig.database.kill();
    expect(rig.journal).not.toContain('stop fast');
  });
});

describe('the start of PostgreSQL', () => {
  it('is settings, data directory, shim, port, postgres, roles; the old directory is deleted after that', async () => {
    const rig = new Rig();
    const seen = await rig.until(undefined);
    expect(seen.outcome).toBe('returned');
    expect(rig.journal).toEqual([
      'settings',
      'directory work_mem,ssl',
      'shim',
      'port',
      'postgres from the first batch’s end',
      'ready',
      'settings wanted run',
      'rules',
      'passwords',
      'old one deleted',
    ]);
    expect(rig.told).toEqual(['step postgres', 'step roles']);
    expect(rig.database.pid).toBe(4711);
    expect(await rig.database.answers()).toBe(true);
  });

  it.each(['settings', 'shim', 'port'] as const)('starts none once it was ended while it waited for: %s', async (step) => {
    for (const how of ['shutDown', 'kill'] as const) {
      const rig = new Rig();
      await rig.until(step);
      const ended = rig.database[how]();
      for (const late of STEPS) rig.pass(late);
      await ended;
      await turn();
      expect(rig.isRunning).toBe(false);
      expect(rig.told).toEqual([]);
    }
  });

  it('leaves the directory alone that may be another session’s, when it was ended before it was chosen what to write', async () => {
    const rig = new Rig();
    await rig.until('settings');
    await rig.database.kill();
    rig.pass('settings');
    await turn();
    expect(rig.journal).not.toContain('directory work_mem');
  });

  it('fails when its shim cannot be served, and can be ended then', async () => {
    const rig = new Rig();
    const seen = await rig.until('shim');
    rig.fail('shim');
    await turn();
    expect(seen.outcome).toContain('shim failed');
    await rig.database.kill();
    expect(rig.isRunning).toBe(false);
    expect(rig.journal.at(-1)).toBe('old one deleted');
  });

  it('says that settings are refused when PostgreSQL ends before it answers with new ones', async () => {
    const rig = new Rig();
    const seen = await rig.until('ready');
    rig.exited.resolve({ code: 1, signal: null });
    await turn();
    expect(seen.outcome).toContain('did not start');
    expect(rig.told).toEqual(['step postgres', 'settingsRefused: PostgreSQL ended with code 1: FATAL:  bad']);
  });

  it('does not blame settings that PostgreSQL took connections with', async () => {
    const rig = new Rig();
    await rig.until(undefined);
    rig.exited.resolve({ code: null, signal: 'SIGKILL' });
    await turn();
    expect(rig.told.at(-1)).toBe('postgresFailed: PostgreSQL ended with SIGKILL: FATAL:  bad');
  });
});

describe('a PostgreSQL that runs', () => {
  it('passes on that settings want a restart', async () => {
    const rig = new Rig();
    await rig.until(undefined);
    rig.server?.restart('shared_buffers');
    expect(rig.told.at(-1)).toBe('restart: shared_buffers');
  });

  it('is told of when it hangs, also before its roles have their passwords', async () => {
    const rig = new Rig();
    rig.greets = false;
    await rig.until('passwords');
    await expect.poll(() => rig.told.at(-1)).toBe('hung');
  });
});

describe('the end of PostgreSQL', () => {
  it('is over only when it is dead: it is refused all, then killed, and answered by the shim until then', async () => {
    const rig = new Rig();
    await rig.until(undefined);
    rig.journal.length = 0;
    let isOver = false;
    const killed = rig.database.kill().then(() => (isOver = true));
    await turn();
    expect(rig.journal).toEqual(['settings run no more', 'shim refuses', 'kill']);
    expect(isOver).toBe(false);
    rig.exited.resolve({ code: null, signal: 'SIGQUIT' });
    await killed;
    expect(rig.journal.slice(-2)).toEqual(['shim closed', 'old one deleted']);
    // Its end was wanted: nobody is told that it ended by itself.
    expect(rig.told).toEqual(['step postgres', 'step roles']);
  });

  it('leaves backends that were told why a moment to tell their clients', async () => {
    const rig = new Rig();
    rig.refused = 1;
    await rig.until(undefined);
    const killed = rig.database.kill();
    await turn();
    expect(rig.journal).not.toContain('kill');
    rig.exited.resolve({ code: 0, signal: null });
    await killed;
    expect(rig.journal).toContain('kill');
  });

  it('in order is PostgreSQL’s fast shutdown, of one that does not run nothing', async () => {
    const rig = new Rig();
    await new Rig().database.shutDown();
    await rig.until(undefined);
    const down = rig.database.shutDown();
    rig.exited.resolve({ code: 0, signal: null });
    await down;
    expect(rig.journal.at(-1)).toBe('stop fast');
  });

  it('in the middle of its start is no failure of the start, and no settings are said to run', async () => {
    const rig = new Rig();
    await rig.until('ready');
    const killed = rig.database.kill();
    rig.pass('ready');
    rig.exited.resolve({ code: null, signal: 'SIGQUIT' });
    await killed;
    await turn();
    expect(rig.journal).not.toContain('settings wanted run');
    expect(rig.told).toEqual(['step postgres']);
  });
});
