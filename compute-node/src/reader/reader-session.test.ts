import { systemClock } from '@kube-aurora/clock';
import { buildRecord, lsn, OPCODE, recordEndLsn, RMGR, type Lsn } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { encodeRedoBatch, REDO_BATCH_HEADER_BYTES } from '@kube-aurora/volume';
import { describe, expect, it } from 'vitest';
import type { ComputeImage } from '../open/fetch-image.ts';
import { fixtureState } from '../postgres/fixture-state.ts';
import type { DatabaseEvents, VolumeAccess } from '../session/database.ts';
import type { SessionState } from '../session/session-outcome.ts';
import type { VolumeView } from '../read-path/volume-view.ts';
import type { DurableRedo } from './durable-redo.ts';
import { READER_TABLE } from './reader-session-table.ts';
import { ReaderSession } from './reader-session.ts';
import type { RunningStandby } from './running-standby.ts';
import type { FeedEvents, SenderOptions } from './standby-stream.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A session on doubles that note what is asked of them. */
class Rig {
  readonly journal: string[] = [];
  readonly state = fixtureState();
  readonly image = Promise.withResolvers<ComputeImage>();
  readonly started = Promise.withResolvers<void>();
  readonly ordered = Promise.withResolvers<void>();
  readonly pushed: DurableRedo[] = [];
  /** What the feed gives as soon as it may go on. */
  waiting: DurableRedo[] = [];
  follows = true;
  /** The walsender wants no more after what it is given. */
  hasEnough = false;
  oldestRead: bigint | undefined;
  feed: FeedEvents | undefined;
  sender: SenderOptions | undefined;
  view: VolumeView | undefined;
  pagesTooOld: ((message: string) => void) | undefined;
  access: VolumeAccess | undefined;
  events: DatabaseEvents | undefined;
  readonly server = {} as RunningStandby['server'];
  readonly session: ReaderSession;

  constructor() {
    const note = (what: string): void => void this.journal.push(what);
    this.image.promise.catch(() => undefined);
    this.session = new ReaderSession({
      startLsn: this.state.endLsn,
      feed: (_from, events) => {
        this.feed = events;
        return {
          start: () => note('feed'),
          pause: () => note('pause'),
          resume: () => {
            note('resume');
            for (const redo of this.waiting.splice(0)) events.onRedo(redo);
          },
          hasten: () => note('hasten'),
          standDown: () => note('stands down'),
          stop: () => note('feed stopped'),
          source: 's1',
        };
      },
      sender: (options) => {
        this.sender = options;
        return {
          listen: () => Promise.resolve(note('sender')),
          push: (redo) => {
            if (redo.startLsn !== (this.pushed.at(-1)?.endLsn ?? options.startLsn)) throw new RangeError('a gap');
            this.pushed.push(redo);
            if (this.hasEnough) options.onWantsMore(false);
          },
          ask: () => note('asked'),
          close: () => Promise.resolve(note('sender closed')),
        };
      },
      pages: (view, onTooOld) => {
        this.view = view;
        this.pagesTooOld = onTooOld;
        return {
          pageReader: { oldestRead: () => this.oldestRead, stop: () => note('reads stopped') },
          pageSource: { read: () => Promise.resolve([]), along: () => undefined, expect: () => undefined, stop: () => undefined },
        };
      },
      fetchImage: () => (note('image'), this.image.promise),
      database: {
        prepare: () => Promise.resolve(note('laid')),
        start: (_start, access, events) => {
          note('postgres');
          this.access = access;
          this.events = events;
          return this.started.promise;
        },
        canFollow: () => this.follows,
        shutDown: () => (note('shut down'), this.ordered.promise),
        kill: () => Promise.resolve(note('killed')),
        answers: () => Promise.resolve(true),
        pid: 4711,
        conflicts: undefined,
        hotPages: () => undefined,
        missingSlots: () => Promise.resolve([]),
        warmth: undefined,
        server: this.server,
      },
      onStep: () => undefined,
      clock: systemClock(),
      logger: silentLogger(),
    });
  }

  async until(state: SessionState): Promise<void> {
    void this.session.start();
    await turn();
    if (state === 'opening') return;
    this.image.resolve({ state: this.state, slruPages: new Map() });
    await turn();
    await turn();
    if (state === 'starting') return;
    this.started.resolve();
    await turn();
  }

  /** One record after what came before. */
  redo(
    info: number = OPCODE.XLOG.NOOP,
    mainData: Buffer = Buffer.alloc(8),
    startLsn: Lsn = this.pushed.at(-1)?.endLsn ?? this.state.endLsn,
  ): DurableRedo {
    const raw = buildRecord({ rmid: RMGR.XLOG, info, xid: 0, prev: this.state.lastRecordLsn, mainData });
    const endLsn = recordEndLsn(startLsn, raw.length, false);
    const batch = encodeRedoBatch({ records: [{ lsn: startLsn, endLsn, raw }], pg: 0, epoch: 1n, backlink: startLsn, previousEpoch: 1n });
    return { startLsn, endLsn, records: batch.subarray(REDO_BATCH_HEADER_BYTES) };
  }
}

describe('a reader’s session', () => {
  it('asks for redo before it asks for the image, and gives PostgreSQL what came meanwhile', async () => {
    const rig = new Rig();
    await rig.until('opening');
    expect(rig.journal).toEqual(['feed', 'image']);
    const early = rig.redo();
    rig.feed?.onRedo(early);
    expect(rig.journal.at(-1)).toBe('pause');
    rig.image.resolve({ state: rig.state, slruPages: new Map() });
    await turn();
    await turn();
    expect(rig.journal.slice(3)).toEqual(['laid', 'sender', 'resume', 'postgres']);
    expect(rig.pushed).toEqual([early]);
    rig.started.resolve();
    await turn();
    expect([rig.session.ready, await rig.session.answers(), rig.session.postgresPid]).toEqual([true, true, 4711]);
  });

  it.each([
    ['at once', false],
    ['no sooner than the walsender wants it', true],
  ])('gives what waited at the feed after what came first, and %s', async (_when, hasEnough) => {
    const rig = new Rig();
    await rig.until('opening');
    const first = rig.redo();
    const second = rig.redo(OPCODE.XLOG.NOOP, Buffer.alloc(8), first.endLsn);
    rig.hasEnough = hasEnough;
    rig.waiting = [second];
    rig.feed?.onRedo(first);
    rig.image.resolve({ state: rig.state, slruPages: new Map() });
    await turn();
    await turn();
    expect(rig.pushed).toEqual(hasEnough ? [first] : [first, second]);
    rig.sender?.onWantsMore(true);
    expect(rig.pushed).toEqual([first, second]);
  });

  it('tells storage a read floor that is no higher than what is replayed, or than a read under way, and never goes back', async () => {
    const rig = new Rig();
    await rig.until('running');
    const X = rig.state.endLsn;
    const redo = rig.redo();
    rig.feed?.onRedo(redo);
    rig.feed?.onVdl(redo.endLsn);
    expect(rig.session.replay).toMatchObject({ vdl: redo.endLsn, replayLsn: X, source: 's1' });
    expect(rig.feed?.readFloor()).toBe(X);
    rig.oldestRead = X;
    rig.sender?.onReply({ writeLsn: redo.endLsn, flushLsn: redo.endLsn, applyLsn: redo.endLsn });
    expect(rig.feed?.readFloor()).toBe(X);
    rig.oldestRead = undefined;
    expect(rig.feed?.readFloor()).toBe(redo.endLsn);
    rig.oldestRead = X;
    expect(rig.feed?.readFloor()).toBe(redo.endLsn);
    expect(rig.view?.readFloor).toBe(redo.endLsn);
    expect(rig.session.replay.lagMs).toBe(0);
  });

  it('holds the stream back while PostgreSQL wants no more', async () => {
    const rig = new Rig();
    await rig.until('running');
    rig.sender?.onWantsMore(false);
    rig.sender?.onWantsMore(true);
    expect(rig.journal.slice(-2)).toEqual(['pause', 'resume']);
  });

  it.each(['opening', 'starting', 'running'] as const)(
    'begins afresh when storage has no longer what it needs, while %s',
    async (state) => {
      const rig = new Rig();
      await rig.until(state);
      if (state === 'running') rig.pagesTooOld?.('the page is merged');
      else rig.feed?.onTooOld('the log begins later');
      const end = await rig.session.ended;
      expect(end).toMatchObject({ kind: 'restarting', isForced: true });
      expect(rig.journal).toEqual(expect.arrayContaining(['feed stopped', 'reads stopped', 'killed']));
      // An end is an end: nothing is given any more, and nothing starts.
      rig.image.resolve({ state: rig.state, slruPages: new Map() });
      rig.feed?.onRedo(rig.redo());
      await turn();
      expect(rig.pushed).toEqual([]);
      expect(rig.journal.filter((what) => what === 'postgres')).toHaveLength(state === 'opening' ? 0 : 1);
    },
  );

  it('begins afresh rather than give PostgreSQL redo with a gap', async () => {
    const rig = new Rig();
    await rig.until('running');
    rig.feed?.onRedo(rig.redo(OPCODE.XLOG.NOOP, Buffer.alloc(8), lsn(rig.state.endLsn + 800n)));
    expect(await rig.session.ended).toMatchObject({ kind: 'restarting', why: expect.stringContaining('a gap') });
    expect(rig.pushed).toEqual([]);
  });

  it('begins afresh, in order, when the writer has more of what a standby must not have less of', async () => {
    const rig = new Rig();
    await rig.until('running');
    rig.feed?.onRedo(rig.redo(OPCODE.XLOG.PARAMETER_CHANGE, Buffer.alloc(28)));
    expect(rig.journal).not.toContain('shut down');
    rig.follows = false;
    rig.feed?.onRedo(rig.redo(OPCODE.XLOG.PARAMETER_CHANGE, Buffer.alloc(28)));
    expect(rig.journal).toContain('shut down');
    rig.ordered.resolve();
    expect(await rig.session.ended).toEqual({ kind: 'restarting', why: expect.stringContaining('more connections') });
  });

  it('acknowledges no WAL, and kills a PostgreSQL that asks for it', async () => {
    const rig = new Rig();
    await rig.until('running');
    expect(await rig.access?.flush(1n)).toEqual({ kind: 'stopped' });
    expect(await rig.session.ended).toMatchObject({ kind: 'failed', reason: 'postgresFailed' });
    expect(rig.journal).toContain('killed');
  });

  it('fails with the reason when there is no image, or PostgreSQL does not start', async () => {
    const rig = new Rig();
    await rig.until('opening');
    rig.image.reject(new Error('nobody has it'));
    expect(await rig.session.ended).toEqual({ kind: 'failed', reason: 'imageFailed', message: 'nobody has it' });
    const other = new Rig();
    await other.until('starting');
    other.started.reject(new Error('it ended'));
    expect(await other.session.ended).toEqual({ kind: 'failed', reason: 'postgresFailed', message: 'it ended' });
    expect(other.journal.slice(-2)).toEqual(['killed', 'sender closed']);
  });

  it('stops in order', async () => {
    const rig = new Rig();
    await rig.until('running');
    const stopped = rig.session.stop();
    await turn();
    // First, so that nobody counts on it meanwhile.
    expect(rig.journal.slice(-2)).toEqual(['stands down', 'shut down']);
    rig.ordered.resolve();
    await stopped;
    expect(await rig.session.ended).toEqual({ kind: 'stopped' });
  });

  it('hands over a PostgreSQL that runs: it is over by that, and nothing of it is ended', async () => {
    const rig = new Rig();
    await rig.until('starting');
    expect(rig.session.handOver()).toBeUndefined();
    rig.started.resolve();
    await turn();
    const standby = rig.session.handOver();
    expect(standby?.server).toBe(rig.server);
    expect(await rig.session.ended).toEqual({ kind: 'handedOver' });
    expect([rig.session.ready, rig.session.handOver()]).toEqual([false, undefined]);
    await rig.session.stop();
    expect(rig.journal).not.toContain('stands down');
    // It is fed still, and whoever has it now hears when that ends.
    const lost: string[] = [];
    standby?.stream.belongTo({ onLost: (message) => lost.push(message), onLimits: () => undefined });
    const redo = rig.redo();
    rig.feed?.onRedo(redo);
    expect([rig.pushed, standby?.stream.givenLsn]).toEqual([[redo], redo.endLsn]);
    const reached = standby?.stream.reaches(redo.endLsn);
    rig.sender?.onReply({ writeLsn: redo.endLsn, flushLsn: redo.endLsn, applyLsn: redo.endLsn });
    await reached;
    rig.feed?.onTooOld('the log begins later');
    expect(lost).toEqual(['the log begins later']);
    // Also whoever has it only now.
    standby?.stream.belongTo({ onLost: (message) => lost.push(message), onLimits: () => undefined });
    expect(lost).toEqual(['the log begins later', 'the log begins later']);
    expect(rig.journal.filter((what) => /killed|shut down|stopped|closed/.test(what))).toEqual([]);
  });

  it('once ended hears nothing that changes why', () => {
    expect(new Set(Object.values(READER_TABLE.ended).map(({ does }) => does))).toEqual(new Set(['nothing']));
  });
});
