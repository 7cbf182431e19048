import { COMPUTE, quantile, STORAGE, WRITER, type Dashboard } from './dashboard.ts';

/** The volume: six segments, what they hold and how quick they are. */
export const storage: Dashboard = {
  name: 'storage',
  title: 'kube-aurora: storage',
  rows: [
    [
      {
        title: 'Quorum: batch to acknowledgement, by segment',
        description:
          'From the writer’s connection to a segment and back, p99. A commit needs the fourth; two of the six get their redo late on purpose.',
        unit: 's',
        width: 12,
        queries: [{ expr: quantile(0.99, 'aurora_segment_ack_seconds', WRITER, 'segment, zone'), legend: '{{segment}} ({{zone}})' }],
      },
      {
        title: 'SCL behind',
        description: 'Redo up to the volume durable LSN that a segment has not acknowledged.',
        unit: 'bytes',
        width: 12,
        queries: [
          {
            expr: `clamp_min(scalar(max(aurora_vdl_bytes{${WRITER}})) - max by (segment, zone) (aurora_segment_scl_bytes{${WRITER}}), 0)`,
            legend: '{{segment}} ({{zone}})',
          },
        ],
      },
    ],
    [
      {
        title: 'Disk used by segments',
        description: 'Redo log and pages; the dashed line is the most since a daemon started.',
        unit: 'bytes',
        queries: [
          { expr: `aurora_storage_bytes_used{${STORAGE}}`, legend: '{{pod}}' },
          { expr: `max(aurora_storage_bytes_used_most{${STORAGE}})`, legend: 'high-water mark', isLimit: true },
        ],
      },
      {
        title: 'Disk free',
        description: 'Share of each daemon’s disk.',
        unit: 'percentunit',
        max: 1,
        queries: [{ expr: `aurora_storage_disk_free_bytes{${STORAGE}} / aurora_storage_disk_bytes{${STORAGE}}`, legend: '{{pod}}' }],
      },
      {
        title: 'Redo log',
        description: 'Redo that is kept: until a checkpoint, and for whoever holds it.',
        unit: 'bytes',
        queries: [{ expr: `aurora_storage_log_bytes{${STORAGE}}`, legend: '{{pod}}' }],
      },
    ],
    [
      {
        title: 'Batch to acknowledgement, and its sync',
        description: 'In the daemon, p99. The disk’s part is the sync.',
        unit: 's',
        queries: [
          { expr: quantile(0.99, 'aurora_storage_append_seconds', STORAGE), legend: '{{pod}}' },
          { expr: `max(${quantile(0.99, 'aurora_storage_sync_seconds', STORAGE)})`, legend: 'slowest sync', isLimit: true },
        ],
      },
      {
        title: 'Page reads, in the daemon',
        description: 'GetPages requests, p99.',
        unit: 's',
        queries: [{ expr: quantile(0.99, 'aurora_storage_read_seconds', STORAGE), legend: '{{pod}}' }],
      },
      {
        title: 'Pages served',
        description: 'Pages a second, by the daemon that gave them.',
        unit: 'ops',
        queries: [{ expr: `rate(aurora_storage_pages_read_total{${STORAGE}}[$__rate_interval])`, legend: '{{pod}}' }],
      },
    ],
    [
      {
        title: 'Repairs and damage',
        description: 'What was replaced from peers, and what failed its check.',
        unit: 'short',
        queries: [
          { expr: `sum by (kind) (increase(aurora_storage_repairs_total{${STORAGE}}[$__rate_interval]))`, legend: 'repaired: {{kind}}' },
          {
            expr: `sum by (kind) (increase(aurora_storage_corruptions_detected_total{${STORAGE}}[$__rate_interval]))`,
            legend: 'damaged: {{kind}}',
          },
        ],
      },
      {
        title: 'Segments that take no redo, or refuse reads',
        description: 'How many.',
        unit: 'short',
        queries: [
          { expr: `sum(aurora_storage_unwritable{${STORAGE}})`, legend: 'take no redo' },
          { expr: `sum(aurora_storage_damaged{${STORAGE}})`, legend: 'refuse reads' },
        ],
      },
      {
        title: 'From peers and for readers',
        description: 'Redo and copies fetched from peers, and redo sent to readers.',
        unit: 'Bps',
        queries: [
          { expr: `sum(rate(aurora_storage_fetched_bytes_total{${STORAGE}}[$__rate_interval]))`, legend: 'from peers' },
          { expr: `sum(rate(aurora_storage_followed_bytes_total{${STORAGE}}[$__rate_interval]))`, legend: 'to readers' },
        ],
      },
    ],
    [
      {
        title: 'Page reads, at the agent',
        description: 'To a storage daemon and back; the second segment is asked when the first is slow.',
        unit: 's',
        queries: [
          { expr: quantile(0.5, 'aurora_page_read_seconds', COMPUTE), legend: '{{pod}} p50' },
          { expr: quantile(0.99, 'aurora_page_read_seconds', COMPUTE), legend: '{{pod}} p99' },
        ],
      },
      {
        title: 'Redo kept for segments that are behind',
        description: 'In the writer’s memory, and sent but not acknowledged.',
        unit: 'bytes',
        queries: [
          { expr: `max(aurora_redo_ring_bytes{${WRITER}})`, legend: 'ring' },
          { expr: `max by (segment) (aurora_segment_in_flight_bytes{${WRITER}})`, legend: '{{segment}}' },
        ],
      },
      {
        title: 'Merging',
        description: 'Share of the time in which redo was applied or pages were stored.',
        unit: 'percentunit',
        queries: [{ expr: `rate(aurora_storage_merge_seconds{${STORAGE}}[$__rate_interval])`, legend: '{{pod}}' }],
      },
    ],
    [
      {
        title: 'Redo acknowledged, by who took it',
        description:
          'Messages a second, all daemons together. The thread that has the writer’s connection takes what is exactly next; the program takes the rest: after a failover, of peers, where the log is encrypted. Much by the program for long, where nothing is encrypted: commits cost the daemons more than they should.',
        unit: 'ops',
        show: 'stacked',
        width: 12,
        queries: [
          { expr: `sum by (by) (rate(aurora_storage_acknowledged_messages_total{${STORAGE}}[$__rate_interval]))`, legend: '{{by}}' },
        ],
      },
      {
        title: 'Calls that were refused',
        description: 'A second, by call and by the rule that they broke: of which nothing was taken.',
        unit: 'ops',
        width: 12,
        queries: [
          {
            expr: `sum by (rpc, reason) (rate(aurora_storage_refused_messages_total{${STORAGE}}[$__rate_interval])) > 0`,
            legend: '{{rpc}}: {{reason}}',
          },
        ],
      },
    ],
  ],
};
