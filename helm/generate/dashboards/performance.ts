import { COMPUTE, quantile, WRITER, type Dashboard, type Panel } from './dashboard.ts';

/** Of the writer, or of all readers together. */
const load = (title: string, labels: string): Panel => ({
  title,
  description:
    'Sessions that are at work on average, by what they wait for. What is over the line waits, for a processor or for what its name says.',
  unit: 'short',
  show: 'stacked',
  width: 24,
  queries: [
    {
      expr: `topk(12, sum by (type, event) (rate(aurora_load_session_seconds_total{${labels}}[$__rate_interval])) > 0)`,
      legend: '{{type}}: {{event}}',
    },
    { expr: `sum(aurora_cpu_cores_limit{${labels}})`, legend: 'vCPU', isLimit: true },
  ],
});

const STATEMENTS = 8;
/** The same ones all along: chosen anew at each moment there would be many more in a picture than anybody can tell apart. */
const OF_MOST_TIME = `and topk(${STATEMENTS}, sum by (queryid) (increase(aurora_statement_seconds_total{${COMPUTE}}[$__range] @ end())))`;

/** What the database does, and what it waits for. */
export const performance: Dashboard = {
  name: 'performance',
  title: 'kube-aurora: performance',
  rows: [
    [load('Database load of the writer, by wait event', WRITER)],
    [load('Database load of the readers, by wait event', `${COMPUTE}, kube_aurora_dev_role="reader"`)],
    [
      {
        title: 'Statements that take most time',
        description: `How many sessions were in each of the ${STATEMENTS} that took most of all this time, by pg_stat_statements’ queryid; kubectl aurora top has their texts.`,
        unit: 'short',
        show: 'stacked',
        legend: 'table',
        width: 12,
        queries: [
          { expr: `sum by (queryid) (rate(aurora_statement_seconds_total{${COMPUTE}}[5m])) ${OF_MOST_TIME}`, legend: '{{queryid}}' },
        ],
      },
      {
        title: 'What one of them takes',
        description: 'On average, in the last five minutes.',
        unit: 's',
        legend: 'table',
        width: 12,
        queries: [
          {
            expr: `sum by (queryid) (rate(aurora_statement_seconds_total{${COMPUTE}}[5m])) / sum by (queryid) (rate(aurora_statement_calls_total{${COMPUTE}}[5m])) ${OF_MOST_TIME}`,
            legend: '{{queryid}}',
          },
        ],
      },
    ],
    [
      {
        title: 'Transactions',
        description: 'A second, by outcome.',
        unit: 'ops',
        queries: [{ expr: `sum by (outcome) (rate(aurora_transactions_total{${COMPUTE}}[$__rate_interval]))`, legend: '{{outcome}}' }],
      },
      {
        title: 'Commit: WAL flush to durable',
        description: 'What a commit waits for storage.',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'aurora_flush_seconds', WRITER), legend: '{{pod}} p50' },
          { expr: quantile(0.99, 'aurora_flush_seconds', WRITER), legend: '{{pod}} p99' },
        ],
      },
      {
        title: 'Rows',
        description: 'A second, by what was done with them.',
        unit: 'ops',
        queries: [{ expr: `sum by (action) (rate(aurora_tuples_total{${COMPUTE}}[$__rate_interval]))`, legend: '{{action}}' }],
      },
    ],
    [
      {
        title: 'Where pages were found',
        description: 'Share of the pages that PostgreSQL wanted, by instance: in its shared buffers, and of the others in the pod’s cache.',
        unit: 'percentunit',
        max: 1,
        queries: [
          {
            expr: `sum by (pod) (rate(aurora_buffers_total{${COMPUTE}, outcome="hit"}[5m])) / sum by (pod) (rate(aurora_buffers_total{${COMPUTE}}[5m]))`,
            legend: '{{pod}} shared buffers',
          },
          {
            expr: `sum by (pod) (rate(aurora_cache_pages_hit{${COMPUTE}}[5m])) / (sum by (pod) (rate(aurora_cache_pages_hit{${COMPUTE}}[5m])) + sum by (pod) (rate(aurora_cache_pages_missed{${COMPUTE}}[5m])))`,
            legend: '{{pod}} local cache',
          },
        ],
      },
      {
        title: 'Pages read from storage',
        description: 'What both caches did not have.',
        unit: 'ops',
        queries: [{ expr: `sum by (pod) (rate(aurora_pages_read_total{${COMPUTE}}[$__rate_interval]))`, legend: '{{pod}}' }],
      },
      {
        title: 'Local page cache',
        description: 'Of spec.compute.cacheSize.',
        unit: 'percentunit',
        queries: [
          {
            expr: `max by (pod) (aurora_cache_bytes{${COMPUTE}}) / max by (pod) (aurora_cache_limit_bytes{${COMPUTE}})`,
            legend: '{{pod}}',
          },
        ],
      },
    ],
    [
      {
        title: 'Connections',
        description: 'By state, against what PostgreSQL allows roles that are no superusers.',
        unit: 'short',
        show: 'stacked',
        queries: [
          { expr: `sum by (state) (aurora_connections{${COMPUTE}})`, legend: '{{state}}' },
          { expr: `sum(aurora_connections_limit{${COMPUTE}})`, legend: 'limit', isLimit: true },
        ],
      },
      {
        title: 'Oldest transaction',
        description: 'Vacuum removes nothing that a transaction may still see.',
        unit: 's',
        queries: [
          { expr: `max by (pod) (aurora_oldest_transaction_seconds{${COMPUTE}})`, legend: '{{pod}}' },
          { expr: `max(aurora_idle_in_transaction_seconds{${COMPUTE}})`, legend: 'idle in transaction' },
        ],
      },
      {
        title: 'Age of transaction ids',
        description: 'Autovacuum freezes at 200 million, whatever else there is to do; at 2 billion there are no more writes.',
        unit: 'short',
        queries: [
          { expr: `max(aurora_xid_age{${WRITER}})`, legend: 'transaction ids' },
          { expr: `max(aurora_multixact_age{${WRITER}})`, legend: 'multixacts' },
        ],
      },
    ],
    [
      {
        title: 'Autovacuum workers',
        description: 'That run, and that may.',
        unit: 'short',
        queries: [
          { expr: `sum(aurora_autovacuum_workers{${WRITER}})`, legend: 'workers' },
          { expr: `max(aurora_autovacuum_workers_limit{${WRITER}})`, legend: 'limit', isLimit: true },
        ],
      },
      {
        title: 'Deadlocks and temporary files',
        description: 'Deadlocks that ended a transaction, and bytes a second that did not fit work_mem.',
        unit: 'short',
        queries: [
          { expr: `sum by (pod) (increase(aurora_deadlocks_total{${COMPUTE}}[$__rate_interval]))`, legend: '{{pod}} deadlocks' },
          { expr: `sum by (pod) (rate(aurora_temporary_bytes_total{${COMPUTE}}[$__rate_interval]))`, legend: '{{pod}} temporary B/s' },
        ],
      },
      {
        title: 'WAL that replication slots need',
        description: 'On the compute’s disk.',
        unit: 'bytes',
        queries: [{ expr: `max by (slot) (aurora_slot_retained_bytes{${COMPUTE}})`, legend: '{{slot}}' }],
      },
    ],
  ],
};
