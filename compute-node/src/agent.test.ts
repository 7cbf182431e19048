import { Registry } from 'prom-client';
import { describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { EXIT, silentLogger } from '@kube-aurora/process';
import type { AgentPhases, WriterPhases } from './agent-phases.ts';
import { Agent } from './agent.ts';
import { createMetrics } from './metrics.ts';
import { opened, ScriptedSession } from './fixture-session.ts';
import type { OpenHindrance, OpenOutcome } from './open/open-volume.ts';

interface Script {
  /** What each opening says that it waits for. */
  readonly hindrances?: OpenHindrance[];
  readonly opens: (OpenOutcome | Promise<OpenOutcome>)[];
  readonly sessions?: ScriptedSession[];
  readonly bootstraps?: boolean[];
}

/**
 * An agent whose phases answer as the script says. What it asks of them is noted; when the script is at its end it is
 * stopped.
 */
function agentOf({ opens, sessions = [], bootstraps = [], hindrances = [] }: Script) {
  const asked: { heldEpoch: bigint | undefined; volumeExists: boolean }[] = [];
  const door: string[] = [];
  const pauses: number[] = [];
  const phases: AgentPhases = {
    door: () => ({
      take: () => void door.push('take'),
      release: () => Promise.resolve(void door.push('release')),
      close: () => Promise.resolve(void door.push('close')),
    }),
    clear: () => Promise.resolve([]),
  };
  const writer: WriterPhases = {
    open: ({ heldEpoch, volumeExists, onWaiting }) => {
      asked.push({ heldEpoch, volumeExists });
      onWaiting(hindrances.shift());
      return Promise.resolve(opens.shift() ?? { kind: 'stopped' });
    },
    bootstrap: ({ onTrying }) => {
      onTrying();
      return Promise.resolve(bootstraps.shift() ?? false);
    },
    session: () => {
      const next = sessions.shift();
      if (next === undefined) throw new Error('the script has no session more');
      return next;
    },
  };
  const agent = new Agent({
    roles: { role: 'writer', writer },
    instance: 'demo-1',
    volumeExists: false,
    segments: Array.from({ length: 6 }, (_, index) => ({ index, id: `s${index}`, zone: 'z' })),
    phases,
    settings: { status: {} },
    rules: { status: {} },
    tls: { status: {} },
    passwords: { status: {} },
    directory: { lostSlots: [] },
    cache: () => undefined,
    place: undefined,
    load: () => undefined,
    clock: { ...systemClock(), sleep: (ms) => Promise.resolve(void pauses.push(ms)) },
    logger: silentLogger(),
  });
  return { agent, asked, door, pauses, run: () => agent.run(createMetrics(new Registry(), agent.gauges)) };
}

const FAILED = { kind: 'failed', reason: 'postgresFailed', message: 'PostgreSQL ended with SIGKILL' } as const;

describe('the agent', () => {
  it('opens again when PostgreSQL is lost, with the epoch it held and a volume that it knows to exist', async () => {
    const lost = new ScriptedSession();
    lost.end(FAILED);
    const { agent, asked, run } = agentOf({ opens: [opened(2n)], sessions: [lost] });
    await run();
    expect(asked).toEqual([
      { heldEpoch: undefined, volumeExists: false },
      { heldEpoch: 2n, volumeExists: true },
    ]);
    expect(agent.status()).toMatchObject({ lastFailure: { reason: 'postgresFailed' }, opens: 1, epoch: 2n });
  });

  it('stays down once another writer has the volume, whether it hears so while it opens or while it runs', async () => {
    const fenced = new ScriptedSession();
    fenced.end({ kind: 'fenced', message: 'epoch 9 took over' });
    for (const script of [{ opens: [{ kind: 'overtaken' as const }] }, { opens: [opened(2n)], sessions: [fenced] }]) {
      const { agent, asked, run } = agentOf(script);
      await run();
      expect(asked).toHaveLength(1);
      expect(agent.phase).toBe('fenced');
      expect(agent.exitCode).toBe(EXIT.fenced);
    }
  });

  it('is not fenced by damage of its own WAL: it opens anew and says what happened', async () => {
    const damaged = new ScriptedSession();
    damaged.end({ kind: 'damaged', message: 'xl_tot_len' });
    const { agent, asked, run } = agentOf({ opens: [opened(2n)], sessions: [damaged] });
    await run();
    expect(asked).toHaveLength(2);
    expect(agent.status()).toMatchObject({ lastFailure: { reason: 'damagedWal', message: 'xl_tot_len' } });
    expect(agent.exitCode).toBe(EXIT.ok);
  });

  it('restarts at once for other settings, without a failure', async () => {
    const sessions = Array.from({ length: 5 }, () => new ScriptedSession());
    for (const one of sessions) one.end({ kind: 'restarting', why: 'shared_buffers' });
    const { agent, pauses, run } = agentOf({ opens: sessions.map((_, index) => opened(BigInt(index + 2))), sessions: [...sessions] });
    await run();
    expect(pauses).toEqual([]);
    expect(agent.status()).toMatchObject({ opens: 5, lastFailure: undefined });
  });

  it('does not begin anew again and again without a pause where storage has not what it needs', async () => {
    const sessions = Array.from({ length: 5 }, () => new ScriptedSession());
    for (const one of sessions) one.end({ kind: 'restarting', why: 'redo is gone', isForced: true });
    const { agent, pauses, run } = agentOf({ opens: sessions.map((_, index) => opened(BigInt(index + 2))), sessions: [...sessions] });
    await run();
    expect(pauses).toHaveLength(3);
    expect(agent.status()).toMatchObject({ opens: 5, lastFailure: undefined });
  });

  it('tells what it waits for from what no waiting helps against, by a reason of its own', async () => {
    const hindrances = [
      { kind: 'storage', message: '3 of 6 segments answered' },
      { kind: 'engineMismatch', message: 'the volume is of PostgreSQL 19' },
      { kind: 'rolesMismatch', message: 'd0 says that it is TAIL' },
      { kind: 'volumeMissing', message: 'all of them are empty' },
    ] as const;
    const expected = [
      { phase: 'opening', reason: 'waitingForStorage', message: 'waiting for storage: 3 of 6 segments answered' },
      ...hindrances.slice(1).map(({ kind, message }) => ({ phase: 'opening', reason: kind, message })),
    ];
    for (const [at, hindrance] of hindrances.entries()) {
      const opening = Promise.withResolvers<OpenOutcome>();
      const { agent, run } = agentOf({ opens: [opening.promise], hindrances: [hindrance] });
      const running = run();
      await expect.poll(() => agent.status()).toMatchObject(expected[at] ?? {});
      opening.resolve({ kind: 'stopped' });
      await running;
    }
  });

  it('backs off when PostgreSQL does not come up', async () => {
    const sessions = Array.from({ length: 5 }, () => new ScriptedSession(false));
    for (const one of sessions) one.end(FAILED);
    const { pauses, run } = agentOf({ opens: sessions.map((_, index) => opened(BigInt(index + 2))), sessions: [...sessions] });
    await run();
    expect(pauses).toHaveLength(3);
  });

  it('tries a bootstrap that storage did not take again after a pause, and opens what it did take as a volume that exists', async () => {
    const bootstrap = { kind: 'bootstrap', epoch: 2n } as const;
    const { asked, pauses, run } = agentOf({ opens: [bootstrap, { ...bootstrap, epoch: 3n }], bootstraps: [false, true] });
    await run();
    expect(pauses).toHaveLength(1);
    expect(asked.map(({ volumeExists }) => volumeExists)).toEqual([false, false, true]);
  });

  it('is ready only while PostgreSQL answers, and stands in for it when it is gone', async () => {
    const session = new ScriptedSession();
    const { agent, door, run } = agentOf({ opens: [opened(2n)], sessions: [session] });
    expect((await agent.ready()).ok).toBe(false);
    const running = run();
    await expect.poll(() => agent.phase).toBe('running');
    expect((await agent.ready()).ok).toBe(true);
    session.ready = false;
    expect((await agent.ready()).ok).toBe(false);
    session.end(FAILED);
    await running;
    expect(door).toEqual(['take', 'take']);
  });

  it('says that commits wait, and on which disks, while a quorum takes nothing', async () => {
    const session = new ScriptedSession();
    const state = { phase: 'unwritable' as const, scl: 50n, errors: 1, lastError: 'full', isUnwritable: true, inFlightBytes: 0 };
    session.writePath = {
      sentLsn: 200n,
      oldestFlushMs: 9000,
      ringBytes: 0,
      waitingFlushes: 1,
      flushesReturn: 'durable',
      segment: () => state,
    };
    const { agent, run } = agentOf({ opens: [opened(2n)], sessions: [session] });
    const running = run();
    await expect.poll(() => agent.phase).toBe('running');
    expect(agent.status()).toMatchObject({
      phase: 'running',
      reason: 'noQuorum',
      message: expect.stringContaining('the disk takes nothing on s0, s1') as unknown,
    });
    session.end(FAILED);
    await running;
  });

  it('tells of a compute without a write path what it knows: VDL, and nothing of streams', async () => {
    const session = new ScriptedSession();
    const { agent, run } = agentOf({ opens: [opened(2n)], sessions: [session] });
    const running = run();
    await expect.poll(() => agent.phase).toBe('running');
    expect(agent.status()).toMatchObject({ vdl: 100n, reason: 'none' });
    expect(agent.gauges.vdl()).toBe(100n);
    expect(agent.gauges.ringBytes()).toBe(0);
    session.end(FAILED);
    await running;
  });

  it('stops in order, and kills what storage keeps waiting', async () => {
    const session = new ScriptedSession();
    const { agent, door, run } = agentOf({ opens: [opened(2n)], sessions: [session] });
    const running = run();
    await expect.poll(() => agent.phase).toBe('running');
    const held = Promise.withResolvers<void>();
    session.stop = () => held.promise;
    session.kill = () => {
      session.end({ kind: 'stopped' });
      held.resolve();
      return Promise.resolve();
    };
    await agent.stop(10);
    await running;
    expect(agent.exitCode).toBe(EXIT.noQuorum);
    expect(door.at(-1)).toBe('close');
  });
});
