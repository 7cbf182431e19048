import { expect, it } from 'vitest';
import { slot } from './fixture-slot-row.ts';
import { answerSlotSync } from './slot-sync-answers.ts';

/** As PostgreSQL 18 asks. */
const SLOTS =
  'SELECT slot_name, plugin, confirmed_flush_lsn, restart_lsn, catalog_xmin, two_phase, two_phase_at, failover, database, invalidation_reason ' +
  'FROM pg_catalog.pg_replication_slots WHERE failover and NOT temporary';

it('answers what a slot synchronization worker asks, in its order of columns', () => {
  expect(answerSlotSync("SELECT pg_catalog.set_config('search_path', '', false);", [])).toMatchObject({ kind: 'rows', rows: [['']] });
  const isPrimary =
    "SELECT pg_is_in_recovery(), count(*) = 1 FROM pg_catalog.pg_replication_slots WHERE slot_type='physical' AND slot_name='kube_aurora_readers'";
  expect(answerSlotSync(isPrimary, [])).toMatchObject({ kind: 'rows', rows: [['f', 't']] });
  expect(answerSlotSync(SLOTS, [slot('a')])).toMatchObject({
    kind: 'rows',
    rows: [['a', 'pgoutput', '0/3000100', '0/3000000', '750', 'false', null, 'true', 'app', null]],
  });
  expect(answerSlotSync(SLOTS, [])).toMatchObject({ kind: 'rows', rows: [] });
});

it('refuses what it does not know, rather than that it answers something else', () => {
  for (const [text, why] of [
    ['SELECT 1', 'not answered here'],
    [SLOTS.replace('failover and NOT temporary', 'true'), 'not answered here'],
    [SLOTS.replace('plugin', 'active_pid'), 'active_pid'],
    [`${SLOTS}; DROP TABLE t`, 'not answered here'],
  ] as const)
    expect(answerSlotSync(text, [slot('a')])).toMatchObject({ kind: 'refused', why: expect.stringContaining(why) as string });
});
