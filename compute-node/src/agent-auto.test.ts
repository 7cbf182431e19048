import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { EXIT, silentLogger } from '@kube-aurora/process';
import type { ReaderPhases, WriterPhases } from './agent-phases.ts';
import { Agent } from './agent.ts';
import type { Turn } from './election/await-turn.ts';
import type { OpenTurn } from './election/candidacy.ts';
import type { Claim } from './election/claim-place.ts';
import { opened, ScriptedSession } from './fixture-session.ts';
import { createMetrics } from './metrics.ts';
import type { OpenOutcome } from './open/open-volume.ts';
import type { DrainOutcome } from './switchover/drain-outcome.ts';
import type { RunningStandby } from './reader/running-standby.ts';

const FOLLOW: Turn = { kind: 'follow', writer: 'demo-1' };
const turn = (why: OpenTurn['why'], heldEpoch = 4n): OpenTurn => ({
  kind: 'open',
  why,
  heldEpoch,
  from: { epoch: heldEpoch, writerId: 'demo-1/a', instance: 'demo-1' },
  goneForMs: 2000,
});
const FAILED = { kind: 'failed', reason: 'postgresFailed', message: 'PostgreSQL ended with SIGKILL' } as const;
/** What it is made of is the promotion's business. */
const STANDBY = {} as RunningStandby;

interface Script {
  /** At the end of these the agent is stopped. */
  readonly turns: Turn[];
  readonly opens?: (OpenOutcome | Promise<OpenOutcome>)[];
  readonly readers?: ScriptedSession[];
  readonly writers?: ScriptedSession[];
  readonly claims?: Claim[];
  readonly isSucceeded?: boolean;
}

/** An agent of the role auto, and all that it asked for, in order. */
function agentOf({ turns, opens = [], readers = [], writers = [], claims = [], isSucceeded = false }: Script) {
  const log: string[] = [];
  const standbys: (RunningStandby | undefined)[] = [];
  let elect: (turn: OpenTurn) => void = () => undefined;
  const next = (sessions: ScriptedSession[], name: string): ScriptedSession => {
    const session = sessions.shift();
    if (session === undefined) throw new Error(`the script has no ${name} more`);
    return session;
  };
  const writer: WriterPhases = {
    open: async ({ heldEpoch, signal }) => {
      log.push(`open ${heldEpoch}`);
      const stopped = new Promise<OpenOutcome>((resolve) => {
        signal.addEventListener('abort', () => resolve({ kind: 'stopped' }));
      });
      return Promise.race([Promise.resolve(opens.shift() ?? ({ kind: 'stopped' } as const)), stopped]);
    },
    bootstrap: () => Promise.resolve(true),
    session: ({ standby }) => {
      log.push('write');
      standbys.push(standby);
      return next(writers, 'writer');
    },
  };
  const reader: ReaderPhases = {
    open: () => Promise.resolve(opened(0n)),
    session: () => {
      log.push('read');
      return next(readers, 'reader');
    },
  };
  const agent = new Agent({
    roles: {
      role: 'auto',
      writer,
      reader,
      election: {
        awaitTurn: ({ isFirst }) => {
          log.push(isFirst ? 'first turn' : 'turn');
          return Promise.resolve(turns.shift() ?? { kind: 'stopped' });
        },
        watch: (onElected) => {
          log.push('watch');
          elect = onElected;
          return { start: () => undefined, stop: () => undefined, note: () => undefined };
        },
        drainWriter: (instance) => {
          log.push(`drain ${instance}`);
          return Promise.resolve({ waitedMs: 30, transactions: { finished: 2, cutOff: 1 } });
        },
        isSucceeded: () => Promise.resolve(isSucceeded),
        claim: () => Promise.resolve(claims.shift() ?? { kind: 'refused', message: 'nobody answers' }),
      },
    },
    instance: 'demo-2',
    volumeExists: true,
    segments: [],
    phases: {
      door: () => ({
        take: () => void log.push('door'),
        release: () => Promise.resolve(),
        close: () => Promise.resolve(),
      }),
      clear: () => Promise.resolve([]),
    },
    settings: { status: {} },
    rules: { status: {} },
    tls: { status: {} },
    passwords: { status: ['a password'] },
    directory: { lostSlots: [] },
    cache: () => undefined,
    place: { tier: 1, failoverAfterMs: 2000, drainMs: 1500, warmPagesPerSecond: 0 },
    load: () => undefined,
    clock: { ...systemClock(), sleep: () => Promise.resolve() },
    logger: silentLogger(),
  });
  const metrics = createMetrics(new Registry(), agent.gauges);
  return { agent, log, metrics, standbys, elect: (how: OpenTurn) => elect(how), run: () => agent.run(metrics) };
}

const isRunning = (agent: Agent, role: string): Promise<void> =>
  expect.poll(() => agent.status()).toMatchObject({ phase: 'running', reason: 'none', role });

describe('an agent whose role is decided at run time', () => {
  it('is a reader where there is a writer, and the writer where there is none', async () => {
    const reader = new ScriptedSession();
    const following = agentOf({ turns: [FOLLOW], readers: [reader] });
    expect(following.agent.status()).toMatchObject({ role: 'reader', configuredRole: 'auto' });
    const run = following.run();
    await isRunning(following.agent, 'reader');
    expect(following.agent.status()).toMatchObject({ passwords: [], epoch: 0n });
    reader.end(FAILED);
    await run;
    expect(following.log).toEqual(['door', 'first turn', 'read', 'watch', 'door', 'turn']);

    const writer = new ScriptedSession();
    const first = agentOf({ turns: [{ ...turn('first', 0n), from: undefined }], opens: [opened(1n)], writers: [writer] });
    const writes = first.run();
    await isRunning(first.agent, 'writer');
    expect(first.agent.status()).toMatchObject({ passwords: ['a password'], epoch: 1n, failover: undefined });
    writer.end(FAILED);
    await writes;
    // Nobody may come before a higher epoch than was seen.
    expect(first.log).toEqual(['door', 'first turn', 'open 0', 'write', 'door', 'turn']);
  });

  it('follows whoever overtook it, whether it hears so while it opens or while it runs, and never stays down', async () => {
    const fenced = new ScriptedSession();
    fenced.end({ kind: 'fenced', message: 'epoch 9 took over' });
    for (const script of [
      { turns: [turn('silent'), FOLLOW], opens: [{ kind: 'overtaken' as const }], readers: [new ScriptedSession()] },
      { turns: [turn('silent'), FOLLOW], opens: [opened(5n)], writers: [fenced], readers: [new ScriptedSession()] },
    ]) {
      const [reader] = script.readers;
      const { agent, run } = agentOf(script);
      const running = run();
      await isRunning(agent, 'reader');
      // It did not become the writer, or is none any more.
      reader?.end(FAILED);
      await running;
      expect(agent.exitCode).toBe(EXIT.ok);
    }
  });

  it('goes on as a reader until the volume is its own, and then makes the writer of it', async () => {
    const reader = new ScriptedSession();
    reader.standby = STANDBY;
    const writer = new ScriptedSession();
    const promoted = Promise.withResolvers<void>();
    const start = writer.start.bind(writer);
    writer.start = () => promoted.promise.then(start);
    const opening = Promise.withResolvers<OpenOutcome>();
    const { agent, log, metrics, standbys, elect, run } = agentOf({
      turns: [FOLLOW],
      opens: [opening.promise],
      readers: [reader],
      writers: [writer],
    });
    const running = run();
    await isRunning(agent, 'reader');
    elect(turn('silent'));
    await expect.poll(() => agent.status()).toMatchObject({ role: 'reader', phase: 'running', reason: 'takingOver' });
    expect((await agent.ready()).ok).toBe(true);
    expect(reader.told).toEqual([]);
    opening.resolve(opened(5n));
    await expect.poll(() => agent.status()).toMatchObject({ role: 'writer', phase: 'opening' });
    // It answers readers all the while.
    expect((await agent.ready()).ok).toBe(true);
    promoted.resolve();
    await isRunning(agent, 'writer');
    expect(reader.told).toEqual(['hand over']);
    expect(standbys).toEqual([STANDBY]);
    expect(agent.status()).toMatchObject({
      epoch: 5n,
      failover: { reason: 'silent', fromInstance: 'demo-1', goneForMs: 2000, inPlace: true, phases: { detectedMs: 2000 } },
    });
    expect((await metrics.failovers.get()).values.filter(({ value }) => value > 0)).toEqual([
      expect.objectContaining({ labels: { reason: 'silent' }, value: 1 }),
    ]);
    // Its port is PostgreSQL's all the while.
    expect(log).toEqual(['door', 'first turn', 'read', 'watch', 'open 4', 'write']);
    writer.end(FAILED);
    await running;
  });

  it('ends a reader that cannot be made the writer, and starts another PostgreSQL on the volume that is open', async () => {
    const reader = new ScriptedSession();
    const writer = new ScriptedSession();
    const { agent, standbys, elect, run } = agentOf({ turns: [FOLLOW], opens: [opened(5n)], readers: [reader], writers: [writer] });
    const running = run();
    await isRunning(agent, 'reader');
    elect(turn('postgresDied'));
    await isRunning(agent, 'writer');
    expect(reader.told).toEqual(['hand over', 'kill']);
    expect(standbys).toEqual([undefined]);
    expect(agent.status()).toMatchObject({ failover: { reason: 'postgresDied', inPlace: false } });
    writer.end(FAILED);
    await running;
  });

  it('stays the reader that it is when another came first, and may be elected again', async () => {
    const reader = new ScriptedSession();
    const { agent, log, elect, run } = agentOf({ turns: [FOLLOW], opens: [{ kind: 'overtaken' }], readers: [reader] });
    const running = run();
    await isRunning(agent, 'reader');
    elect(turn('silent'));
    await expect.poll(() => log).toContain('open 4');
    await isRunning(agent, 'reader');
    expect(reader.told).toEqual([]);
    expect(agent.status()).toMatchObject({ failover: undefined });
    expect(log.filter((one) => one === 'watch')).toHaveLength(2);
    reader.end(FAILED);
    await running;
  });

  it('does not wait for an opening when its reader is lost meanwhile', async () => {
    const reader = new ScriptedSession();
    const { agent, log, elect, run } = agentOf({ turns: [FOLLOW], opens: [new Promise<OpenOutcome>(() => undefined)], readers: [reader] });
    const running = run();
    await isRunning(agent, 'reader');
    elect(turn('silent'));
    await expect.poll(() => log).toContain('open 4');
    reader.end(FAILED);
    await running;
    expect(agent.status()).toMatchObject({ lastFailure: { reason: 'postgresFailed' } });
  });

  it('gives a reader up that has not come up when it is its turn: it may wait for redo that nobody writes', async () => {
    const coming = new ScriptedSession();
    const started = Promise.withResolvers<void>();
    coming.start = () => started.promise;
    coming.kill = () => {
      coming.told.push('kill');
      started.resolve();
      return Promise.resolve();
    };
    const writer = new ScriptedSession();
    const { agent, log, elect, run } = agentOf({ turns: [FOLLOW], opens: [opened(5n)], readers: [coming], writers: [writer] });
    const running = run();
    await expect.poll(() => log).toContain('watch');
    elect(turn('silent'));
    await isRunning(agent, 'writer');
    expect(coming.told).toEqual(['kill']);
    // No other turn was asked for.
    expect(log).toEqual(['door', 'first turn', 'read', 'watch', 'door', 'open 4', 'write']);
    writer.end(FAILED);
    await running;
  });

  it('takes a living writer’s place when it is asked to, and says why it cannot', async () => {
    const reader = new ScriptedSession();
    reader.standby = STANDBY;
    const writer = new ScriptedSession();
    const claims: Claim[] = [{ kind: 'refused', message: '2 of 6 storage daemons say who the writer is' }, turn('switchover')];
    const { agent, log, run } = agentOf({ turns: [FOLLOW], opens: [opened(5n)], readers: [reader], writers: [writer], claims });
    expect(await agent.actions.promote()).toEqual({ accepted: false, message: expect.stringMatching(/no reader that answers/) as unknown });
    const running = run();
    await isRunning(agent, 'reader');
    reader.replay = { vdl: 200n, replayLsn: 100n, lagMs: 7200, source: 'd0' };
    expect(await agent.actions.promote()).toEqual({
      accepted: false,
      message: expect.stringMatching(/^demo-2 is 7.2 s behind/) as unknown,
    });
    reader.replay = { vdl: 200n, replayLsn: 200n, lagMs: 0, source: 'd0' };
    expect(await agent.actions.promote()).toEqual({ accepted: false, message: '2 of 6 storage daemons say who the writer is' });
    expect(await agent.actions.promote()).toEqual({
      accepted: true,
      message: expect.stringMatching(/demo-2 takes the place of demo-1/) as unknown,
    });
    await isRunning(agent, 'writer');
    expect(agent.status()).toMatchObject({
      failover: { reason: 'switchover', transactions: { finished: 2, cutOff: 1 }, phases: { drainedMs: expect.any(Number) as number } },
    });
    // The writer's transactions have their time before it is fenced.
    expect(log.slice(log.indexOf('watch'))).toEqual(['watch', 'drain demo-1', 'open 4', 'write']);
    expect(await agent.actions.promote()).toEqual({ accepted: false, message: 'demo-2 is the writer already' });
    writer.end(FAILED);
    await running;
  });

  it('lets transactions end when its place is to be taken, as the writer alone, once for all who ask', async () => {
    const [reader, writer] = [new ScriptedSession(), new ScriptedSession()];
    const drains: ((outcome: DrainOutcome) => void)[] = [];
    const { agent, elect, run } = agentOf({ turns: [FOLLOW], opens: [opened(5n)], readers: [reader], writers: [writer] });
    const running = run();
    await isRunning(agent, 'reader');
    const refused = { accepted: false, message: 'demo-2 is no writer whose place can be taken' };
    expect(await agent.actions.drain()).toEqual(refused);
    elect(turn('silent'));
    await isRunning(agent, 'writer');
    const given: number[] = [];
    writer.drain = (withinMs) => {
      given.push(withinMs);
      return new Promise((resolve) => drains.push(resolve));
    };
    const both = [agent.actions.drain(), agent.actions.drain()];
    drains.shift()?.({ waitedMs: 20 });
    for (const one of both) expect(await one).toMatchObject({ accepted: true, drain: { waitedMs: 20 } });
    expect(given).toEqual([1500]);
    const again = agent.actions.drain();
    drains.shift()?.({ waitedMs: 5 });
    expect(await again).toMatchObject({ drain: { waitedMs: 5 } });
    writer.ready = false;
    expect(await agent.actions.drain()).toEqual(refused);
    writer.end(FAILED);
    await running;
  });

  it.each([
    ['lets its transactions end before it ends, where a reader is there to take its place', true, ['drain 1500', 'stop']],
    ['ends as ever where none is', false, ['stop']],
  ])('a writer that is stopped %s', async (_what, isSucceeded, told) => {
    const writer = new ScriptedSession();
    writer.drain = (withinMs) => {
      writer.told.push(`drain ${withinMs}`);
      return Promise.resolve({ waitedMs: 20 });
    };
    const { agent, run } = agentOf({ turns: [turn('silent')], opens: [opened(5n)], writers: [writer], isSucceeded });
    const running = run();
    await isRunning(agent, 'writer');
    const stopped = agent.stop(1000);
    expect(agent.status()).toMatchObject({ phase: 'stopping' });
    await stopped;
    await running;
    expect(writer.told).toEqual(told);
    expect(agent.exitCode).toBe(EXIT.ok);
  });

  it('a reader that is stopped drains nobody and takes nobody’s place any more, wanted or elected', async () => {
    const reader = new ScriptedSession();
    reader.stop = () => {
      reader.told.push('stop');
      return Promise.resolve();
    };
    const { agent, log, elect, run } = agentOf({ turns: [FOLLOW], readers: [reader], claims: [turn('switchover')], isSucceeded: true });
    const running = run();
    await isRunning(agent, 'reader');
    const stopped = agent.stop(1000);
    expect(await agent.actions.promote()).toEqual({
      accepted: false,
      message: expect.stringMatching(/is no reader that answers/) as unknown,
    });
    elect(turn('silent'));
    await expect.poll(() => reader.told).toEqual(['stop']);
    reader.end({ kind: 'stopped' });
    await Promise.all([stopped, running]);
    expect(log).toEqual(['door', 'first turn', 'read', 'watch', 'door']);
  });

  it('ends while it takes over when it is stopped', async () => {
    const reader = new ScriptedSession();
    const { agent, log, elect, run } = agentOf({ turns: [FOLLOW], opens: [new Promise<OpenOutcome>(() => undefined)], readers: [reader] });
    const running = run();
    await isRunning(agent, 'reader');
    elect(turn('silent'));
    await expect.poll(() => log).toContain('open 4');
    await agent.stop(1000);
    await running;
    expect(reader.told).toEqual(['stop']);
    expect(agent.exitCode).toBe(EXIT.ok);
  });
});
