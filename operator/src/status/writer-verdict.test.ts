import { describe, expect, test } from 'vitest';
import type { Observed } from '../observed/observed.ts';
import { agentReport, healthy, makeCluster, NOW, running } from '../testing/fixtures.ts';
import { readAgentStatus, type AgentReport } from '../observed/reports.ts';
import { statusOf, condition, down, ran } from '../testing/statuses.ts';

describe("PostgreSQL's own words", () => {
  const observed = healthy(makeCluster({ status: ran() }));
  const readyWith = (change: Partial<AgentReport>): ReturnType<typeof condition> =>
    condition(
      statusOf({
        ...observed,
        computePods: observed.computePods.map((pod) => running(pod, { ready: false })),
        agents: new Map([['demo-1', agentReport(change)]]),
      }),
      'Ready',
    );

  test('reach the status when it does not start, with a reason of its own', () => {
    expect(
      readyWith({ phase: 'opening', reason: 'postgresFailed', message: 'FATAL: could not map anonymous shared memory' }),
    ).toMatchObject({
      reason: 'PostgresFailed',
      message: 'PostgreSQL on demo-1 is not up and is tried again: FATAL: could not map anonymous shared memory',
    });
    expect(readyWith({ phase: 'opening', reason: 'settingsRefused', message: 'x' })).toMatchObject({ reason: 'SettingsRefused' });
  });

  test('stay there while the next try is under way', () => {
    const failure = { reason: 'postgresFailed', message: 'PANIC: oops', at: '2026-11-21T11:59:00Z' } as const;
    expect(readyWith({ phase: 'opening', reason: 'startingPostgres', message: 'starting PostgreSQL', failure })?.message).toBe(
      'demo-1 opens the volume: starting PostgreSQL; before that PostgreSQL failed: PANIC: oops',
    );
  });
});

test.each([
  [
    'engineMismatch',
    'EngineMismatch',
    'the volume is of PostgreSQL 19, and this compute runs PostgreSQL 18: start the compute of a release',
  ],
  ['rolesMismatch', 'RolesMismatch', 'demo-storage-0 says that it is TAIL'],
  ['volumeMissing', 'VolumeMissing', 'all of them are empty, but this volume held a database'],
] as const)('a writer that cannot open the volume is not called one that waits: %s', (reason, expected, message) => {
  const body = { phase: 'opening', reason, message, segments: [] };
  const observed = healthy(makeCluster({ status: ran() }));
  const [pod] = observed.computePods;
  const report = readAgentStatus(body, pod?.metadata.uid ?? '', NOW);
  const status = statusOf({
    ...observed,
    computePods: observed.computePods.map((one) => running(one, { ready: false })),
    agents: new Map([['demo-1', report]]),
  });
  expect(condition(status, 'Ready')).toMatchObject({ reason: expected, message: `demo-1 cannot open the volume: ${message}` });
  expect(status.message).toContain(message);
  expect(status.instances?.[0]?.reason).toBe(reason);
});

test('a writer that gets no answer from four segments is not called ready, however many are up', () => {
  const agents = new Map([['demo-1', agentReport({ reason: 'noQuorum', since: '2026-11-21T11:59:00Z', message: 'no quorum for 12 s' })]]);
  const status = statusOf({ ...healthy(makeCluster({ status: ran() })), agents });
  expect(status.phase).toBe('QuorumLost');
  expect(condition(status, 'Ready')).toMatchObject({
    status: 'False',
    reason: 'QuorumLost',
    message: expect.stringContaining('no quorum for 12 s'),
  });
});

describe('the writer', () => {
  test('whose answer is from before its container started has yet to say what it opened', () => {
    const observed = healthy();
    const restarted = observed.computePods.map((pod) =>
      running(pod, {
        container: { name: 'main', ready: true, restartCount: 1, state: { running: { startedAt: new Date(NOW).toISOString() } } },
      }),
    );
    const ready = restarted.map((pod) => ({
      ...pod,
      status: { ...pod.status, conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: new Date(NOW).toISOString() }] },
    }));
    expect(condition(statusOf({ ...observed, computePods: ready }), 'WriterAvailable')?.status).toBe('False');
  });

  test('that cannot be asked is trusted when its pod has been ready for a while', () => {
    expect(condition(statusOf({ ...healthy(), agents: new Map() }), 'WriterAvailable')?.status).toBe('True');
  });
});

describe('a writer that is not ready says what it waits for', () => {
  const notReady = (observed: Observed): Observed => ({
    ...observed,
    computePods: observed.computePods.map((pod) => running(pod, { ready: false })),
  });
  const message = (observed: Observed): string | undefined => condition(statusOf(observed), 'WriterAvailable')?.message;

  test('its agent, where that answers', () => {
    const waiting = 'waiting for storage: 3 of 6 segments answered, 4 are needed';
    const agents = new Map([['demo-1', agentReport({ phase: 'opening', message: waiting })]]);
    expect(message({ ...notReady(healthy()), agents })).toBe(`demo-1 opens the volume: ${waiting}`);
  });

  test('the segments, while its agent does not answer', () => {
    expect(message({ ...notReady(down(healthy(), 0, 3, 4)), agents: new Map() })).toBe(
      'demo-1 waits for storage: 3 of 6 segments are up, 4 are needed',
    );
  });

  test('its first readiness', () => {
    expect(message(notReady(healthy()))).toBe('demo-1 runs PostgreSQL and is about to be ready');
  });
});
