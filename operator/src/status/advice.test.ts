import { expect, test } from 'vitest';
import type { AdviceStatus } from '../api/status-types.ts';
import { agentReport, daemonReport, healthy, NOW, readerReport } from '../testing/fixtures.ts';
import { statusOf } from '../testing/statuses.ts';

const ADVICE: AdviceStatus = {
  id: 'deadRows',
  severity: 'warning',
  subject: 'app: t',
  what: 'many',
  since: '2026-01-01T00:00:00.000Z',
  remedy: 'VACUUM t',
  query: 'select 1',
};

test.each([
  ['what the writer found', agentReport({ advice: [ADVICE] }), [ADVICE]],
  ['nothing to do', agentReport({ advice: [] }), undefined],
  ['not looked yet', agentReport(), undefined],
  ['what one found that reads by now', readerReport('demo-1', { role: 'reader', advice: [ADVICE] }), undefined],
])('%s', (_what, agent, advice) => {
  const observed = healthy();
  expect(statusOf({ ...observed, agents: new Map([['demo-1', agent]]) }).advice).toEqual(advice);
});

const DAY_S = 86_400;
const HINT: AdviceStatus = { ...ADVICE, id: 'unusedIndex', severity: 'hint' };

/** What is said of the disks of two daemons: share that is free, and days until they are full. */
function ofDisks(...disks: readonly (readonly [free: number, days: number])[]): readonly AdviceStatus[] {
  const observed = healthy();
  const daemons = new Map(observed.daemons);
  for (const [index, [diskFree, days]] of disks.entries())
    daemons.set(`demo-storage-${index}`, daemonReport(index, { diskFree, diskFullInSeconds: days * DAY_S }));
  return statusOf({ ...observed, daemons, agents: new Map([['demo-1', agentReport({ advice: [HINT] })]]) }).advice ?? [];
}

test.each<[string, readonly (readonly [number, number])[], string | undefined, string]>([
  ['a disk that fills, with much free', [[0.6, 3]], undefined, ''],
  ['one that is full in a month', [[0.2, 30]], undefined, ''],
  ['one that is full in three days', [[0.2, 3.5]], 'warning', 'the disk of demo-storage-0 is full in 3 days; a daemon'],
  ['one that is full today', [[0.02, 0.4]], 'critical', 'the disk of demo-storage-0 is full within a day; a daemon'],
  [
    'two of them, the second sooner',
    [
      [0.3, 9],
      [0.2, 1.5],
    ],
    'warning',
    'the disk of demo-storage-1 is full in a day; 1 more is within 14 days; a daemon',
  ],
])('%s', (_what, disks, severity, words) => {
  const [first, second] = ofDisks(...disks);
  if (severity === undefined) {
    expect(first).toEqual(HINT);
    return;
  }
  expect(first).toMatchObject({ id: 'diskFullSoon', severity, subject: 'storage', since: new Date(NOW).toISOString() });
  expect(first?.what).toContain(words);
  expect(first?.query).toBe('kubectl aurora storage demo -n default');
  expect(second).toEqual(HINT);
});
