import type { SlotRow } from './slot-list.ts';

/** Test fixture: what PostgreSQL says of a logical slot that is used. */
export function slot(name: string, changes: Partial<SlotRow> = {}): SlotRow {
  return {
    slot_name: name,
    slot_type: 'logical',
    plugin: 'pgoutput',
    database: 'app',
    confirmed_flush_lsn: '0/3000100',
    restart_lsn: '0/3000000',
    catalog_xmin: '750',
    two_phase: 'false',
    two_phase_at: null,
    failover: 'true',
    invalidation_reason: null,
    ...changes,
  };
}
