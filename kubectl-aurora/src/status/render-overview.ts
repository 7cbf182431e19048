import { ageOf, type Cluster, type HealthLevel, healthOf } from '@kube-aurora/cluster-view';
import type { Screen } from '../text/paint.ts';
import { table, type Cell } from '../text/table.ts';
import type { Tone } from '../text/paint.ts';

const TONE: Readonly<Record<HealthLevel, Tone>> = { well: 'good', busy: 'warn', degraded: 'warn', down: 'bad' };

/** A line for each cluster. */
export function renderOverview(clusters: readonly Cluster[], now: number, screen: Screen): string {
  const rows = clusters.map((cluster): readonly Cell[] => {
    const { metadata, status } = cluster;
    const health = healthOf({ cluster, pods: undefined, events: undefined, now });
    return [
      metadata.namespace ?? '',
      metadata.name,
      { text: status?.phase ?? '-', tone: TONE[health.level] },
      ageOf(health.since, now) ?? '-',
      status?.writer ?? '-',
      status?.compute?.summary ?? '-',
      status?.storage?.summary ?? '-',
      status?.compute?.lag ?? '-',
      health.problems[0]?.message ?? '',
    ];
  });
  return `${table(screen, ['NAMESPACE', 'NAME', 'PHASE', 'FOR', 'WRITER', 'INSTANCES', 'COPIES', 'LAG', 'WHAT IS WRONG'], rows).join('\n')}\n`;
}
