import { expect, test } from 'vitest';
import type { AdviceStatus } from '../api/status-types.ts';
import { agentReport, healthy, readerReport } from '../testing/fixtures.ts';
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
