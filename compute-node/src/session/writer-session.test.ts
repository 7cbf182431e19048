import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { AuroraRpcError, NO_XMINS } from '@kube-aurora/rpc';
import type { FlushOutcome } from '../flush-outcome.ts';
import type { ComputeImage } from '../open/fetch-image.ts';
import { fixtureState } from '../postgres/fixture-state.ts';
import type { WalSource } from '../write-path/wal-reader.ts';
import type { Database, DatabaseEvents } from './database.ts';
import type { SessionEnd } from './session.ts';
import type { CommonEventKind, SessionState } from './session-outcome.ts';
import { SESSION_TABLE, type WriterEventKind } from './session-table.ts';
import type { VolumeDriver, VolumeDriverEvents } from './volume-driver.ts';
import { WriterSession } from './writer-session.ts';

/** What a session waits for, in the order in which it does. Each is held until a test lets it go on, or fails it. */
const STEPS = ['image', 'prepare', 'firstBatch', 'start', 'lease', 'shutDown', 'kill'] as const;
type Step = (typeof STEPS)[number];

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A session on doubles at its seams, which note what is asked of them and answer when the test says so. */
class Rig {
  readonly journal: string[] = [];
  readonly #held = new Map<Step, PromiseWithResolvers<unknown>>(STEPS.map((step) => [step, Promise.withResolvers()]));
  readonly #timers = new Set<() => void>();
  driverEvents: VolumeDriverEvents | undefined;
  databaseEvents: DatabaseEvents | undefined;
  end: SessionEnd | undefined;
  /** When storage has heard that the lease is given back. */
  heardOfGiveBack: Promise<void> = Promise.resolve();
  readonly session: WriterSession;

  constructor() {
    for (const { promise } of this.#held.values()) promise.catch(() => undefined);
    this.session = new WriterSession({
      opened: { kind: 'opened', epoch: 2n, history: [], startLsn: 100n, previousEpoch: 1n, upToDate: [0, 1, 2, 3] },
      driver: (events) => {
        this.driverEvents = events;
        return this.#driver();
      },
      fetchImage: async () => (await this.#step('image')) as ComputeImage,
      database: this.#database(),
      onStep: (step) => this.journal.push(`step ${step}`),
      clock: {
        ...systemClock(),
        after: (_ms, work) => {
          this.#timers.add(work);
          return { cancel: () => void this.#timers.delete(work) };
        },
      },
      logger: silentLogger(),
    });
    void this.session.ended.then((end) => {
      this.journal.push('ended');
      this.end = end;
    });
  }

  #step(step: Step): Promise<unknown> {
    this.journal.push(step);
    return this.#held.get(step)?.promise ?? Promise.reject(new Error(step));
  }

  #driver(): VolumeDriver {
    const outcome = this.#held.get('firstBatch') as PromiseWithResolvers<FlushOutcome>;
    return {
      writePath: {
        vdl: 0n,
        readFloor: 0n,
        scl: () => 0n,
        sentLsn: 0n,
        oldestFlushMs: 0,
        ringBytes: 0,
        waitingFlushes: 0,
        flushesReturn: 'durable',
        segment: () => ({ phase: 'streaming', scl: 0n, errors: 0, lastError: '', isUnwritable: false, inFlightBytes: 0 }),
        start: () => void this.journal.push('streams'),
        stop: () => {
          this.journal.push('refuse');
          outcome.resolve({ kind: 'stopped' });
        },
        appendFirst: () => this.#step('firstBatch') as Promise<FlushOutcome>,
        follow: () => void this.journal.push('follow'),
        wrote: () => undefined,
        runningLsn: 0n,
        flush: () => Promise.resolve({ kind: 'stopped' }),
        watch: () => undefined,
        returnFlushes: () => undefined,
        quickestFlushMs: undefined,
        timed: { flushes: 0, flushMs: 0 },
        promisedLsn: 0n,
        durable: () => Promise.resolve({ kind: 'stopped' }),
      },
      pageReader: { read: () => Promise.reject(new Error('not read')), stop: () => void this.journal.push('no reads') },
      pageSource: {
        read: () => Promise.reject(new Error('not read')),
        along: () => undefined,
        expect: () => undefined,
        stop: () => undefined,
      },
      lease: {
        remainingMs: 0,
        timesRunOut: 0,
        lostMs: 0,
        waitingFor: '',
        standbyXmins: NO_XMINS,
        held: this.#held.get('lease')?.promise as Promise<boolean>,
        start: () => void this.journal.push('lease'),
        stop: () => this.#held.get('lease')?.resolve(false),
        giveBack: async (reopens) => {
          this.journal.push(reopens === true ? 'give back, to open anew' : 'give back');
          await this.heardOfGiveBack;
        },
      },
    };
  }

  #database(): Database {
    return {
      pid: 4711,
      prepare: async () => (await this.#step('prepare')) as WalSource,
      start: async (_start, _volume, events) => {
        this.databaseEvents = events;
        await this.#step('start');
      },
      permit: ({ untilMs }) => void this.journal.push(`permit ${untilMs}`),
      drain: () => Promise.resolve({ waitedMs: 0 }),
      shutDown: async () => void (await this.#step('shutDown')),
      kill: async () => void (await this.#step('kill')),
      answers: () => Promise.resolve(true),
    };
  }

  /** Lets it go on from this step. */
  async pass(step: Step): Promise<void> {
    const given = {
      image: { state: fixtureState(), slruPages: new Map() },
      firstBatch: { kind: 'durable', durableLsn: 0n },
      lease: true,
    };
    this.#held.get(step)?.resolve(step in given ? given[step as keyof typeof given] : undefined);
    await turn();
  }

  async fail(step: Step, error: Error): Promise<void> {
    this.#held.get(step)?.reject(error);
    await turn();
  }

  async timePasses(): Promise<void> {
    for (const work of this.#timers) work();
    await turn();
  }
}

/** A session that waits in `step`. */
async function waitingIn(step: 'image' | 'prepare' | 'firstBatch' | 'start' | 'lease' | 'running'): Promise<Rig> {
  const rig = new Rig();
  void rig.session.start();
  await turn();
  for (const before of ['image', 'prepare', 'firstBatch', 'start', 'lease'] as const) {
    if (before === step) return rig;
    await rig.pass(before);
  }
  return rig;
}

async function inState(state: SessionState): Promise<Rig> {
  const rig = await waitingIn(state === 'opening' ? 'image' : state === 'starting' ? 'start' : 'running');
  if (state === 'stopping') rig.session.report({ kind: 'stop' });
  if (state === 'restarting') rig.session.report({ kind: 'restart', message: 'work_mem' });
  if (state === 'ended') rig.session.report({ kind: 'fenced', message: 'first' });
  expect(rig.session.state).toBe(state);
  return rig;
}

type EventKind = CommonEventKind | WriterEventKind;
const STATES = Object.keys(SESSION_TABLE) as SessionState[];
const EVENTS = Object.keys(SESSION_TABLE.opening) as EventKind[];

describe.each(STATES)('a session that is %s', (state) => {
  it.each(EVENTS)('does what the table says when told %s', async (kind) => {
    const rig = await inState(state);
    const outcome = SESSION_TABLE[state][kind];
    const asked = (): number => rig.journal.filter((what) => what === 'shutDown').length;
    const before = asked();
    if (outcome.does === 'throw') {
      expect(() => rig.session.report({ kind, message: 'told' })).toThrow(`a session that is ${state} was told '${kind}'`);
      expect(rig.session.state).toBe(state);
      return;
    }
    rig.session.report({ kind, message: 'told', reason: 'postgresFailed' });
    if (outcome.does === 'handOver') throw new Error('a writer is handed over to nobody');
    expect(rig.session.state).toBe(outcome.does === 'end' ? 'ended' : outcome.does === 'nothing' ? state : outcome.to);
    expect(asked() - before).toBe(outcome.does === 'shutDown' ? 1 : 0);
    await rig.pass('kill');
    if (outcome.does === 'end') expect(rig.end?.kind).toBe(outcome.as);
    else expect(rig.end?.kind).toBe(state === 'ended' ? 'fenced' : undefined);
  });
});

describe('the table', () => {
  it('lets PostgreSQL run only after the first batch is durable', () => {
    const into = (to: SessionState): string[] =>
      STATES.flatMap((state) => EVENTS.flatMap((kind) => (goesTo(state, kind) === to ? [`${state} ${kind}`] : [])));
    expect(into('starting')).toEqual(['opening firstBatchDurable']);
    expect(into('running')).toEqual(['starting ready']);
  });
  it('ends every session that is fenced, or whose WAL is damaged, as just that, and none twice', () => {
    for (const state of STATES.filter((one) => one !== 'ended')) {
      expect(SESSION_TABLE[state].fenced).toEqual({ does: 'end', as: 'fenced' });
      expect(SESSION_TABLE[state].damaged).toEqual({ does: 'end', as: 'damaged' });
    }
    for (const kind of EVENTS) expect(SESSION_TABLE.ended[kind]).toEqual({ does: 'nothing' });
  });
});

function goesTo(state: SessionState, kind: EventKind): SessionState | undefined {
  const outcome = SESSION_TABLE[state][kind];
  return 'to' in outcome ? outcome.to : undefined;
}

describe('the order of a session', () => {
  it('is image, first batch, data directory, and PostgreSQL only when that batch is durable', async () => {
    const rig = await waitingIn('firstBatch');
    await rig.timePasses();
    expect(rig.journal).toEqual(['streams', 'lease', 'step image', 'image', 'step directory', 'firstBatch', 'prepare', 'step firstBatch']);
    await rig.pass('firstBatch');
    expect(rig.journal.slice(-2)).toEqual(['follow', 'start']);
    expect(rig.session.ready).toBe(false);
    await rig.pass('start');
    expect(rig.journal.at(-1)).toBe('step lease');
    expect(rig.session.ready).toBe(false);
    await rig.pass('lease');
    expect(rig.session.ready).toBe(true);
    expect(await rig.session.answers()).toBe(true);
  });

  it('of its end: flushes are refused, PostgreSQL is killed, and only when it is dead the end is told', async () => {
    const rig = await waitingIn('running');
    rig.journal.length = 0;
    rig.driverEvents?.onFenced('epoch 9 took over');
    await turn();
    expect(rig.journal).toEqual(['refuse', 'no reads', 'kill']);
    expect(rig.session.ready).toBe(false);
    expect(await rig.session.answers()).toBe(false);
    await rig.pass('kill');
    expect(rig.journal.slice(-2)).toEqual(['give back', 'ended']);
    expect(rig.end).toEqual({ kind: 'fenced', message: 'epoch 9 took over' });
  });

  it('of a stop: PostgreSQL shuts down while its flushes are still served', async () => {
    const rig = await waitingIn('running');
    rig.journal.length = 0;
    const stopped = rig.session.stop();
    await turn();
    expect(rig.journal).toEqual(['shutDown']);
    await rig.pass('shutDown');
    expect(rig.journal).toEqual(['shutDown', 'refuse', 'no reads', 'kill']);
    await rig.pass('kill');
    await stopped;
    expect(rig.end).toEqual({ kind: 'stopped' });
  });
});

describe('the end of a session', () => {
  it.each([
    ['fenced', (rig: Rig): void => rig.driverEvents?.onFenced('epoch 9')],
    ['damaged', (rig: Rig): void => rig.driverEvents?.onDamagedWal(new Error('xl_tot_len'))],
    ['failed', (rig: Rig): void => rig.databaseEvents?.onExited('postgresFailed', 'SIGKILL')],
    ['stopped', (rig: Rig): void => void rig.session.kill()],
  ] as const)('%s is told only when storage has heard that the lease is given back', async (kind, happens) => {
    const rig = await waitingIn('running');
    const heard = Promise.withResolvers<void>();
    rig.heardOfGiveBack = heard.promise;
    happens(rig);
    await rig.pass('kill');
    expect(rig.journal.at(-1)).toBe('give back');
    expect(rig.end).toBeUndefined();
    heard.resolve();
    await turn();
    expect(rig.end?.kind).toBe(kind);
  });

  it('waits for nobody when we open the volume anew ourselves', async () => {
    const rig = await waitingIn('running');
    rig.heardOfGiveBack = new Promise(() => undefined);
    rig.databaseEvents?.onRestartWanted('shared_buffers');
    await rig.pass('shutDown');
    await rig.pass('kill');
    expect(rig.end?.kind).toBe('restarting');
  });
});

describe.each(['image', 'prepare', 'firstBatch', 'start', 'lease', 'running'] as const)('in the middle of: %s', (step) => {
  const events: readonly (readonly [string, (rig: Rig) => void, SessionEnd])[] = [
    ['another writer', (rig) => rig.driverEvents?.onFenced('epoch 9'), { kind: 'fenced', message: 'epoch 9' }],
    ['damaged WAL', (rig) => rig.driverEvents?.onDamagedWal(new Error('xl_tot_len')), { kind: 'damaged', message: 'xl_tot_len' }],
    ['a kill', (rig) => void rig.session.kill(), { kind: 'stopped' }],
    ['a stop', (rig) => void rig.session.stop(), { kind: 'stopped' }],
  ];
  it.each(events)('%s ends it; nothing more is started, and the end is told when PostgreSQL is dead', async (_what, happens, end) => {
    const rig = await waitingIn(step);
    rig.journal.length = 0;
    happens(rig);
    await rig.pass('shutDown');
    expect(rig.end).toBeUndefined();
    await rig.pass('kill');
    expect(rig.end).toEqual(end);
    // What it waited for comes too late.
    for (const late of STEPS) await rig.pass(late);
    expect(rig.journal).not.toContain('start');
    expect(rig.journal).not.toContain('follow');
    expect(rig.journal.indexOf('refuse')).toBeLessThan(rig.journal.indexOf('kill'));
    expect(rig.journal.indexOf('kill')).toBeLessThan(rig.journal.indexOf('give back'));
    expect(rig.journal.filter((what) => what === 'kill')).toHaveLength(1);
  });
});

describe.each(['start', 'lease', 'running'] as const)('in the middle of: %s', (step) => {
  it('PostgreSQL that ends by itself ends it, with the reason it gave', async () => {
    const rig = await waitingIn(step);
    rig.databaseEvents?.onExited('settingsRefused', 'FATAL');
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'failed', reason: 'settingsRefused', message: 'FATAL' });
  });
});

describe('a step that fails', () => {
  it.each(['prepare', 'start'] as const)('%s: ends the session, which says what it was', async (step) => {
    const rig = await waitingIn(step);
    await rig.fail(step, new Error('no room'));
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'failed', reason: 'postgresFailed', message: 'no room' });
  });

  it('image: is no fault of PostgreSQL, and none of PostgreSQL ran', async () => {
    const rig = await waitingIn('image');
    await rig.fail('image', new AuroraRpcError('NOT_READY', 's1 copies'));
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'failed', reason: 'imageFailed', message: 's1 copies' });
    expect(rig.journal).not.toContain('prepare');
  });

  it('image, at segments that know a later writer: is a fence', async () => {
    const rig = await waitingIn('image');
    await rig.fail('image', new AuroraRpcError('FENCED', 'epoch 9'));
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'fenced', message: 'epoch 9' });
  });
});

describe('a restart for other settings', () => {
  it('shuts PostgreSQL down in order and says that it is to be followed by another', async () => {
    const rig = await waitingIn('running');
    rig.databaseEvents?.onRestartWanted('shared_buffers');
    await rig.pass('shutDown');
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'restarting', why: 'shared_buffers' });
    // No reader is to take its place meanwhile.
    expect(rig.journal).toContain('give back, to open anew');
  });

  it('is not waited for beyond its time', async () => {
    const rig = await waitingIn('running');
    rig.databaseEvents?.onRestartWanted('shared_buffers');
    await rig.timePasses();
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'restarting', why: 'shared_buffers' });
  });

  it('that turns into a stop is one', async () => {
    const rig = await waitingIn('running');
    rig.databaseEvents?.onRestartWanted('shared_buffers');
    void rig.session.stop();
    await rig.timePasses();
    expect(rig.end).toBeUndefined();
    await rig.pass('shutDown');
    await rig.pass('kill');
    expect(rig.end).toEqual({ kind: 'stopped' });
  });
});
