import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { READER_TABLE, type ReaderEventKind } from '../reader/reader-session-table.ts';
import { SessionMachine } from './session-machine.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A reader's table on doubles that note what is asked of them; each is held until a test lets it go on. */
class Rig {
  readonly journal: string[] = [];
  readonly answered = Promise.withResolvers<boolean>();
  readonly ordered = Promise.withResolvers<void>();
  readonly killed = Promise.withResolvers<void>();
  readonly released = Promise.withResolvers<void>();
  /** What is to happen when PostgreSQL takes too long to end. */
  late: (() => void) | undefined;
  lateAfterMs: number | undefined;
  readonly machine: SessionMachine<ReaderEventKind>;

  constructor() {
    const note = <T>(what: string, then: T): T => (this.journal.push(what), then);
    this.machine = new SessionMachine({
      name: 'a session',
      table: READER_TABLE,
      database: {
        answers: () => note('asked', this.answered.promise),
        shutDown: () => note('shut down', this.ordered.promise),
        kill: () => note('kill', this.killed.promise),
      },
      shutDownWithinMs: 3000,
      onStep: (step) => note(`step ${step}`, undefined),
      noteRestart: (why) => note(`restart ${why}`, undefined),
      failure: (error) => ({ kind: 'failed', message: String(error) }),
      refuse: ({ kind }) => note(`refuse ${kind}, ${this.machine.signal.aborted ? 'aborted' : 'not aborted'}`, undefined),
      release: () => note('release', this.released.promise),
      clock: {
        ...systemClock(),
        after: (ms, work) => {
          this.late = work;
          this.lateAfterMs = ms;
          return { cancel: () => void (this.late = undefined) };
        },
      },
    });
    void this.machine.ended.then(({ kind }) => this.journal.push(`ended ${kind}`));
  }

  run(): void {
    this.machine.report({ kind: 'laid' });
    this.machine.report({ kind: 'ready' });
  }
}

describe('the machine of a session', () => {
  it('of an end: PostgreSQL is refused all, then killed, and only when it is dead what others wait for is let go of, and the end told', async () => {
    const rig = new Rig();
    rig.run();
    const killing = rig.machine.kill();
    await turn();
    expect(rig.journal).toEqual(['refuse stopped, aborted', 'kill']);
    rig.killed.resolve();
    await turn();
    expect(rig.journal.slice(2)).toEqual(['release']);
    rig.released.resolve();
    await killing;
    expect(rig.journal.slice(3)).toEqual(['ended stopped']);
  });

  it('asks PostgreSQL once for all who ask meanwhile, and answers none of them once it is over', async () => {
    const rig = new Rig();
    expect(await rig.machine.answers()).toBe(false);
    rig.run();
    const both = [rig.machine.answers(), rig.machine.answers()];
    expect(rig.journal).toEqual(['asked']);
    void rig.machine.kill();
    rig.answered.resolve(true);
    expect(await Promise.all(both)).toEqual([false, false]);
  });

  it('bounds an order to end, and no longer than until PostgreSQL has ended', async () => {
    const slow = new Rig();
    slow.run();
    void slow.machine.stop();
    expect([slow.lateAfterMs, slow.journal]).toEqual([3000, ['shut down']]);
    slow.late?.();
    expect(slow.journal.slice(1)).toEqual(['refuse stopped, aborted', 'kill']);
    const quick = new Rig();
    quick.run();
    void quick.machine.stop();
    quick.ordered.resolve();
    await turn();
    expect(quick.late).toBeUndefined();
    expect(quick.journal.slice(1)).toEqual(['refuse stopped, aborted', 'kill']);
  });

  it('says of what it is to be followed by another, as it was first asked', async () => {
    const rig = new Rig();
    rig.run();
    rig.machine.databaseEvents(() => undefined).onRestartWanted('work_mem');
    rig.machine.restart('shared_buffers');
    rig.ordered.resolve();
    rig.killed.resolve();
    rig.released.resolve();
    expect(await rig.machine.ended).toEqual({ kind: 'restarting', why: 'work_mem' });
  });

  it('ends by a start that fails, and whoever waits for the start finds it over', async () => {
    const rig = new Rig();
    rig.machine.step('image');
    rig.killed.resolve();
    rig.released.resolve();
    await rig.machine.start(() => Promise.reject(new Error('no room')));
    rig.machine.step('directory');
    expect(rig.journal).toEqual(['step image', 'refuse failed, aborted', 'kill', 'release', 'ended failed']);
    expect(await rig.machine.ended).toEqual({ kind: 'failed', reason: 'postgresFailed', message: 'Error: no room' });
  });

  it('throws what cannot come', () => {
    expect(() => new Rig().machine.report({ kind: 'hung' })).toThrow("a session that is opening was told 'hung'");
  });
});
