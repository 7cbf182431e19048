import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import { DB_STATE, decodePgControl, StructFormatError } from '@kube-aurora/pg-format';

const POLL_MS = 3;

/**
 * Resolves when the PostgreSQL on `dataDir`, which is promoted, takes writes: pg_control says so once every session finds
 * recovery over (`pg_ctl promote` looks there as well). Resolves too when `signal` aborts.
 */
export async function recoveryEnds(dataDir: string, clock: Pick<Clock, 'sleep'>, signal: AbortSignal): Promise<void> {
  while (!signal.aborted && !isInProduction(dataDir)) await clock.sleep(POLL_MS, signal);
}

function isInProduction(dataDir: string): boolean {
  try {
    return decodePgControl(readFileSync(join(dataDir, 'global', 'pg_control'))).state === DB_STATE.IN_PRODUCTION;
  } catch (error) {
    // Read while it is written: the next look finds it whole.
    if (error instanceof StructFormatError) return false;
    throw error;
  }
}
