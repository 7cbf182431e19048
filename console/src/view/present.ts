import { formatLsn } from '@kube-aurora/pg-format/lsn';
import {
  copiesVerdict,
  eventTime,
  healthOf,
  sclLag,
  total,
  type Cluster,
  type ClusterView,
  type Instance,
  type Segment,
} from '@kube-aurora/cluster-view';
import { loadTotal, type InstanceFigures } from '../history/figures.ts';
import type { ClusterWatch } from '../watch/cluster-watch.ts';
import type { ClusterAnswer, ClusterLine, Heard, InstanceView, SegmentView, WatchState, WriterNow } from '../answers/answers.ts';

const EVENTS_MAX = 50;
const NEVER: Heard = { heardAt: null, silentSince: null };

/** One cluster as a line among others. Pure. */
export function clusterLine(view: ClusterView): ClusterLine {
  const { metadata, status } = view.cluster;
  const { level, headline, since } = healthOf(view);
  const copies = copiesVerdict(status);
  const instances = status?.instances ?? [];
  return {
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    level,
    headline,
    since: since ?? null,
    copiesUp: copies?.up ?? 0,
    copies: copies?.all ?? 0,
    writer: writerOf(view.cluster)?.name ?? null,
    serving: instances.filter(({ state }) => state === 'Serving').length,
    instances: instances.length,
  };
}

/** All that the page shows of one cluster: field by field, so that nothing gets there unless somebody wrote it here. */
export function clusterAnswer(view: ClusterView, watch: ClusterWatch, state: WatchState): ClusterAnswer {
  const { cluster, events, now } = view;
  const { metadata, spec, status } = cluster;
  const copies = copiesVerdict(status);
  const writer = writerOf(cluster);
  const figures = writer === undefined ? undefined : watch.figures(writer.name);
  return {
    at: now,
    watch: state,
    namespace: metadata.namespace ?? '',
    name: metadata.name,
    health: healthOf(view),
    phase: status?.phase ?? null,
    writer: writer?.name ?? null,
    epoch: status?.epoch ?? null,
    vdl: figures?.vdl === undefined || figures.vdl === 0 ? (status?.vdl ?? null) : formatLsn(BigInt(figures.vdl)),
    size: spec?.storage?.size ?? null,
    bytesUsed: status?.storage?.bytesUsed ?? null,
    copies: copies === undefined ? null : { up: copies.up, all: copies.all, writesGoOn: copies.writesGoOn, toSpare: copies.toSpare },
    segments: (status?.storage?.segments ?? []).map((segment) => segmentView(segment, status?.vdl, figures, watch)),
    instances: (status?.instances ?? []).map((instance) => instanceView(instance, watch)),
    now: figures === undefined ? null : writerNow(figures),
    endpoints: { readWrite: status?.endpoints?.readWrite ?? null, readOnly: status?.endpoints?.readOnly ?? null },
    events:
      events
        ?.slice(-EVENTS_MAX)
        .toReversed()
        .map((event) => ({
          at: eventTime(event),
          warning: event.type === 'Warning',
          reason: event.reason ?? '',
          message: event.message ?? '',
          count: event.count ?? 1,
        })) ?? null,
    handovers: watch.handovers,
    advice: (status?.advice ?? []).map(({ id, severity, subject, what, since, remedy, query }) => ({
      id,
      severity,
      subject: subject ?? null,
      what,
      since,
      remedy,
      query,
    })),
  };
}

function writerOf({ status }: Cluster): Instance | undefined {
  return status?.instances?.find(({ role }) => role === 'writer');
}

function segmentView(segment: Segment, vdl: string | undefined, figures: InstanceFigures | undefined, watch: ClusterWatch): SegmentView {
  const { id, zone, node, role, ready, state, fault, message, bytesUsed, standIn } = segment;
  const program = watch.program(id);
  const metrics = program?.latest;
  return {
    id,
    zone: zone ?? null,
    node: node ?? null,
    role: role ?? 'FULL',
    ready: ready === true,
    state: state ?? 'UNKNOWN',
    fault: fault ?? null,
    message: message ?? null,
    lagBytes: figures?.segmentLag.get(id) ?? sclLag(segment, vdl) ?? null,
    bytesUsed: total(metrics, 'aurora_storage_bytes_used') ?? bytesUsed ?? null,
    diskFree: total(metrics, 'aurora_storage_disk_free_bytes') ?? null,
    diskBytes: total(metrics, 'aurora_storage_disk_bytes') ?? null,
    standsInFor: standIn?.of ?? null,
    ...(program?.heard ?? NEVER),
  };
}

function instanceView(instance: Instance, watch: ClusterWatch): InstanceView {
  const { name, role, state, since, zone, node, phase, message, restarts, lagMs, promotionTier, cacheWarmPercent } = instance;
  const figures = watch.figures(name);
  return {
    name,
    role: role ?? '',
    state: state ?? '',
    since: since ?? null,
    zone: zone ?? null,
    node: node ?? null,
    phase: phase ?? null,
    message: message ?? null,
    restarts: restarts ?? 0,
    lagMs: role === 'reader' ? (figures?.lagMs ?? lagMs ?? null) : null,
    promotionTier: promotionTier ?? null,
    cacheWarmPercent: cacheWarmPercent ?? null,
    connections: figures?.connections ?? null,
    load: loadTotal(figures?.load) ?? null,
    cpuCores: figures?.cpuCores ?? null,
    cpuLimit: figures?.cpuLimit ?? null,
    ...(watch.program(name)?.heard ?? NEVER),
  };
}

function writerNow(figures: InstanceFigures): WriterNow {
  return {
    commitP50Ms: figures.commitP50Ms ?? null,
    commitP99Ms: figures.commitP99Ms ?? null,
    transactionsPerSecond: figures.transactionsPerSecond ?? null,
    redoBytesPerSecond: figures.redoBytesPerSecond ?? null,
    load: loadTotal(figures.load) ?? null,
    cpuLimit: figures.cpuLimit ?? null,
    connections: figures.connections ?? null,
    connectionsLimit: figures.connectionsLimit ?? null,
  };
}
