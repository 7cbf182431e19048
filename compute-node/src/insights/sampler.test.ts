import { EventEmitter } from 'node:events';
import { systemClock, type Clock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { DatabaseError, type Client } from 'pg';
import { expect, test } from 'vitest';
import type { Asking, Look } from './look.ts';
import { Sampler } from './sampler.ts';

/** Time that passes when the test says so, a second at a time. */
class Steps {
  now = 0;
  #wake: (() => void) | undefined;
  readonly clock: Clock = {
    ...systemClock(),
    now: () => this.now,
    sleep: (_ms, signal) =>
      new Promise((resolve) => {
        this.#wake = resolve;
        if (signal?.aborted === true) resolve();
        signal?.addEventListener('abort', () => resolve());
      }),
  };

  async seconds(count: number): Promise<void> {
    await this.#turn();
    for (let second = 0; second < count; second++) {
      this.now += 1000;
      this.#wake?.();
      await this.#turn();
    }
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => setImmediate(resolve));
  }
}

class ToldLook implements Look {
  readonly name: string;
  readonly everyMs: number;
  taken = 0;
  forgotten = 0;
  answer: () => Promise<void> = () => Promise.resolve();

  constructor(name: string, everyMs: number) {
    this.name = name;
    this.everyMs = everyMs;
  }
  async take(_client: Asking): Promise<void> {
    await this.answer();
    this.taken++;
  }
  forget(): void {
    this.forgotten++;
  }
}

class Session extends EventEmitter {
  isEnded = false;
  end(): Promise<void> {
    this.isEnded = true;
    return Promise.resolve();
  }
}

function refusal(message: string, severity = 'ERROR'): DatabaseError {
  const error = new DatabaseError(message, 0, 'error');
  error.severity = severity;
  return error;
}

async function setUp() {
  const steps = new Steps();
  const often = new ToldLook('often', 1000);
  const seldom = new ToldLook('seldom', 10_000);
  const sessions: Session[] = [];
  const at = { isServing: true, connects: true };
  const sampler = new Sampler({
    looks: [often, seldom],
    isServing: () => at.isServing,
    socket: { dir: '/nowhere', port: 5432 },
    connect: () => {
      if (!at.connects) return Promise.reject(new Error('nobody is there'));
      const session = new Session();
      sessions.push(session);
      return Promise.resolve(session as unknown as Client);
    },
    clock: steps.clock,
    logger: silentLogger(),
  });
  const over = sampler.run();
  await steps.seconds(0);
  return { steps, often, seldom, sessions, at, sampler, over };
}

test('every look is taken at its own pace, by one connection', async () => {
  const { steps, often, seldom, sessions, sampler, over } = await setUp();
  await steps.seconds(20);
  expect([often.taken, seldom.taken, sessions.length]).toEqual([21, 3, 1]);
  expect(sampler.views.map(({ outcome }) => outcome.kind)).toEqual(['taken', 'taken']);
  sampler.stop();
  await over;
  expect(sessions[0]?.isEnded).toBe(true);
});

test('what PostgreSQL refuses fails that look alone, and is asked again', async () => {
  const { steps, often, seldom, sessions, sampler } = await setUp();
  seldom.answer = () => Promise.reject(refusal('no such function'));
  await steps.seconds(20);
  expect([often.taken, seldom.taken, sessions.length]).toEqual([21, 1, 1]);
  expect(sampler.views[1]).toMatchObject({ outcome: { kind: 'refused', message: 'no such function' }, failures: 2 });
  seldom.answer = () => Promise.resolve();
  await steps.seconds(10);
  expect(sampler.views[1]?.outcome).toEqual({ kind: 'taken' });
  sampler.stop();
});

test.each([
  ['no answer', new Error('Query read timeout')],
  ['an end of the session', refusal('terminating connection due to administrator command', 'FATAL')],
])('%s ends the connection; another is made after some seconds, and what was known is forgotten', async (_what, error) => {
  const { steps, often, sessions, sampler } = await setUp();
  await steps.seconds(1);
  often.answer = () => Promise.reject(error);
  await steps.seconds(1);
  expect(sampler.views[0]).toMatchObject({ outcome: { kind: 'unanswered', message: error.message }, failures: 1 });
  expect(sessions[0]?.isEnded).toBe(true);
  expect(often.forgotten).toBe(1);
  often.answer = () => Promise.resolve();
  await steps.seconds(4);
  expect(sessions.length).toBe(1);
  await steps.seconds(1);
  expect([sessions.length, sampler.views[0]?.outcome.kind]).toEqual([2, 'taken']);
  sampler.stop();
});

test('a PostgreSQL that does not serve is asked nothing, and its end is no failure', async () => {
  const { steps, often, sessions, at, sampler } = await setUp();
  await steps.seconds(3);
  const before = often.taken;
  at.isServing = false;
  await steps.seconds(10);
  expect(often.taken).toBe(before);
  expect(often.forgotten).toBeGreaterThan(0);
  expect(sampler.views[0]).toMatchObject({ outcome: { kind: 'pending' }, failures: 0 });
  at.isServing = true;
  await steps.seconds(1);
  expect([often.taken, sessions.length]).toEqual([before + 1, 2]);
  sampler.stop();
});

test('a connection that was lost between two looks, or cannot be had, is made again', async () => {
  const { steps, often, sessions, at, sampler } = await setUp();
  await steps.seconds(1);
  at.connects = false;
  sessions[0]?.emit('end');
  await steps.seconds(2);
  expect(sampler.views[0]?.outcome).toEqual({ kind: 'unanswered', message: 'nobody is there' });
  at.connects = true;
  await steps.seconds(6);
  expect(sessions.length).toBe(2);
  expect(sampler.views[0]?.outcome.kind).toBe('taken');
  expect(often.taken).toBeGreaterThan(2);
  sampler.stop();
});

test('a stop waits for no answer', async () => {
  const { steps, often, sampler, over } = await setUp();
  await steps.seconds(1);
  let fail: (error: Error) => void = () => undefined;
  often.answer = () => new Promise((_resolve, reject) => (fail = reject));
  await steps.seconds(1);
  sampler.stop();
  fail(new Error('Connection terminated'));
  await over;
  expect(sampler.views[0]?.failures).toBe(0);
});
