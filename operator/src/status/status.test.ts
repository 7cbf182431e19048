import { describe, expect, test } from 'vitest';
import { ANNOTATION } from '../api/names.ts';
import type { AuroraClusterStatus } from '../api/status-types.ts';
import type { Observed } from '../observed/observed.ts';
import type { Pod } from '../kube/objects.ts';
import { checkManifest } from '../testing/manifest-check.ts';
import {
  agentReport,
  daemonReport,
  healthy,
  makeCluster,
  mapSegments,
  NOW,
  outdatedPod,
  running,
  segmentAt,
  untouched,
  VOLUME,
  withEntry,
  without,
  withSegment,
} from '../testing/fixtures.ts';
import { readDaemonStatus } from '../observed/reports.ts';
import { noticesOf } from './transitions.ts';
import { statusOf, condition, down, ran, gone, faulty } from '../testing/statuses.ts';

describe('phases', () => {
  const before = makeCluster({ status: ran() });
  const cases: readonly (readonly [string, Observed, string])[] = [
    ['nothing yet', untouched(), 'Creating'],
    ['all well', healthy(), 'Ready'],
    ['one copy missing', down(healthy(), 0), 'Degraded'],
    ['a zone missing', down(healthy(), 1, 4), 'Degraded'],
    ['no quorum', down(healthy(before), 0, 1, 2), 'QuorumLost'],
    ['no quorum before it ever ran', down(healthy(), 0, 1, 2), 'Creating'],
    ['no quorum and the writer says it runs', down(healthy(before), 0, 1, 2), 'QuorumLost'],
    ['no writer', { ...healthy(before), computePods: [] }, 'WriterUnavailable'],
    ['first database', { ...healthy(), agents: new Map([['demo-1', agentReport({ phase: 'bootstrapping' })]]) }, 'Bootstrapping'],
    ['first open', { ...healthy(), agents: new Map([['demo-1', agentReport({ phase: 'opening' })]]) }, 'Opening'],
    ['later open', { ...healthy(before), agents: new Map([['demo-1', agentReport({ phase: 'opening' })]]) }, 'WriterUnavailable'],
    [
      'being replaced',
      { ...healthy(), storagePods: withSegment(healthy().storagePods, 0, outdatedPod(segmentAt(healthy().storagePods, 0))) },
      'Updating',
    ],
    ['a spec that cannot be', untouched(makeCluster({ spec: { storage: { size: 'x' } } })), 'Blocked'],
  ];
  test.each(cases)('%s', (_what, observed, phase) => {
    expect(statusOf(observed).phase).toBe(phase);
  });
});

test('a copy that a new writer has not heard of is not said to lack the whole volume', () => {
  const observed = gone(healthy(makeCluster({ status: ran() })), 0);
  const segments = [{ id: 'demo-storage-0', state: 'UNKNOWN', behindBytes: 8192 }];
  const status = statusOf({ ...observed, agents: new Map([['demo-1', agentReport({ segments })]]) });
  expect(status.storage?.segments[0]).toMatchObject({ id: 'demo-storage-0', state: 'UNREACHABLE', sound: false });
  expect(status.storage?.segments[0]).not.toHaveProperty('behindBytes');
  expect(status.storage?.segments[1]).toMatchObject({ ready: true, sound: true });
});

test('the whole status of a healthy cluster, and it fits the schema', () => {
  const status = statusOf({
    ...healthy(),
    agents: new Map([['demo-1', agentReport({ segments: [{ id: 'demo-storage-0', state: 'READY', scl: '0/2000', behindBytes: 0 }] })]]),
  });
  expect(status).toMatchObject({
    observedGeneration: 2,
    phase: 'Ready',
    message: 'connect to demo-rw.default:5432',
    volumeId: VOLUME,
    writer: 'demo-1',
    epoch: 3,
    vdl: '0/2000',
    instances: [{ name: 'demo-1', role: 'writer', zone: 'zone-a', phase: 'running', ready: true, restarts: 0, epoch: 3 }],
    storage: { summary: '6/6', ready: 6, desired: 6, initialized: true, bytesUsed: 6000 },
    endpoints: { readWrite: 'demo-rw.default.svc:5432' },
    secrets: { superuser: 'demo-superuser', app: 'demo-app' },
  });
  expect(status.storage?.segments[0]).toEqual({
    id: 'demo-storage-0',
    zone: 'zone-a',
    role: 'FULL',
    node: 'node-zone-a',
    ready: true,
    state: 'READY',
    sound: true,
    scl: '1/2000',
    behindBytes: 0,
    bytesUsed: 1000,
  });
  expect(status.conditions?.every(({ status: is, observedGeneration }) => is === 'True' && observedGeneration === 2)).toBe(true);
  for (const one of [status, statusOf(untouched()), statusOf(down(healthy(), 0, 1, 2))]) {
    expect(
      checkManifest({
        apiVersion: 'kube-aurora.dev/v1alpha1',
        kind: 'AuroraCluster',
        metadata: { name: 'demo' },
        spec: { storage: { size: '1Gi' } },
        status: JSON.parse(JSON.stringify(one)),
      }),
    ).toEqual([]);
  }
});

test('messages name the zone and say what to do', () => {
  const zone = statusOf(down(healthy(makeCluster({ status: ran() })), 1, 4));
  expect(condition(zone, 'StorageRedundant')?.message).toBe(
    '4 of 6 segments are up; missing: all of zone-b (demo-storage-1, demo-storage-4); they catch up by themselves when they are back',
  );
  expect(condition(zone, 'Ready')?.status).toBe('True');
  const lost = statusOf(down(healthy(makeCluster({ status: ran() })), 0, 1, 2));
  expect(condition(lost, 'Ready')).toMatchObject({
    status: 'False',
    reason: 'QuorumLost',
    message: expect.stringContaining('writes wait; missing: demo-storage-0, demo-storage-1, demo-storage-2; nothing acknowledged is lost'),
  });
});

describe('what is lost is said only where it is known', () => {
  const begun = (): Observed => healthy(makeCluster({ status: ran() }));
  const quorum = (observed: Observed): string => condition(statusOf(observed), 'StorageQuorum')?.message ?? '';

  test('names the engine that a daemon does not have, and keeps the claim', () => {
    const observed = faulty(begun(), { kind: 'ENGINE_UNKNOWN', engine: 'postgres 19' }, 0, 1, 2);
    expect(quorum(observed)).toContain('a volume of postgres 19, which its daemon does not have');
    const advice = condition(statusOf(observed), 'StorageRedundant')?.message ?? '';
    expect(advice).toContain('keep its claim, and give it the image of a release that has postgres 19');
    expect(advice).not.toContain('delete pvc');
  });

  test('three sound copies have every acknowledged commit', () => {
    expect(quorum(gone(begun(), 0, 1, 2))).toBe(
      '3 of 6 segments are up and four are needed: writes wait; missing: demo-storage-0, demo-storage-1, demo-storage-2; nothing acknowledged is lost: 3 sound copies answer',
    );
  });

  test('of mixed copies three tails are not enough to write or to know, three full ones and any four are', () => {
    const mixed = (): Observed => healthy(makeCluster({ status: ran(), spec: { storage: { size: '10Gi', copies: 'Mixed' } } }));
    const isTrue = (observed: Observed): boolean => condition(statusOf(observed), 'StorageQuorum')?.status === 'True';
    expect(quorum(gone(mixed(), 0, 1, 2))).toBe(
      '3 of 6 segments are up and four, or the three full ones, are needed: writes wait; missing: demo-storage-0, demo-storage-1, demo-storage-2; whether anything acknowledged is lost is not known while fewer than 3, one of them full, sound copies answer (now 3): keep all claims and disks',
    );
    expect(isTrue(gone(mixed(), 3, 4, 5))).toBe(true);
    expect(isTrue(gone(mixed(), 0, 1))).toBe(true);
    expect(isTrue(gone(mixed(), 0, 1, 3))).toBe(false);
    expect(statusOf(mixed()).storage?.segments.map(({ role }) => role)).toEqual(['FULL', 'FULL', 'FULL', 'TAIL', 'TAIL', 'TAIL']);
  });

  test('a tail that holds pages in a full segment’s place is named, with whose, since when and why', () => {
    const mixed = healthy(makeCluster({ status: ran(), spec: { storage: { size: '10Gi', copies: 'Mixed' } } }));
    const body = {
      segments: [
        {
          volumeId: 'v',
          pg: 0,
          phase: 'READY',
          scl: '33558528',
          standIn: { of: 'demo-storage-0', sinceUnixMs: '1795694400000', reason: 'SILENT' },
        },
      ],
    };
    const report = readDaemonStatus(body, 'uid-of-demo-storage-3', { volumeId: 'v', pg: 0 }, NOW - 1_000);
    const status = statusOf({ ...gone(mixed, 0), daemons: withEntry(mixed.daemons, 'demo-storage-3', report) });
    expect(status.storage?.segments[3]).toMatchObject({
      role: 'TAIL',
      standIn: { of: 'demo-storage-0', since: '2026-11-26T12:00:00.000Z', reason: 'SILENT' },
    });
    expect(condition(status, 'StorageRedundant')?.message).toContain(
      'missing: demo-storage-0; they catch up by themselves when they are back; demo-storage-3 holds pages in the place of demo-storage-0 since 2026-11-26T12:00:00.000Z, which did not answer, until that one has them all',
    );
    expect(
      readDaemonStatus(
        { segments: [{ volumeId: 'v', pg: 0, standIn: { of: 'x', sinceUnixMs: '99999999999999999' } }] },
        'u',
        { volumeId: 'v', pg: 0 },
        NOW,
      ).standIn,
    ).toBeUndefined();
  });

  test('two do not; damage is counted and named beside what is missing', () => {
    const message = quorum(
      faulty(gone(begun(), 0, 1), { kind: 'REDO_FAILED', lsn: '0/99', record: 'Btree/INSERT_LEAF', page: '1663/5/6 block 7' }, 2, 3),
    );
    expect(message).toBe(
      '2 of 6 segments are up and four are needed: writes wait; missing: demo-storage-0, demo-storage-1; demo-storage-2 has redo that cannot be applied (Btree/INSERT_LEAF, page 1663/5/6 block 7, at 0/99); demo-storage-3 has redo that cannot be applied (Btree/INSERT_LEAF, page 1663/5/6 block 7, at 0/99); whether anything acknowledged is lost is not known while fewer than 3 sound copies answer (now 2): keep all claims and disks',
    );
    expect(message).not.toContain('nothing acknowledged is lost');
  });

  test('copies that have redo to recover prove nothing', () => {
    const observed = gone(begun(), 0, 1);
    const daemons = new Map([...observed.daemons].map(([name, report], at) => [name, at < 2 ? { ...report, mustRecover: true } : report]));
    expect(quorum({ ...observed, daemons })).toContain('(now 2): keep all claims');
  });
});

test('volumes that grow: where each is, and two events', () => {
  const cluster = (status?: AuroraClusterStatus) =>
    makeCluster({ spec: { storage: { size: '20Gi' } }, ...(status === undefined ? {} : { status }) });
  const at = (capacity: string, type?: string): Observed => {
    const observed = healthy(cluster());
    const conditions = type === undefined ? [] : [{ type, status: 'True', message: '' }];
    const claims = mapSegments(observed.claims, (claim, index) => ({
      ...claim,
      status: { phase: 'Bound', capacity: { storage: index === 0 ? capacity : '20Gi' }, conditions },
    }));
    return { ...observed, claims };
  };
  const growing = statusOf(at('10Gi', 'FileSystemResizePending'));
  expect(growing.phase).toBe('Ready');
  expect(condition(growing, 'UpToDate')).toMatchObject({
    status: 'False',
    reason: 'StorageGrowing',
    message: 'volumes grow: demo-storage-0 from 10Gi to 20Gi (its node has yet to grow the file system)',
  });
  expect(growing.message).toContain('; volumes grow: demo-storage-0');
  expect(growing.storage?.segments.map(({ size }) => size)).toEqual(['10Gi', ...Array.from({ length: 5 }, () => '20Gi')]);
  const grown = statusOf({ ...at('20Gi'), cluster: cluster(growing) });
  expect(condition(grown, 'UpToDate')?.status).toBe('True');
  expect(noticesOf(statusOf(at('20Gi')), growing, NOW).map(({ reason }) => reason)).toEqual(['StorageGrowing']);
  expect(noticesOf(growing, grown, NOW).map(({ reason }) => reason)).toEqual(['StorageGrown']);
});

describe('no redundancy while a segment is down', () => {
  const redundant = (observed: Observed): string | undefined => condition(statusOf(observed), 'StorageRedundant')?.status;

  test('a daemon that is silent while others answer is down after five seconds, though its pod still counts as ready', () => {
    const silentFor = (ms: number): Observed => ({
      ...healthy(),
      daemons: withEntry(healthy().daemons, 'demo-storage-2', daemonReport(2, { silentSince: NOW - ms })),
    });
    expect(redundant(silentFor(1_000))).toBe('True');
    expect(redundant(silentFor(5_000))).toBe('False');
  });

  test('what a container said before it was started again does not count', () => {
    const observed = healthy();
    const container = { name: 'main', ready: true, restartCount: 1, state: { running: { startedAt: new Date(NOW).toISOString() } } };
    const restarted = running(segmentAt(observed.storagePods, 2), { container });
    expect(redundant({ ...observed, storagePods: withSegment(observed.storagePods, 2, restarted) })).toBe('False');
  });

  test('a pod that is being stopped is not up', () => {
    const observed = healthy();
    const pod = segmentAt(observed.storagePods, 2);
    const leaving = { ...pod, metadata: { ...pod.metadata, deletionTimestamp: new Date(NOW).toISOString() } };
    expect(redundant({ ...observed, storagePods: withSegment(observed.storagePods, 2, leaving) })).toBe('False');
  });

  test('where no daemon can be asked at all, readiness has to do', () => {
    expect(redundant({ ...healthy(), daemons: new Map() })).toBe('True');
  });
});

describe('nothing "comes back by itself" that keeps failing', () => {
  const log = [
    '{"level":"info","component":"storage-daemon","msg":"starting"}',
    '{"level":"fatal","component":"storage-daemon","err":{"message":"the data directory belongs to another daemon"},"msg":"stopped by an error"}',
    '',
  ].join('\n');
  const crashing = (pod: Pod, waiting: boolean): Pod =>
    running(pod, {
      ready: false,
      container: {
        name: 'main',
        ready: false,
        restartCount: 4,
        state: waiting ? { waiting: { reason: 'CrashLoopBackOff' } } : { running: { startedAt: new Date(NOW - 500).toISOString() } },
        lastState: {
          terminated: {
            exitCode: 70,
            reason: 'Error',
            message: log,
            startedAt: '2026-11-21T11:59:50Z',
            finishedAt: '2026-11-21T11:59:51Z',
          },
        },
      },
    });

  test.each([true, false])('a storage pod, with its own last words (in back-off: %s)', (waiting) => {
    const observed = healthy(makeCluster({ status: ran() }));
    const status = statusOf({
      ...observed,
      storagePods: withSegment(observed.storagePods, 2, crashing(segmentAt(observed.storagePods, 2), waiting)),
      daemons: without(observed.daemons, 'demo-storage-2'),
    });
    expect(status.message).toContain(
      'demo-storage-2 keeps failing: its container ended with exit code 70: the data directory belongs to another daemon',
    );
    expect(JSON.stringify(status)).not.toContain('by themselves');
  });

  test('the writer', () => {
    const observed = healthy(makeCluster({ status: ran() }));
    const status = statusOf({
      ...observed,
      computePods: observed.computePods.map((pod) => crashing(pod, true)),
      agents: new Map(),
    });
    expect(status.message).toContain('demo-1 keeps failing');
    expect(JSON.stringify(status)).not.toContain('by itself');
  });
});

test('a transition keeps its time until the next one', () => {
  const first = statusOf(healthy());
  const later = { ...healthy(makeCluster({ status: first })), now: NOW + 60_000 };
  expect(condition(statusOf(later), 'Ready')?.lastTransitionTime).toBe(condition(first, 'Ready')?.lastTransitionTime);
  expect(condition(statusOf(down(later, 0, 1, 2)), 'StorageQuorum')?.lastTransitionTime).toBe(new Date(NOW + 60_000).toISOString());
});

test('while the first volume is made, segments that have yet to take it are up', () => {
  const observed = healthy();
  const bare = segmentAt(observed.claims, 1);
  const claims = withSegment(observed.claims, 1, {
    ...bare,
    metadata: { ...bare.metadata, annotations: { [ANNOTATION.volumeId]: VOLUME } },
  });
  const daemons = withEntry(observed.daemons, 'demo-storage-1', daemonReport(1, { state: 'IMPORTING' }));
  expect(statusOf({ ...observed, claims, daemons }).storage?.summary).toBe('6/6');
  expect(statusOf({ ...observed, daemons }).storage?.summary).toBe('5/6');
});

test('a daemon that fell silent keeps its last numbers and is shown unreachable', () => {
  const observed = healthy();
  const status = statusOf({
    ...observed,
    daemons: withEntry(without(observed.daemons, 'demo-storage-5'), 'demo-storage-5', daemonReport(5, { silentSince: NOW - 1 })),
  });
  expect(status.storage?.segments[5]).toMatchObject({ state: 'UNREACHABLE', scl: '1/2000', bytesUsed: 1000 });
});
