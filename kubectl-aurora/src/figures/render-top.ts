import { type Cluster, formatBytes, formatMs, growth, meanBetween, type Metrics, quantileBetween, total } from '@kube-aurora/cluster-view';
import { paint, type Screen } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';
import type { Figures } from './fetch-metrics.ts';
import { waitsBetween } from './waits.ts';

/** Two looks at the same pods, and the time between. */
export interface Looks {
  readonly before: Figures;
  readonly after: Figures;
  readonly seconds: number;
}

const HEADERS = ['INSTANCE', 'ROLE', 'CONNECTIONS', 'CORES', 'FLUSHES/S', 'FLUSH', 'P99', 'REDO/S', 'READS/S', 'CACHE HIT', 'LAG', 'WAITS'];

/** What instances do now. Pure. */
export function renderTop({ metadata, status }: Cluster, { before, after, seconds }: Looks, screen: Screen): string {
  const instances = status?.instances ?? [];
  const rows = instances.map(({ name, role = '-', lagMs, state = '' }): readonly Cell[] => {
    const [was, is] = [before.byPod.get(name), after.byPod.get(name)];
    const rate = (metric: string): number | undefined => {
      const grown = growth(was, is, metric);
      return grown === undefined ? undefined : grown / seconds;
    };
    const redo = role === 'writer' ? rate('aurora_vdl_bytes') : rate('aurora_reader_replay_bytes');
    const flush = meanBetween(was, is, 'aurora_flush_seconds');
    const slow = quantileBetween(was, is, 'aurora_flush_seconds', 0.99);
    return [
      name,
      role,
      numberOf(total(is, 'aurora_client_connections')),
      numberOf(total(is, 'aurora_cpu_cores'), 2),
      role === 'writer' ? numberOf(rate('aurora_flush_seconds_count')) : '-',
      flush === undefined ? '-' : formatMs(flush * 1000),
      slow === undefined ? '-' : slow === Infinity ? 'long' : `≤ ${formatMs(slow * 1000)}`,
      redo === undefined ? '-' : `${formatBytes(redo)}`,
      numberOf(rate('aurora_pages_read_total')),
      hitShare(was, is),
      lagMs === undefined ? (state === 'Serving' ? '-' : state) : formatMs(lagMs),
      waitsBetween(was, is, seconds),
    ];
  });
  const lines = [
    `${paint(screen, 'bold', metadata.name)}   over ${seconds.toFixed(1)} s`,
    ...table(screen, HEADERS, rows, { right: HEADERS.slice(2, -1) }),
    ...missingLines(after, screen),
  ];
  return `${lines.join('\n')}\n`;
}

function numberOf(value: number | undefined, digits = 0): string {
  return value === undefined ? '-' : value.toFixed(digits);
}

/** Of pages that PostgreSQL did not have in its buffers: between the looks; since its start where it read none meanwhile. */
function hitShare(before: Metrics | undefined, after: Metrics | undefined): string {
  const [hits, misses] = ['aurora_cache_pages_hit', 'aurora_cache_pages_missed'].map((name) => growth(before, after, name));
  const share = shareOf(hits, misses) ?? shareOf(total(after, 'aurora_cache_pages_hit'), total(after, 'aurora_cache_pages_missed'));
  return share === undefined ? '-' : `${(share * 100).toFixed(1)} %`;
}

function shareOf(hits: number | undefined, misses: number | undefined): number | undefined {
  return hits === undefined || misses === undefined || hits + misses === 0 ? undefined : hits / (hits + misses);
}

/** Who could not be asked, and why. */
export function missingLines({ missing }: Figures, screen: Screen): string[] {
  return [...missing].map(([name, why]) => paint(screen, 'warn', `${name}: no figures: ${why}`));
}
