import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { lsn, type Lsn } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { describe, expect, it } from 'vitest';
import type { FlushOutcome } from '../flush-outcome.ts';
import { makeFirstBatch } from '../open/first-batch.ts';
import { fixtureState } from '../postgres/fixture-state.ts';
import type { RunningStandby } from '../reader/running-standby.ts';
import type { StreamOwner } from '../reader/standby-stream.ts';
import type { DatabaseEvents, StartPoint, VolumeAccess } from '../session/database.ts';
import type { ServerPromotion } from '../session/postgres-server.ts';
import type { ReplayView } from '../session/session.ts';
import { PromotedDatabase } from './promoted-database.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const VOLUME = {} as VolumeAccess;

/** A promotion on doubles that note what is asked of them. */
class Rig {
  readonly journal: string[] = [];
  readonly told: string[] = [];
  readonly start: StartPoint;
  readonly promoted = Promise.withResolvers<void>();
  readonly #reached = Promise.withResolvers<void>();
  readonly durable = Promise.withResolvers<FlushOutcome>();
  given: Lsn;
  replayed: Lsn;
  asked = 0;
  server: DatabaseEvents | undefined;
  owner: StreamOwner | undefined;
  promotion: ServerPromotion | undefined;
  readonly database: PromotedDatabase;
  readonly #over = new AbortController();

  constructor({ stepWithinMs = 10_000, standsStillMs = 10_000 } = {}) {
    const note = (what: string): void => void this.journal.push(what);
    const state = fixtureState();
    const X = state.endLsn;
    [this.given, this.replayed] = [X, X];
    const image = { state, slruPages: new Map<string, Buffer>() };
    this.start = { image, first: makeFirstBatch(state, image.slruPages, 0) };
    this.database = new PromotedDatabase({
      standby: {
        server: {
          tell: (events) => void (this.server = events),
          hastenReplay: () => note('replay hastened'),
          promote: (promotion, volume) => {
            note(`promoted at ${promotion.startLsn === this.end ? 'the first batch’s end' : 'elsewhere'}`);
            expect(volume).toBe(VOLUME);
            this.promotion = promotion;
            return this.promoted.promise;
          },
          permit: ({ untilMs }) => note(`permit ${untilMs}`),
          drain: (withinMs) => {
            note(`drain within ${withinMs}`);
            return Promise.resolve({ waitedMs: 0 });
          },
          answers: () => Promise.resolve(true),
          shutDown: () => Promise.resolve(note('shut down')),
          kill: () => Promise.resolve(note('killed')),
          pid: 4711,
        },
        stream: this.#stream({
          belongTo: (owner) => void (this.owner = owner),
          hasten: (to) =>
            note(`hastens to ${to === this.end ? 'the first batch’s end' : to === this.start.first.startLsn ? 'X' : 'elsewhere'}`),
          ask: () => void (this.asked += 1),
          reaches: () => this.#reached.promise,
          pages: {} as never,
          stop: (reads) => note(`stream stopped, reads ${reads}`),
          close: () => Promise.resolve(note('stream closed')),
        }),
      },
      dataDir: '/none',
      socket: { dir: '/none', port: 5432 },
      passwords: { applyAll: () => Promise.resolve(note('passwords')), keep: () => Promise.resolve() },
      directory: {
        missing: () => undefined,
        made: () => undefined,
        promoted: ({ epoch, lsn: from, timeline }) =>
          note(`epoch ${epoch} on timeline ${timeline} from ${from === this.end ? 'the first batch’s end' : 'elsewhere'}`),
      },
      epoch: 4n,
      clock: systemClock(),
      logger: silentLogger(),
      limits: { stepWithinMs, standsStillMs },
      freeReplay: () => Promise.resolve((note('replay freed'), 1)),
    });
  }

  /** How far it has come is what it is when it is asked. */
  #stream(rest: Omit<RunningStandby['stream'], 'givenLsn' | 'replay'>): RunningStandby['stream'] {
    const given = (): Lsn => this.given;
    const replay = (): ReplayView => ({ vdl: this.end, replayLsn: this.replayed, lagMs: 0, source: 's1' });
    return Object.defineProperties(
      { ...rest, givenLsn: this.given, replay: replay() },
      { givenLsn: { get: given }, replay: { get: replay } },
    );
  }

  /** X', where the first batch ends. */
  get end(): Lsn {
    return this.start.first.endLsn;
  }

  /** All of the volume was replayed. */
  replays(upTo: Lsn = this.end): void {
    [this.given, this.replayed] = [upTo, upTo];
    this.#reached.resolve();
  }

  prepare(): Promise<unknown> {
    return this.database.prepare(this.start, this.#over.signal, this.durable.promise);
  }

  begin(): Promise<void> {
    return this.database.start(this.start, VOLUME, {
      onStep: (step) => this.told.push(step),
      onExited: (reason, message) => this.told.push(`${reason}: ${message}`),
      onHung: (message) => this.told.push(message),
      onRestartWanted: (why) => this.told.push(`restart: ${why}`),
    });
  }

  async run(): Promise<void> {
    this.replays();
    await this.prepare();
    const started = this.begin();
    await this.promotion?.onReady({ dir: '/none', port: 5432 }, this.#over.signal);
    this.promoted.resolve();
    await started;
  }
}

describe('a reader’s PostgreSQL', () => {
  it('is promoted where the first batch ends, and nowhere else', async () => {
    const rig = new Rig();
    const prepared = rig.prepare();
    await turn();
    expect(rig.journal).toEqual(['replay hastened', 'hastens to X']);
    rig.durable.resolve({ kind: 'durable', durableLsn: rig.end });
    await turn();
    rig.replays();
    // PostgreSQL's own timeline is the next one; the volume's stays what it is.
    expect(await prepared).toMatchObject({ volumeTimeline: 1 });
    const started = rig.begin();
    expect(rig.journal.slice(2)).toEqual([
      'hastens to the first batch’s end',
      'stream stopped, reads goOn',
      'promoted at the first batch’s end',
    ]);
    await rig.promotion?.onReady({ dir: '/none', port: 5432 }, new AbortController().signal);
    rig.promoted.resolve();
    await started;
    expect(rig.journal.slice(5)).toEqual(['passwords', 'epoch 4 on timeline 2 from the first batch’s end', 'stream closed']);
    expect(rig.told).toEqual(['postgres', 'roles']);
    for (const past of [8n, -8n]) {
      const other = new Rig();
      other.replays(lsn(other.end + past));
      await other.prepare();
      await expect(other.begin()).rejects.toThrow('the standby was given redo up to');
      expect(other.journal).not.toContain('promoted at the first batch’s end');
    }
  });

  it('tells its session of itself once it is the writer, and of a restart that it wanted before', async () => {
    const rig = new Rig();
    rig.server?.onRestartWanted('max_connections changed');
    await rig.run();
    expect(rig.told.at(-1)).toBe('restart: max_connections changed');
    rig.server?.onExited('postgresFailed', 'it ended');
    rig.server?.onHung('it hung');
    expect(rig.told.slice(-2)).toEqual(['postgresFailed: it ended', 'it hung']);
    rig.owner?.onLost('nobody cares any more');
    expect(rig.told).toHaveLength(5);
  });

  it('passes permits on, and is killed with all that it lives on', async () => {
    const rig = new Rig();
    rig.database.permit({ askedAtMs: 1, untilMs: 2 });
    await rig.database.kill();
    expect(rig.journal).toEqual(['permit 2', 'stream stopped, reads end', 'killed', 'stream closed']);
  });

  it('has its replay freed when that stands still, and not while it goes on or has nothing to do', async () => {
    const rig = new Rig({ standsStillMs: 20 });
    const prepared = rig.prepare();
    while (rig.asked < 5) await delay(5);
    expect(rig.journal).not.toContain('replay freed');
    rig.given = rig.end;
    while (!rig.journal.includes('replay freed')) await delay(5);
    rig.replays();
    await prepared;
  });
});

describe('a promotion', () => {
  const failures: readonly [string, (rig: Rig) => void, string][] = [
    ['PostgreSQL ends', ({ server }) => server?.onExited('postgresFailed', 'it ended with SIGKILL'), 'it ended with SIGKILL'],
    ['PostgreSQL hangs', ({ server }) => server?.onHung('it hung'), 'it hung'],
    ['its redo does not come', ({ owner }) => owner?.onLost('the log begins later'), 'the log begins later'],
  ];
  it.each(failures)('ends when %s, before it began', async (_what, fail, message) => {
    const rig = new Rig();
    fail(rig);
    await expect(rig.prepare()).rejects.toThrow(message);
    expect(rig.told).toEqual([]);
  });
  it.each(failures)('ends when %s while it replays', async (_what, fail, message) => {
    const rig = new Rig();
    const prepared = rig.prepare();
    await turn();
    fail(rig);
    await expect(prepared).rejects.toThrow(message);
  });
  it.each(failures.slice(0, 2))('ends when %s while it is promoted', async (_what, fail, message) => {
    const rig = new Rig();
    rig.replays();
    await rig.prepare();
    const started = rig.begin();
    fail(rig);
    await expect(started).rejects.toThrow(message);
  });

  it('ends when either step of it takes too long', async () => {
    const rig = new Rig({ stepWithinMs: 30 });
    await expect(rig.prepare()).rejects.toThrow(/did not replay everything up to 0\/[0-9A-F]+ within 0.03 s/);
    const other = new Rig({ stepWithinMs: 30 });
    other.replays();
    await other.prepare();
    await expect(other.begin()).rejects.toThrow('did not take writes within 0.03 s');
  });
});
