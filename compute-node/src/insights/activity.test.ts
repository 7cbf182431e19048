import { expect, test } from 'vitest';
import { activityOf, waitingSessions, type ActivityRow } from './activity.ts';

const row = (some: Partial<ActivityRow>): ActivityRow => ({
  backend: 'client backend',
  state: 'active',
  type: null,
  event: null,
  sessions: 1,
  transactionS: 0,
  inStateS: 0,
  ...some,
});

const ROWS: readonly ActivityRow[] = [
  row({ sessions: 3, transactionS: 2 }),
  row({ type: 'IO', event: 'WalSync', sessions: 4 }),
  row({ state: 'idle', type: 'Client', event: 'ClientRead', sessions: 20, inStateS: 900 }),
  row({ state: 'idle in transaction', type: 'Client', event: 'ClientRead', sessions: 2, transactionS: 70, inStateS: 60 }),
  row({ state: 'idle in transaction (aborted)', type: 'Client', event: 'ClientRead', transactionS: 30, inStateS: 20 }),
  row({ state: 'starting', sessions: 5 }),
  row({ state: null }),
  row({ backend: 'parallel worker', type: 'IPC', event: 'MessageQueueSend', sessions: 2 }),
  row({ backend: 'autovacuum worker', type: 'Timeout', event: 'VacuumDelay', transactionS: 5000 }),
];

test('at work is who is active, workers and autovacuum with them; CPU where they wait for nothing', () => {
  expect(waitingSessions(ROWS)).toEqual([
    { type: 'CPU', event: 'CPU', sessions: 3 },
    { type: 'IO', event: 'WalSync', sessions: 4 },
    { type: 'IPC', event: 'MessageQueueSend', sessions: 2 },
    { type: 'Timeout', event: 'VacuumDelay', sessions: 1 },
  ]);
});

test('connections and transactions are those of clients', () => {
  expect(activityOf(ROWS)).toEqual({
    connections: { active: 7, idle: 20, idleInTransaction: 3, other: 6 },
    oldestTransactionS: 70,
    longestIdleInTransactionS: 60,
    autovacuumWorkers: 1,
  });
  expect(activityOf([])).toEqual({
    connections: { active: 0, idle: 0, idleInTransaction: 0, other: 0 },
    oldestTransactionS: 0,
    longestIdleInTransactionS: 0,
    autovacuumWorkers: 0,
  });
});
