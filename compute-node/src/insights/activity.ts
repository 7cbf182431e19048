import type { Clock } from '@kube-aurora/clock';
import { IS_CLIENT_SESSION } from '../postgres/client-sessions.ts';
import type { Asking, Look } from './look.ts';
import { ON_CPU, WaitLoad, type WaitingSessions } from './wait-load.ts';

/**
 * Sessions of clients, what works for them, and autovacuum. The function below
 * pg_stat_activity, since the view joins names to each session that nobody asks for here.
 */
const SELECT = `
  select backend_type as backend, state, wait_event_type as type, wait_event as event, count(*)::int as sessions,
         coalesce(extract(epoch from max(clock_timestamp() - xact_start)), 0)::float8 as "transactionS",
         coalesce(extract(epoch from max(clock_timestamp() - state_change)), 0)::float8 as "inStateS"
    from pg_stat_get_activity(null)
   where ${IS_CLIENT_SESSION} or backend_type in ('parallel worker', 'autovacuum worker')
   group by 1, 2, 3, 4`;

/** One row of it. */
export interface ActivityRow {
  readonly backend: string;
  /** Null of one that has not said yet. */
  readonly state: string | null;
  readonly type: string | null;
  readonly event: string | null;
  readonly sessions: number;
  readonly transactionS: number;
  readonly inStateS: number;
}

/** PostgreSQL's states of a session, as labels have them. */
export const SESSION_STATES = ['active', 'idle', 'idleInTransaction', 'other'] as const;
export type SessionState = (typeof SESSION_STATES)[number];

const STATE_OF: Readonly<Record<string, SessionState>> = {
  active: 'active',
  idle: 'idle',
  'idle in transaction': 'idleInTransaction',
  'idle in transaction (aborted)': 'idleInTransaction',
};

/** The sessions at one moment. */
export interface Activity {
  readonly connections: Readonly<Record<SessionState, number>>;
  /** Age of the oldest transaction of a client; 0 when none is open. */
  readonly oldestTransactionS: number;
  /** For how long a client has left its transaction open and idle. */
  readonly longestIdleInTransactionS: number;
  readonly autovacuumWorkers: number;
}

/** At work: what Performance Insights calls active. */
export function waitingSessions(rows: readonly ActivityRow[]): WaitingSessions[] {
  return rows
    .filter(({ state }) => state === 'active' || state === 'fastpath function call')
    .map(({ type, event, sessions }) => ({ type: type ?? ON_CPU, event: event ?? ON_CPU, sessions }));
}

export function activityOf(rows: readonly ActivityRow[]): Activity {
  const clients = rows.filter(({ backend }) => backend === 'client backend');
  const stateOf = ({ state }: ActivityRow): SessionState => STATE_OF[state ?? ''] ?? 'other';
  const sum = (some: readonly ActivityRow[]): number => some.reduce((total, { sessions }) => total + sessions, 0);
  const ofState = (state: SessionState): ActivityRow[] => clients.filter((row) => stateOf(row) === state);
  const most = (some: readonly ActivityRow[], of: (row: ActivityRow) => number): number => Math.max(0, ...some.map(of));
  return {
    connections: {
      active: sum(ofState('active')),
      idle: sum(ofState('idle')),
      idleInTransaction: sum(ofState('idleInTransaction')),
      other: sum(ofState('other')),
    },
    oldestTransactionS: most(clients, ({ transactionS }) => transactionS),
    longestIdleInTransactionS: most(ofState('idleInTransaction'), ({ inStateS }) => inStateS),
    autovacuumWorkers: sum(rows.filter(({ backend }) => backend === 'autovacuum worker')),
  };
}

/** What sessions do, once a second. */
export class ActivityLook implements Look {
  readonly name = 'activity';
  readonly everyMs = 1000;
  readonly load = new WaitLoad();
  readonly #clock: Clock;
  #activity: Activity | undefined;
  #lastMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined while nobody knows. */
  get activity(): Activity | undefined {
    return this.#activity;
  }

  async take(client: Asking): Promise<void> {
    const { rows } = await client.query<ActivityRow>({ name: 'insights_activity', text: SELECT });
    const now = this.#clock.now();
    this.load.note(waitingSessions(rows), this.#lastMs === undefined ? 1 : (now - this.#lastMs) / 1000);
    this.#lastMs = now;
    this.#activity = activityOf(rows);
  }

  forget(): void {
    this.#activity = undefined;
    this.#lastMs = undefined;
    this.load.forgetRecent();
  }
}
