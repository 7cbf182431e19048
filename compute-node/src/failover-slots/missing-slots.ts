import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

const LOOK_AGAIN_MS = 250;

/** What a reader's PostgreSQL says of the slots that it keeps. */
export interface KeptSlots {
  /** Names of those that are of use once it is the writer's. */
  readonly kept: readonly string[];
  /** The process id of the slot synchronization worker. */
  readonly worker: number | null;
}

export interface MissingSlotsOptions {
  /** The writer's slots with failover = true, as the volume's list has them now. */
  readonly wanted: () => readonly string[];
  readonly look: () => Promise<KeptSlots>;
  /** The worker sleeps for up to 30 s where nothing changes. */
  readonly wake: (worker: number) => void;
  readonly withinMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Which of the writer's slots with failover = true this reader keeps none like: they would be lost if it were the writer now. Waits, for `withinMs` at
 * most, until it keeps all of them. Never rejects: where nobody can look, none is named.
 *
 * How far a kept slot is behind is not waited for: what lies between is given again, and left out by nobody (decision 21).
 */
export async function missingSlots({ wanted, look, wake, withinMs, clock, logger }: MissingSlotsOptions): Promise<readonly string[]> {
  const untilMs = clock.now() + withinMs;
  try {
    for (;;) {
      if (wanted().length === 0) return [];
      const { kept, worker } = await look();
      const missing = wanted().filter((name) => !kept.includes(name));
      if (missing.length === 0 || clock.now() >= untilMs) return missing;
      if (worker !== null) wake(worker);
      await clock.sleep(Math.min(LOOK_AGAIN_MS, untilMs - clock.now()));
    }
  } catch (error) {
    logger.warn({ err: error }, 'nobody could look which replication slots this reader keeps');
    return [];
  }
}

export async function keptSlots(socket: LocalSocket): Promise<KeptSlots> {
  return withSuperuser(socket, async (client) => {
    const { rows } = await client.query<{ kept: string[]; worker: number | null }>(
      `select array(select slot_name::text from pg_replication_slots where synced and not temporary and invalidation_reason is null) as kept,
         (select pid from pg_stat_activity where backend_type = 'slotsync worker' limit 1) as worker`,
    );
    const [row] = rows;
    if (row === undefined) throw new Error('PostgreSQL answered nothing');
    return row;
  });
}
