import { collectProcessMetrics, scrapedGauges } from '@kube-aurora/process';
import { Counter, Histogram, Registry } from 'prom-client';
import { PHASES } from './api/conditions.ts';
import { AUTOSCALING_STATES, type AuroraClusterStatus } from './api/status-types.ts';
import { HandoverMetrics } from './handover-metrics.ts';

export interface MetricsOptions {
  readonly queueDepth: () => number;
  readonly informers: () => readonly { readonly plural: string; readonly brokenForMs: number }[];
  readonly leading: () => boolean;
  readonly clusters: () => ReadonlyMap<string, AuroraClusterStatus>;
}

export interface OperatorMetrics {
  readonly registry: Registry;
  readonly reconcileSeconds: Histogram;
  readonly reconcileErrors: Counter;
  readonly handovers: HandoverMetrics;
}

/** Prometheus metrics of the operator; gauges ask their source when they are scraped. */
export function createMetrics(sources: MetricsOptions): OperatorMetrics {
  const registry = new Registry();
  collectProcessMetrics(registry);
  const registers = [registry];
  const gauge = scrapedGauges(registry);
  gauge('aurora_operator_queue_depth', 'Clusters that wait to be worked on', [], (it) => it.set(sources.queueDepth()));
  gauge('aurora_operator_leading', '1 while this operator is the one that works', [], (it) => it.set(sources.leading() ? 1 : 0));
  gauge('aurora_operator_informer_up', '1 while the cache of this kind is kept fresh', ['kind'], (it) => {
    for (const { plural, brokenForMs } of sources.informers()) it.set({ kind: plural }, brokenForMs === 0 ? 1 : 0);
  });
  gauge('aurora_operator_informer_stale_seconds', 'Time since the cache of this kind stopped being fed', ['kind'], (it) => {
    for (const { plural, brokenForMs } of sources.informers()) it.set({ kind: plural }, brokenForMs / 1000);
  });
  gauge('aurora_cluster_phase', '1 for the phase the cluster is in', ['namespace', 'cluster', 'phase'], (it) => {
    for (const [key, status] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      for (const phase of PHASES) it.set({ namespace, cluster, phase }, status.phase === phase ? 1 : 0);
    }
  });
  gauge('aurora_cluster_segments_ready', 'Segments of the volume that are up', ['namespace', 'cluster'], (it) => {
    for (const [key, status] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      it.set({ namespace, cluster }, status.storage?.ready ?? 0);
    }
  });
  gauge('aurora_cluster_instances_desired', 'Instances there should be: a writer and readers', ['namespace', 'cluster'], (it) => {
    for (const [key, status] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      it.set({ namespace, cluster }, status.compute?.desired ?? 0);
    }
  });
  gauge('aurora_cluster_autoscaling', '1 for the state that spec.autoscaling is in', ['namespace', 'cluster', 'state'], (it) => {
    for (const [key, { autoscaling }] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      if (autoscaling === undefined) continue;
      for (const state of AUTOSCALING_STATES) it.set({ namespace, cluster, state }, autoscaling.state === state ? 1 : 0);
    }
  });
  gauge(
    'aurora_cluster_instance_serving',
    '1 while the instance takes connections, and, of a reader, is within its limit of lag',
    ['namespace', 'cluster', 'instance', 'role'],
    (it) => {
      for (const [key, status] of sources.clusters()) {
        const [namespace = '', cluster = ''] = key.split('/');
        for (const { name, role, state } of status.instances ?? [])
          it.set({ namespace, cluster, instance: name, role }, state === 'Serving' ? 1 : 0);
      }
    },
  );
  gauge('aurora_cluster_reader_lag_seconds', 'How far the reader is behind', ['namespace', 'cluster', 'instance'], (it) => {
    for (const [key, status] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      for (const { name, lagMs } of status.instances ?? [])
        if (lagMs !== undefined) it.set({ namespace, cluster, instance: name }, lagMs / 1000);
    }
  });
  gauge('aurora_cluster_epoch', 'Volume epoch', ['namespace', 'cluster'], (it) => {
    for (const [key, status] of sources.clusters()) {
      const [namespace = '', cluster = ''] = key.split('/');
      if (status.epoch !== undefined) it.set({ namespace, cluster }, status.epoch);
    }
  });
  return {
    registry,
    handovers: new HandoverMetrics(registry),
    reconcileSeconds: new Histogram({
      name: 'aurora_operator_reconcile_seconds',
      help: 'Time to work on a cluster once',
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10],
      registers,
    }),
    reconcileErrors: new Counter({
      name: 'aurora_operator_reconcile_errors_total',
      help: 'Reconciles that failed and are tried again',
      registers,
    }),
  };
}
