import { CLUSTER, COMPUTE, quantile, WRITER, type Dashboard } from './dashboard.ts';

/** Is it well, and since when is it not: what to look at first. */
export const cluster: Dashboard = {
  name: 'cluster',
  title: 'kube-aurora: cluster',
  rows: [
    [
      {
        title: 'Writer serves',
        description: '1 while the writer takes connections.',
        unit: 'short',
        show: 'stat',
        width: 4,
        queries: [{ expr: `sum(aurora_cluster_instance_serving{${CLUSTER}, role="writer"})`, legend: 'writer' }],
      },
      {
        title: 'Readers that serve',
        description: 'Readers that take connections and are within spec.readers.maxLag.',
        unit: 'short',
        show: 'stat',
        width: 4,
        queries: [{ expr: `sum(aurora_cluster_instance_serving{${CLUSTER}, role="reader"}) or vector(0)`, legend: 'readers' }],
      },
      {
        title: 'Segments up',
        description: 'Of six. Commits wait with fewer than four.',
        unit: 'short',
        show: 'stat',
        width: 4,
        queries: [{ expr: `aurora_cluster_segments_ready{${CLUSTER}}`, legend: 'segments' }],
      },
      {
        title: 'Epoch',
        description: 'Grows by one each time that a writer opens the volume.',
        unit: 'short',
        show: 'stat',
        width: 4,
        queries: [{ expr: `aurora_cluster_epoch{${CLUSTER}}`, legend: 'epoch' }],
      },
      {
        title: 'Connections',
        description: 'Sessions of clients on all instances.',
        unit: 'short',
        show: 'stat',
        width: 4,
        queries: [{ expr: `sum(aurora_client_connections{${COMPUTE}})`, legend: 'connections' }],
      },
      {
        title: 'Transactions',
        description: 'A second, that ended, on all instances.',
        unit: 'ops',
        show: 'stat',
        width: 4,
        queries: [{ expr: `sum(rate(aurora_transactions_total{${COMPUTE}}[$__rate_interval]))`, legend: 'transactions' }],
      },
    ],
    [
      {
        title: 'Phase',
        description: 'status.phase of the AuroraCluster.',
        unit: 'short',
        queries: [{ expr: `aurora_cluster_phase{${CLUSTER}} == 1`, legend: '{{phase}}' }],
      },
      {
        title: 'Instances that serve',
        description: '1 while an instance takes connections, and, of a reader, is within its limit of lag.',
        unit: 'short',
        queries: [
          { expr: `aurora_cluster_instance_serving{${CLUSTER}}`, legend: '{{instance}} ({{role}})' },
          { expr: `aurora_cluster_instances_desired{${CLUSTER}}`, legend: 'wanted', isLimit: true },
        ],
      },
      {
        title: 'Reader lag',
        description: 'How old what a reader shows is.',
        unit: 's',
        queries: [{ expr: `aurora_cluster_reader_lag_seconds{${CLUSTER}}`, legend: '{{instance}}' }],
      },
    ],
    [
      {
        title: 'Commit: WAL flush to durable',
        description:
          'What a commit of the writer waits for storage. A client sees that, what PostgreSQL itself takes, and the way to it and back.',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'aurora_flush_seconds', WRITER), legend: '{{pod}} p50' },
          { expr: quantile(0.99, 'aurora_flush_seconds', WRITER), legend: '{{pod}} p99' },
        ],
      },
      {
        title: 'Redo written',
        description: 'How fast the volume durable LSN moves.',
        unit: 'Bps',
        queries: [{ expr: `rate(aurora_vdl_bytes{${WRITER}}[$__rate_interval])`, legend: '{{pod}}' }],
      },
      {
        title: 'CPU',
        description: 'Cores that the agent and PostgreSQL take, and those that they may.',
        unit: 'short',
        queries: [
          { expr: `max by (pod) (aurora_cpu_cores{${COMPUTE}})`, legend: '{{pod}}' },
          { expr: `max(aurora_cpu_cores_limit{${COMPUTE}})`, legend: 'limit', isLimit: true },
        ],
      },
    ],
    [
      {
        title: 'Failovers and switchovers',
        description: "Times that a reader took the writer's place, by why.",
        unit: 'short',
        queries: [
          { expr: `increase(aurora_cluster_failovers_total{${CLUSTER}}[$__rate_interval])`, legend: 'failover: {{reason}}' },
          {
            expr: `sum by (outcome) (increase(aurora_cluster_switchovers_total{${CLUSTER}}[$__rate_interval]))`,
            legend: 'switchover: {{outcome}}',
          },
        ],
      },
      {
        title: 'How long failovers took',
        description:
          'Mean seconds of each part, of those that the instances have done since they began: the writer is missed, the volume is open, the reader has all of it, it takes writes, it answers clients.',
        unit: 's',
        queries: [
          {
            expr: `sum by (phase) (aurora_failover_seconds_sum{${COMPUTE}}) / sum by (phase) (aurora_failover_seconds_count{${COMPUTE}})`,
            legend: '{{phase}}',
          },
        ],
      },
      {
        title: 'Operator',
        description: 'Time to work on a cluster once, and reconciles that failed.',
        unit: 's',
        queries: [
          {
            expr: 'histogram_quantile(0.99, sum by (le) (rate(aurora_operator_reconcile_seconds_bucket[$__rate_interval])))',
            legend: 'reconcile p99',
          },
          { expr: 'sum(increase(aurora_operator_reconcile_errors_total[$__rate_interval]))', legend: 'failed' },
        ],
      },
    ],
  ],
};
