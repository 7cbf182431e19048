import { describe, expect, test } from 'vitest';
import type { ReportedFailover } from '../observed/agent-failover.ts';
import type { Observed } from '../observed/observed.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { agentReport, healthy, makeCluster, NOW, readerReport, running } from '../testing/fixtures.ts';
import { condition, ran, statusOf } from '../testing/statuses.ts';
import { noticesOf } from './transitions.ts';

const FAILOVER: ReportedFailover = {
  reason: 'silent',
  from: 'demo-1',
  at: '2026-11-21T11:59:58Z',
  inPlace: true,
  phases: { detectedMs: 2012, openedMs: 31, fedMs: 64, promotedMs: 92, readyMs: 210 },
};
const before = ran({
  writer: 'demo-1',
  phase: 'Ready',
  conditions: [
    {
      type: 'WriterAvailable',
      status: 'True',
      reason: 'AllGood',
      message: '',
      observedGeneration: 2,
      lastTransitionTime: '2026-11-21T11:00:00Z',
    },
  ],
});
const reader = (name: string) => readerReport(name, { role: 'reader' });
/** demo-2 writes, and says how it came to that. */
const taken = (failover: ReportedFailover, phase = 'running'): Observed => {
  const observed = healthy(makeCluster({ spec: { instances: 2, storage: { size: '10Gi' } }, status: before }));
  const role = 'writer';
  return {
    ...observed,
    agents: new Map([
      ['demo-1', reader('demo-1')],
      ['demo-2', agentReport({ uid: 'uid-of-demo-2', epoch: 4, role, phase, failover })],
    ]),
  };
};

describe('a failover in the status', () => {
  test('has from, to, why and what each part took, and is an event once', () => {
    const status = statusOf(taken(FAILOVER));
    expect(status).toMatchObject({
      writer: 'demo-2',
      epoch: 4,
      failover: { from: 'demo-1', to: 'demo-2', reason: 'Silent', at: FAILOVER.at, tookMs: 2409, inPlace: true, phases: FAILOVER.phases },
    });
    const notices = noticesOf(before, status, NOW).filter(({ reason }) =>
      ['FailedOver', 'WriterReopened', 'WriterChanged'].includes(reason),
    );
    expect(notices).toEqual([
      {
        type: 'Warning',
        reason: 'FailedOver',
        message:
          'demo-2 took the place of writer demo-1 (storage heard it no more) in 2.4 s: detected 2.0 s, opened 31 ms, fed 64 ms, promoted 92 ms, ready 210 ms',
      },
    ]);
    expect(noticesOf(status, status, NOW)).toEqual([]);
  });

  test('is not told before it is over, nor for a switchover; what was known stays', () => {
    const { readyMs: _notYet, ...phases } = FAILOVER.phases;
    expect(statusOf(taken({ ...FAILOVER, phases }, 'opening')).failover).toBeUndefined();
    const switched = statusOf(taken({ ...FAILOVER, reason: 'switchover' }));
    expect(switched.failover).toBeUndefined();
    expect(noticesOf(before, switched, NOW).map(({ reason }) => reason)).toContain('WriterChanged');
    const known = statusOf(taken(FAILOVER)).failover;
    const later = healthy(makeCluster({ status: ran({ writer: 'demo-1', ...(known === undefined ? {} : { failover: known }) }) }));
    expect(statusOf(later).failover).toEqual(known);
  });

  test('what an agent says of it is checked', () => {
    const failover = {
      reason: 'silent',
      fromInstance: 'demo-1',
      at: FAILOVER.at,
      inPlace: true,
      phases: { ...FAILOVER.phases, readyMs: -1, x: 3 },
    };
    const report = readAgentStatus({ role: 'writer', configuredRole: 'auto', version: 'v/1', failover }, 'u', 5);
    const { readyMs: _wrong, ...phases } = FAILOVER.phases;
    expect(report).toMatchObject({ version: 'v/1', role: 'writer', failover: { from: 'demo-1', phases } });
    for (const wrong of [{ reason: 'bored' }, { at: 'yesterday' }, { fromInstance: 7 }])
      expect(readAgentStatus({ role: 'king', failover: { ...failover, ...wrong } }, 'u', 5)).toEqual({
        uid: 'u',
        answeredAt: 5,
        phase: 'unknown',
        segments: [],
      });
  });
});

test('while nobody writes it is said who takes the place, and a reader is not called the writer', () => {
  const observed = taken(FAILOVER);
  const [first, second] = observed.computePods;
  if (first === undefined || second === undefined) throw new Error('two pods');
  const readers: Observed = { ...observed, agents: new Map(['demo-1', 'demo-2'].map((name) => [name, reader(name)])) };
  expect(condition(statusOf(readers), 'WriterAvailable')).toMatchObject({ status: 'False', reason: 'WriterLost' });
  const lost = {
    ...readers,
    computePods: [running(first, { ready: false, phase: 'Pending' }), second],
    agents: new Map([['demo-2', reader('demo-2')]]),
  };
  expect(condition(statusOf(lost), 'WriterAvailable')?.message).toContain('demo-2 takes its place');
});

test('a reader that is on its way to be the writer is not told as lost', () => {
  const served = statusOf(taken({ ...FAILOVER, reason: 'switchover' })).instances ?? [];
  const was = ran({ writer: 'demo-1', phase: 'Ready', instances: served.map((one) => ({ ...one, state: 'Serving' })) });
  const observed = taken(FAILOVER, 'opening');
  const going = { ...observed, cluster: { ...observed.cluster, status: was } };
  const status = statusOf(going);
  expect(status.instances?.find(({ name }) => name === 'demo-2')).toMatchObject({ role: 'reader', state: 'Starting' });
  expect(noticesOf(was, status, NOW).map(({ reason }) => reason)).not.toContain('ReaderUnavailable');
});
