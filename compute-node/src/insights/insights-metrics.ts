import { scrapedCounters, scrapedGauges } from '@kube-aurora/process';
import type { Registry } from 'prom-client';
import { SESSION_STATES, type Activity } from './activity.ts';
import type { LookView } from './sampler.ts';
import type { ServerCounts, ServerStatistics } from './server-statistics.ts';
import type { TopStatements } from './top-statements.ts';
import type { WaitLoad } from './wait-load.ts';

/** What metrics are made of; what nobody knows at present has no series. */
export interface MeasuredInsights {
  readonly activity: { readonly activity: Activity | undefined; readonly load: Pick<WaitLoad, 'totals'> };
  readonly statistics: { readonly statistics: ServerStatistics | undefined };
  readonly statements: { readonly top: TopStatements };
  readonly looks: readonly LookView[];
}

/** Metrics of PostgreSQL itself, from what the agent heard last: a scrape asks nothing. */
export function createInsightsMetrics(registry: Registry, insights: MeasuredInsights): void {
  const gauge = scrapedGauges(registry);
  // PostgreSQL, or somebody else here, counts; it begins anew with each start, as a counter may.
  const counter = scrapedCounters(registry);

  counter(
    'aurora_load_session_seconds_total',
    'Seconds that sessions were at work, by what they waited for at that moment, looked at once a second; type and event are CPU where they waited for nothing. The rate is the load: how many sessions were at work on average',
    ['type', 'event'],
    (it) => {
      for (const { type, event, seconds } of insights.activity.load.totals) it.inc({ type, event }, seconds);
    },
  );
  const ofActivity = (name: string, help: string, value: (activity: Activity) => number): void =>
    gauge(name, help, [], (it) => {
      const { activity } = insights.activity;
      if (activity !== undefined) it.set(value(activity));
    });
  gauge('aurora_connections', 'Sessions of clients that have logged in, by state', ['state'], (it) => {
    const { activity } = insights.activity;
    if (activity !== undefined) for (const state of SESSION_STATES) it.set({ state }, activity.connections[state]);
  });
  ofActivity('aurora_oldest_transaction_seconds', 'Age of the oldest transaction of a client', (it) => it.oldestTransactionS);
  ofActivity(
    'aurora_idle_in_transaction_seconds',
    'The longest time for which a client has left its transaction open and idle',
    (it) => it.longestIdleInTransactionS,
  );
  ofActivity('aurora_autovacuum_workers', 'Autovacuum workers that run', (it) => it.autovacuumWorkers);

  const ofStatistics = (name: string, help: string, value: (counts: ServerCounts) => number): void =>
    gauge(name, help, [], (it) => {
      const { statistics } = insights.statistics;
      if (statistics !== undefined) it.set(value(statistics));
    });
  const counted = (name: string, help: string, value: (counts: ServerCounts) => number): void =>
    counter(name, help, [], (it) => {
      const { statistics } = insights.statistics;
      if (statistics !== undefined) it.inc(value(statistics));
    });
  const countedBy = (name: string, help: string, label: string, values: (counts: ServerCounts) => Readonly<Record<string, number>>): void =>
    counter(name, help, [label], (it) => {
      const { statistics } = insights.statistics;
      if (statistics === undefined) return;
      for (const [key, value] of Object.entries(values(statistics))) it.inc({ [label]: key }, value);
    });
  countedBy(
    'aurora_transactions_total',
    'Transactions that ended, in all databases, by outcome; the agent’s own looks, about one a second, are among them',
    'outcome',
    ({ committed, rolledBack }) => ({ committed, rolledBack }),
  );
  countedBy(
    'aurora_tuples_total',
    'Rows, in all databases, by what was done with them: returned by scans, fetched by indexes, inserted, updated, deleted',
    'action',
    ({ returned, fetched, inserted, updated, deleted }) => ({ returned, fetched, inserted, updated, deleted }),
  );
  countedBy(
    'aurora_buffers_total',
    'Pages that PostgreSQL wanted, by whether they were in its shared buffers (hit) or read; where those came from: aurora_cache_pages_hit and _missed',
    'outcome',
    ({ buffersHit, buffersRead }) => ({ hit: buffersHit, read: buffersRead }),
  );
  counted('aurora_deadlocks_total', 'Deadlocks that ended a transaction', ({ deadlocks }) => deadlocks);
  counted('aurora_temporary_files_total', 'Temporary files that queries wrote', ({ tempFiles }) => tempFiles);
  counted('aurora_temporary_bytes_total', 'Bytes that queries wrote to temporary files', ({ tempBytes }) => tempBytes);
  ofStatistics(
    'aurora_xid_age',
    'Transactions since the oldest id that is not frozen, of the database that is furthest: at 2 billion PostgreSQL takes no more writes',
    ({ xidAge }) => xidAge,
  );
  ofStatistics('aurora_multixact_age', 'The same of multixacts', ({ multixactAge }) => multixactAge);
  ofStatistics(
    'aurora_connections_limit',
    'Connections that roles which are no superusers may have (max_connections less what is reserved)',
    ({ connectionsLimit }) => connectionsLimit,
  );
  ofStatistics(
    'aurora_autovacuum_workers_limit',
    'Autovacuum workers that may run',
    ({ autovacuumWorkersLimit }) => autovacuumWorkersLimit,
  );
  gauge(
    'aurora_slot_retained_bytes',
    'WAL on the compute’s disk that a replication slot needs, of the twenty that need most; active is true while somebody reads it',
    ['slot', 'active'],
    (it) => {
      for (const { name, active, retainedBytes } of insights.statistics.statistics?.slots ?? [])
        it.set({ slot: name, active: String(active) }, retainedBytes);
    },
  );

  const ofStatements = (name: string, help: string, value: (one: { calls: number; seconds: number }) => number): void =>
    counter(name, help, ['queryid'], (it) => {
      const { top } = insights.statements;
      if (top.kind === 'known') for (const one of top.statements) it.inc({ queryid: one.queryId }, value(one));
    });
  ofStatements(
    'aurora_statement_seconds_total',
    'Time that the ten statements took which took most, by pg_stat_statements; the agent’s /status has their texts',
    ({ seconds }) => seconds,
  );
  ofStatements('aurora_statement_calls_total', 'How often they ran', ({ calls }) => calls);

  gauge('aurora_insights_up', '1 while PostgreSQL answers this look of the agent’s', ['look'], (it) => {
    for (const { name, outcome } of insights.looks) it.set({ look: name }, outcome.kind === 'taken' ? 1 : 0);
  });
  counter('aurora_insights_failures_total', 'Looks that PostgreSQL refused or did not answer', ['look'], (it) => {
    for (const { name, failures } of insights.looks) it.inc({ look: name }, failures);
  });
  counter('aurora_insights_seconds_total', 'Time that such looks took', ['look'], (it) => {
    for (const { name, seconds } of insights.looks) it.inc({ look: name }, seconds);
  });
}
