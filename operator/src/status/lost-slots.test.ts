import { expect, test } from 'vitest';
import type { LostSlot } from '../api/status-types.ts';
import { readAgentStatus } from '../observed/reports.ts';
import { agentReport, healthy, makeCluster, NOW } from '../testing/fixtures.ts';
import { condition, ran, statusOf } from '../testing/statuses.ts';
import { noticesOf } from './transitions.ts';

const LOST: readonly LostSlot[] = [
  { name: 'to_app', why: 'it was made without failover = true, so no reader kept one like it', at: '2026-11-21T11:59:58.000Z' },
];
const before = ran({ writer: 'demo-1', phase: 'Ready' });
const told = (lostSlots: readonly LostSlot[] | undefined, phase = 'running', status = before) => {
  const report = agentReport({ uid: 'uid-of-demo-1', epoch: 4, role: 'writer', phase, ...(lostSlots === undefined ? {} : { lostSlots }) });
  return statusOf({ ...healthy(makeCluster({ status })), agents: new Map([['demo-1', report]]) });
};

test('slots that the writer has lost stand in the status, with what to do, and are an event once', () => {
  const status = told(LOST);
  expect(status.lostReplicationSlots).toEqual(LOST);
  expect(condition(status, 'ReplicationSlotsKept')).toMatchObject({
    status: 'False',
    reason: 'ReplicationSlotsLost',
    message:
      '1 did not go on with the present writer: to_app (it was made without failover = true, so no reader kept one like it); whoever reads them gets nothing: make them anew, and have subscribers copy their tables again (docs/differences.md)',
  });
  expect(status.phase).toBe('Ready');
  const lost = (one: typeof before) => noticesOf(one, status, NOW).filter(({ reason }) => reason === 'ReplicationSlotsLost');
  expect(lost(before)).toMatchObject([
    { type: 'Warning', message: expect.stringMatching(/^Replication slots that demo-1 has not: to_app \(.*make them anew/) as string },
  ]);
  expect(lost(status)).toEqual([]);
  const many = told(Array.from({ length: 40 }, (_, index) => ({ ...LOST[0]!, name: `slot_${index}`, why: 'w'.repeat(500) })));
  expect(noticesOf(before, many, NOW).find(({ reason }) => reason === 'ReplicationSlotsLost')?.message.length).toBeLessThan(1024);
});

test('they are known while the writer does not answer, and no more when somebody has made them anew', () => {
  const known = ran({ ...before, lostReplicationSlots: LOST });
  expect(told(undefined, 'opening', known).lostReplicationSlots).toEqual(LOST);
  const status = told(undefined, 'running', known);
  expect(status).not.toHaveProperty('lostReplicationSlots');
  expect(condition(status, 'ReplicationSlotsKept')).toMatchObject({ status: 'True' });
});

test('what an agent says of them is checked', () => {
  const wrong = [{ ...LOST[0], at: 'yesterday' }, { name: 7 }, 'x', null];
  expect(readAgentStatus({ lostReplicationSlots: [...LOST, ...wrong] }, 'u', 5).lostSlots).toEqual(LOST);
  expect(readAgentStatus({ lostReplicationSlots: 'x' }, 'u', 5)).not.toHaveProperty('lostSlots');
});
