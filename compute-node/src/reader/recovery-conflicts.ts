import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

const LOOK_MS = 10_000;

/** What replay was held up by, in PostgreSQL's words: pg_stat_database_conflicts. */
export const CONFLICT_KINDS = ['tablespace', 'lock', 'snapshot', 'bufferpin', 'deadlock', 'active_logicalslot'] as const;

/** How many queries were canceled for each since PostgreSQL started, in all databases. */
export type RecoveryConflicts = Readonly<Record<(typeof CONFLICT_KINDS)[number], number>>;

const SELECT = `select pg_is_in_recovery() as standby, ${CONFLICT_KINDS.map((kind) => `coalesce(sum(confl_${kind}), 0)::float8 as ${kind}`).join(', ')}
  from pg_stat_database_conflicts`;

export interface WatchConflictsOptions {
  readonly socket: LocalSocket;
  readonly onCounted: (conflicts: RecoveryConflicts) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookMs?: number;
}

/** Counts, again and again, until `signal` aborts or the standby is one no more. Never rejects. */
export async function watchConflicts(options: WatchConflictsOptions, signal: AbortSignal): Promise<void> {
  const { socket, onCounted, clock, logger, lookMs = LOOK_MS } = options;
  while (!signal.aborted) {
    try {
      const { rows } = await withSuperuser(socket, (client) => client.query<RecoveryConflicts & { standby: boolean }>(SELECT));
      const [row] = rows;
      if (signal.aborted || row?.standby !== true) return;
      const { standby: _, ...conflicts } = row;
      onCounted(conflicts);
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'the conflicts of replay with queries could not be counted');
    }
    await clock.sleep(lookMs, signal);
  }
}
