import { expect, test } from 'vitest';
import { keepsSlots, needsMore, standbySettings } from './standby-settings.ts';

const LIMITS = { maxConnections: 100, maxWorkerProcesses: 8, maxWalSenders: 10, maxPreparedXacts: 0, maxLocksPerXact: 64 };
const SOURCE = { dir: '/run/x', port: 5433, applicationName: 'r' };
const own = (parameters: Record<string, string>): Map<string, string> => new Map(Object.entries(parameters));

test('a reader has no less than the writer, whatever parameters it has seen', () => {
  const settings = standbySettings(LIMITS, SOURCE, own({ max_connections: '40', max_worker_processes: '20' }));
  expect(settings).toMatchObject({ max_connections: '100', max_locks_per_transaction: '64', hot_standby: 'on' });
  expect(settings).not.toHaveProperty('max_worker_processes');
  expect(settings['primary_conninfo']).toBe('host=/run/x port=5433 user=postgres application_name=r');
});

test('it starts afresh only for more than it was started with', () => {
  const parameters = own({ max_connections: '150', max_worker_processes: '4' });
  expect(needsMore(LIMITS, parameters, LIMITS)).toBe(false);
  expect(needsMore(LIMITS, parameters, { ...LIMITS, maxConnections: 150 })).toBe(false);
  expect(needsMore(LIMITS, parameters, { ...LIMITS, maxConnections: 151 })).toBe(true);
  expect(needsMore(LIMITS, parameters, { ...LIMITS, maxWorkerProcesses: 9 })).toBe(true);
  expect(needsMore(LIMITS, parameters, { ...LIMITS, maxConnections: 50 })).toBe(false);
});

test('it keeps slots like the writer’s where it can decode, and what they need is not vacuumed', () => {
  const settings = standbySettings(LIMITS, SOURCE, own({ wal_level: 'logical' }));
  expect(settings).toMatchObject({ sync_replication_slots: 'on', primary_slot_name: 'kube_aurora_readers' });
  expect(settings['primary_conninfo']).toMatch(/ dbname=postgres$/u);
  expect(standbySettings(LIMITS, SOURCE, own({ wal_level: 'replica' }))).not.toHaveProperty('sync_replication_slots');
  const keeps = (feedback: string): boolean => keepsSlots(own({ wal_level: 'logical', hot_standby_feedback: feedback }));
  expect(['off', 'OFF', 'of', 'f', 'false', 'no', 'n', '0'].filter(keeps)).toEqual([]);
  expect(['on', 'true', 'yes', '1', 't'].filter((one) => !keeps(one))).toEqual([]);
  expect(keepsSlots(own({}))).toBe(false);
});
