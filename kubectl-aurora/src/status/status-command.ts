import type { Surroundings } from '../surroundings.ts';
import type { Screen } from '../text/paint.ts';
import { gather, type Gathered, type Wanted } from './gather.ts';
import { type ClusterView, healthOf } from '@kube-aurora/cluster-view';
import { renderOverview } from './render-overview.ts';
import { renderStatus } from './render-status.ts';
import { showAgain } from './show-again.ts';

export type Format = 'text' | 'json' | 'yaml';

export interface StatusRequest extends Wanted {
  readonly format: Format;
  readonly watch: boolean;
}

export async function statusCommand(request: StatusRequest, around: Surroundings): Promise<void> {
  const { api, now, screen } = around;
  await showAgain(around, request.watch, async () => await render(await gather(api, request, now), request, now(), screen()));
}

async function render(gathered: Gathered, request: StatusRequest, now: number, screen: Screen): Promise<string> {
  if (request.format !== 'text') return await asData(gathered, request.format, now);
  if (gathered.kind === 'one') return renderStatus(gathered.view, screen);
  if (gathered.clusters.length > 0) return renderOverview(gathered.clusters, now, screen);
  return request.namespace === undefined ? 'No AuroraClusters found\n' : `No AuroraClusters found in ${request.namespace} namespace.\n`;
}

/** For programs: the status as the operator writes it, with what this program makes of it beside it. */
export function statusData(view: ClusterView): object {
  const { metadata, status } = view.cluster;
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    health: healthOf(view),
    status: status ?? {},
    events: view.events?.map(({ type, reason, message, count, firstTimestamp, lastTimestamp }) => ({
      type,
      reason,
      message,
      count,
      firstTimestamp,
      lastTimestamp,
    })),
  };
}

async function asData(gathered: Gathered, format: 'json' | 'yaml', now: number): Promise<string> {
  const data =
    gathered.kind === 'one'
      ? statusData(gathered.view)
      : { items: gathered.clusters.map((cluster) => statusData({ cluster, pods: undefined, events: undefined, now })) };
  if (format === 'json') return `${JSON.stringify(data, undefined, 2)}\n`;
  const { stringify } = await import('yaml');
  return stringify(data);
}
