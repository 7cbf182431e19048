import { parseLsn } from '@kube-aurora/pg-format/lsn';
import { type Cluster, formatBytes, type Metrics, sclLag, type Segment, total } from '@kube-aurora/cluster-view';
import { segmentState } from '../status/segment-row.ts';
import { paint, type Screen } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';
import type { Figures } from './fetch-metrics.ts';
import { missingLines } from './render-top.ts';

const HEADERS = [
  'SEGMENT',
  'ZONE',
  'ROLE',
  'STATE',
  'SCL LAG',
  'USED',
  'OF',
  'FREE',
  'LOG',
  'UNCHECKPOINTED',
  'QUEUE',
  'REPAIRS',
  'REDO HELD BY',
];

/** What the six copies hold, and why. Pure. */
export function renderStorage({ metadata, status }: Cluster, figures: Figures, screen: Screen): string {
  const segments = status?.storage?.segments ?? [];
  const vdl = status?.vdl;
  const rows = segments.map((segment) => row(segment, vdl, figures.byPod.get(segment.id)));
  const used = status?.storage?.bytesUsed;
  const lines = [
    `${paint(screen, 'bold', metadata.name)}   volume ${status?.volumeId ?? '-'} · epoch ${status?.epoch ?? '-'} · VDL ${vdl ?? '-'}${used === undefined ? '' : ` · ${formatBytes(used)} in all`}`,
    ...table(screen, HEADERS, rows, { right: ['SCL LAG', 'USED', 'OF', 'FREE', 'LOG', 'UNCHECKPOINTED', 'QUEUE', 'REPAIRS'] }),
    ...missingLines(figures, screen),
  ];
  return `${lines.join('\n')}\n`;
}

function row(segment: Segment, vdl: string | undefined, metrics: Metrics | undefined): readonly Cell[] {
  const { id, zone = '-', role, size = '-', bytesUsed } = segment;
  const lag = sclLag(segment, vdl);
  const bytes = (value: number | undefined): string => (value === undefined ? '-' : formatBytes(value));
  const behind = (lsn: number | undefined): number | undefined =>
    lsn === undefined || vdl === undefined ? undefined : Math.max(0, Number(parseLsn(vdl)) - lsn);
  const repairs = total(metrics, 'aurora_storage_repairs_total');
  return [
    id,
    zone,
    role === 'TAIL' ? 'tail' : 'full',
    segmentState(segment),
    bytes(lag),
    bytes(total(metrics, 'aurora_storage_bytes_used') ?? bytesUsed),
    size,
    bytes(total(metrics, 'aurora_storage_disk_free_bytes')),
    bytes(total(metrics, 'aurora_storage_log_bytes')),
    bytes(behind(total(metrics, 'aurora_storage_checkpoint_lsn'))),
    bytes(total(metrics, 'aurora_storage_queue_bytes')),
    repairs === undefined ? '-' : repairs === 0 ? '0' : { text: String(repairs), tone: 'warn' },
    holders(metrics, vdl),
  ];
}

/** Who needs redo that could go otherwise, and how much of it, the most first. */
function holders(metrics: Metrics | undefined, vdl: string | undefined): string {
  if (vdl === undefined) return '';
  const newest = Number(parseLsn(vdl));
  return (metrics?.get('aurora_storage_redo_held_lsn') ?? [])
    .map(({ labels, value }) => ({ holder: labels['holder'] ?? '?', bytes: Math.max(0, newest - value) }))
    .filter(({ bytes }) => bytes > 0)
    .toSorted((a, b) => b.bytes - a.bytes)
    .map(({ holder, bytes }) => `${holder} ${formatBytes(bytes)}`)
    .join(', ');
}
