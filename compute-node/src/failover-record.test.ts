import { expect, it } from 'vitest';
import { systemClock, type Clock } from '@kube-aurora/clock';
import type { OpenTurn } from './election/candidacy.ts';
import { FailoverRecord } from './failover-record.ts';

const turn = (why: OpenTurn['why'], instance = 'demo-1'): OpenTurn => ({
  kind: 'open',
  why,
  heldEpoch: 4n,
  from: { epoch: 4n, writerId: `${instance}/a`, instance },
  goneForMs: 2000.4,
});

function clockAt(): { clock: Clock; wait: (ms: number) => void } {
  let now = 1000;
  const clock = { ...systemClock(), now: () => now, wallTime: () => Date.parse('2026-01-01T00:00:00Z') };
  return { clock, wait: (ms) => (now += ms) };
}

it('is of a turn that takes the place of another compute, and of no other', () => {
  const { clock } = clockAt();
  for (const why of ['silent', 'postgresDied', 'switchover'] as const)
    expect(FailoverRecord.of(turn(why), 'demo-2', clock)?.reason).toBe(why);
  expect(FailoverRecord.of(turn('postgresDied'), 'demo-1', clock)).toBeUndefined();
  expect(FailoverRecord.of(turn('own'), 'demo-2', clock)).toBeUndefined();
  expect(FailoverRecord.of({ ...turn('first'), from: undefined }, 'demo-2', clock)).toBeUndefined();
});

it('has parts that add up to the time until clients were answered', () => {
  const { clock, wait } = clockAt();
  const record = FailoverRecord.of(turn('silent'), 'demo-2', clock);
  if (record === undefined) throw new Error('no failover');
  const after = (ms: number, happens: () => void): void => {
    wait(ms);
    happens();
  };
  after(30, () => record.opened());
  expect(record.status.phases).toEqual({ detectedMs: 2000, openedMs: 30 });
  after(10, () => record.step('image'));
  after(50, () => record.step('postgres'));
  after(80, () => record.step('roles'));
  after(1, () => record.step('lease'));
  let parts: ReturnType<FailoverRecord['ready']> = [];
  after(300, () => (parts = record.ready(true)));
  expect(record.status).toEqual({
    reason: 'silent',
    fromInstance: 'demo-1',
    goneForMs: 2000,
    inPlace: true,
    phases: { detectedMs: 2000, openedMs: 30, fedMs: 60, promotedMs: 80, readyMs: 301 },
    at: '2026-01-01T00:00:00.000Z',
  });
  expect(parts).toEqual([
    ['detected', 2],
    ['opened', 0.03],
    ['fed', 0.06],
    ['promoted', 0.08],
    ['ready', 0.301],
  ]);
});

it('of a switchover has the time of the old writer’s transactions, and what became of them where that is known', () => {
  const { clock, wait } = clockAt();
  const record = FailoverRecord.of(turn('switchover'), 'demo-2', clock);
  wait(700);
  record?.drained({ waitedMs: 690, transactions: { finished: 3, cutOff: 1 } });
  wait(30);
  record?.opened();
  expect(record?.status).toMatchObject({
    transactions: { finished: 3, cutOff: 1 },
    phases: { detectedMs: 2000, drainedMs: 700, openedMs: 30 },
  });
  expect(record?.ready(true).map(([phase]) => phase)).toEqual(['detected', 'drained', 'opened', 'fed', 'promoted', 'ready']);
  const unheard = FailoverRecord.of(turn('switchover'), 'demo-2', clock);
  unheard?.drained(undefined);
  expect(unheard?.status).not.toHaveProperty('transactions');
});

it('counts what had to be done twice, after a failure half-way, in the part that it belongs to', () => {
  const { clock, wait } = clockAt();
  const record = FailoverRecord.of(turn('postgresDied'), 'demo-2', clock);
  wait(10);
  record?.opened();
  wait(20);
  record?.step('postgres');
  wait(1000);
  record?.opened();
  wait(5);
  record?.step('postgres');
  expect(record?.status.phases).toEqual({ detectedMs: 2000, openedMs: 1010, fedMs: 25 });
});
