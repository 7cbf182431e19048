import { describe, expect, test } from 'vitest';
import type { AuroraClusterStatus, CertificatesStatus } from '../../../operator/src/api/status-types.ts';
import { VIEWS } from '../testing/views.ts';
import { type ClusterStatus, copiesVerdict, type HealthLevel, healthOf, sclLag, viewOf } from '@kube-aurora/cluster-view';
import { certificateLines } from './certificates.ts';
import { renderOverview } from './render-overview.ts';
import { renderStatus } from './render-status.ts';
import { statusData } from './status-command.ts';

const PIPE = { width: Infinity, colour: false } as const;
const NARROW = { width: 80, colour: false } as const;
const names = Object.keys(VIEWS) as (keyof typeof VIEWS)[];
const fileOf = (name: string, beside = ''): string => `./pages/${name.replaceAll(/[ ,]+/g, '-')}${beside}.txt`;

// The operator's type is one of those that this program reads.
const read = (status: AuroraClusterStatus): ClusterStatus => status;

describe('the page on a cluster', () => {
  test.each(names)('%s', async (name) => {
    await expect(renderStatus(VIEWS[name], PIPE)).toMatchFileSnapshot(fileOf(name));
  });

  test.each(names)('fits a terminal of 80 columns: %s', (name) => {
    const page = renderStatus(VIEWS[name], NARROW);
    // Commands are for pasting, and are never cut; nor are the columns before a table's last.
    const [body = ''] = page.split('\nNext step');
    const tooLong = body.split('\n').filter((line) => line.length > 80 && !/^ {2}(INSTANCE|demo-\d|ZONE|zone-| {6})/.test(line));
    expect(tooLong).toEqual([]);
  });

  test('has colour on a terminal that wants it, and the same words', () => {
    const coloured = renderStatus(VIEWS['lost zone'], { width: Infinity, colour: true });
    expect(coloured).toContain('\u001B[31m✗ unreachable\u001B[0m');
    // oxlint-disable-next-line no-control-regex
    expect(coloured.replaceAll(/\u001B\[\d+m/g, '')).toBe(renderStatus(VIEWS['lost zone'], PIPE));
  });

  test('says by what the data is encrypted, and where tokens are passwords', () => {
    const { healthy } = VIEWS;
    const { status } = healthy.cluster;
    const page = renderStatus(
      {
        ...healthy,
        cluster: {
          ...healthy.cluster,
          status: {
            ...status,
            storage: { ...status?.storage, encryption: { secret: 'orders-key', key: 'k1' } },
            tokenLogins: { endpoint: 'demo-rw.default.svc:5433', audience: 'kube-aurora/default/demo' },
          },
        },
      },
      PIPE,
    );
    expect(page).toMatch(/^Volume .* in all · encrypted by orders-key\/k1$/m);
    expect(page).toMatch(/^ {2}tokens +demo-rw\.default\.svc:5433 +as read-write; audience kube-aurora\/default\/demo$/m);
  });

  test('has what an administrator would do in the database', () => {
    const { healthy } = VIEWS;
    const finding = {
      id: 'unusedIndexes',
      severity: 'hint',
      subject: 'app',
      what: 'index t_x is never used',
      since: new Date(healthy.now - 60_000).toISOString(),
    };
    const advice = Array.from({ length: 6 }, () => ({ ...finding, remedy: 'DROP INDEX t_x', query: 'select' }));
    const page = renderStatus({ ...healthy, cluster: { ...healthy.cluster, status: { ...healthy.cluster.status, advice } } }, PIPE);
    expect(page).toContain(
      'Advice   the most urgent of 6 findings; with -o yaml the query that shows each\n  · app: index t_x is never used (60s)\n    DROP INDEX t_x\n',
    );
    expect(page.split('DROP INDEX')).toHaveLength(6);
  });

  test('several clusters are a line each', async () => {
    const clusters = [VIEWS.healthy, VIEWS['lost zone'], VIEWS['quorum lost']].map(({ cluster }) => cluster);
    await expect(renderOverview(clusters, VIEWS.healthy.now, PIPE)).toMatchFileSnapshot('./pages/overview.txt');
  });
});

describe('health', () => {
  const LEVELS: Readonly<Record<keyof typeof VIEWS, HealthLevel>> = {
    healthy: 'well',
    'after a failover': 'well',
    'failover going on': 'down',
    'lost zone': 'degraded',
    'disk full': 'degraded',
    'all disks full': 'down',
    'one copy damaged': 'degraded',
    'quorum lost': 'down',
    'one copy down, no readers': 'degraded',
  };
  test.each(names)('of %s', (name) => {
    const { level, next, problems, meaning } = healthOf(VIEWS[name]);
    expect(level).toBe(LEVELS[name]);
    expect(next.length > 0).toBe(level !== 'well');
    expect(problems.length > 0).toBe(level !== 'well');
    expect(meaning.length > 0).toBe(level !== 'well');
  });

  test('nothing is called lost, and nothing safe that nobody can vouch for', () => {
    expect(healthOf(VIEWS['lost zone']).meaning[0]).toBe('Nothing acknowledged is lost: 4 sound copies answer.');
    expect(healthOf(VIEWS['all disks full']).meaning[0]).toBe('Nothing acknowledged is lost: 6 sound copies answer.');
    expect(healthOf(VIEWS['quorum lost']).meaning[0]).toMatch(
      /^Whether anything acknowledged is lost is not known while 2 sound copies answer/,
    );
    // An operator of an earlier release does not tell: then neither do we.
    const { cluster } = VIEWS['lost zone'];
    const { storage } = cluster.status ?? {};
    const segments = (storage?.segments ?? []).map(({ sound: _untold, ...segment }) => segment);
    const untold = { ...VIEWS['lost zone'], cluster: { ...cluster, status: { ...cluster.status, storage: { ...storage, segments } } } };
    expect(healthOf(untold).meaning.join()).not.toMatch(/lost is|is lost/);
  });

  test('an operator that is away shows, by pods that changed without its knowing', () => {
    const view = VIEWS.healthy;
    const pods = (view.pods ?? []).map((pod) =>
      pod.metadata.name === 'demo-2'
        ? {
            ...pod,
            status: { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: new Date(view.now - 20_000).toISOString() }] },
          }
        : pod,
    );
    const { level, problems, next } = healthOf({ ...view, pods });
    expect(level).toBe('degraded');
    expect(problems).toMatchObject([{ about: 'Operator', reason: 'StatusOutdated' }]);
    expect(next).toEqual(['kubectl aurora logs demo --operator']);
    // It has a moment to take it up.
    const fresh = pods.map((pod) =>
      pod.metadata.name === 'demo-2'
        ? {
            ...pod,
            status: { conditions: [{ type: 'Ready', status: 'False', lastTransitionTime: new Date(view.now - 5_000).toISOString() }] },
          }
        : pod,
    );
    expect(healthOf({ ...view, pods: fresh }).level).toBe('well');
  });

  test('a manifest that nobody has taken up', () => {
    const view = VIEWS.healthy;
    const { status: _none, ...bare } = view.cluster;
    expect(healthOf({ ...view, cluster: bare })).toMatchObject({
      level: 'busy',
      headline: 'Not taken up yet: no operator has written a status',
    });
    const changed = { ...view.cluster, metadata: { ...view.cluster.metadata, generation: 9 } };
    expect(healthOf({ ...view, cluster: changed })).toMatchObject({ level: 'busy', problems: [{ reason: 'ChangeNotSeen' }] });
  });
});

describe('copies', () => {
  const status = (roles: string, up: string): ClusterStatus => ({
    storage: {
      segments: [...roles].map((role, index) => ({
        id: `s${index}`,
        role: role === 'F' ? 'FULL' : 'TAIL',
        ready: up[index] === '1',
        sound: up[index] === '1',
      })),
    },
  });
  test.each([
    ['FFFFFF', '111111', { writesGoOn: true, toSpare: 2, nothingLost: true }],
    ['FFFFFF', '111110', { writesGoOn: true, toSpare: 1, nothingLost: true }],
    ['FFFFFF', '111100', { writesGoOn: true, toSpare: 0, nothingLost: true }],
    ['FFFFFF', '111000', { writesGoOn: false, toSpare: 0, nothingLost: true }],
    ['FFFFFF', '110000', { writesGoOn: false, toSpare: 0, nothingLost: undefined }],
    // Mixed: the three full ones are a write quorum, and three tails have no page.
    ['FFFTTT', '111000', { writesGoOn: true, toSpare: 0, nothingLost: true }],
    ['FFFTTT', '000111', { writesGoOn: false, toSpare: 0, nothingLost: undefined }],
  ] as const)('%s with %s up', (roles, up, expected) => {
    expect(copiesVerdict(status(roles, up))).toMatchObject(expected);
  });

  test('lag is what the writer says, else the distance of two LSNs', () => {
    expect(sclLag({ id: 'a', behindBytes: 12, scl: '0/10' }, '0/20')).toBe(12);
    expect(sclLag({ id: 'a', scl: '0/10' }, '1/20')).toBe(2 ** 32 + 16);
    expect(sclLag({ id: 'a', scl: '0/30' }, '0/20')).toBe(0);
    expect(sclLag({ id: 'a' }, '0/20')).toBeUndefined();
  });
});

test('certificates say when they end, and how programs speak', () => {
  const certificates: CertificatesStatus = {
    mode: 'require',
    authority: { secret: 'demo-ca', validUntil: '2036-11-18T12:00:00Z', renewedAt: '2033-07-20T12:00:00Z' },
    rotation: 'Announced',
    programs: [
      { role: 'storage', secret: 'demo-storage-tls', validUntil: '2026-11-22T06:00:00Z' },
      { role: 'compute', secret: 'demo-compute-tls', validUntil: '2026-11-21T11:58:00Z' },
    ],
  };
  expect(certificateLines({ certificates }, VIEWS.healthy.now, PIPE)).toEqual([
    'Certificates   programs speak TLS alone; a new authority is made known',
    '  CERTIFICATE   ENDS       AT (UTC)           SECRET',
    '  authority     in 3650d   2036-11-18 12:00   demo-ca',
    '  storage       in 18h     2026-11-22 06:00   demo-storage-tls',
    '  compute       2m ago     2026-11-21 11:58   demo-compute-tls',
  ]);
  expect(certificateLines({}, 0, PIPE)).toEqual([]);
});

test('as data: the operator’s status as it is, and what we make of it', () => {
  const view = VIEWS['lost zone'];
  expect(statusData(view)).toMatchObject({
    name: 'demo',
    namespace: 'default',
    health: { level: 'degraded' },
    status: view.cluster.status,
  });
  expect(read).toBeTypeOf('function');
});

test('a cluster’s view has its own pods and events alone', () => {
  const { cluster, pods = [], events = [] } = VIEWS['lost zone'];
  const other = { ...events[0], metadata: { name: 'x', namespace: 'elsewhere' } };
  const view = viewOf(cluster, [...pods, { metadata: { name: 'stranger', namespace: 'default' } }], [...events, other], 0);
  expect(view.pods).toEqual(pods);
  expect(view.events).toHaveLength(events.length);
});
