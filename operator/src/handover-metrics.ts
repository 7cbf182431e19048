import { Counter, Histogram, type Registry } from 'prom-client';
import { FAILOVER_CAUSES, FAILOVER_PHASES, SWITCHOVER_CAUSES, SWITCHOVER_STATES, type FailoverPhases } from './api/status-types.ts';
import type { Handover } from './status/handovers.ts';

const SECONDS = [0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 30];
const OUTCOMES = SWITCHOVER_STATES.filter((state) => state !== 'InProgress');
const TRANSACTION_OUTCOMES = ['finished', 'cutOff'] as const;
const ALL = 'all';

/** Counts failovers and switchovers, by cluster, and how long their parts took. */
export class HandoverMetrics {
  readonly #failovers: Counter;
  readonly #failoverSeconds: Histogram;
  readonly #switchovers: Counter;
  readonly #switchoverSeconds: Histogram;
  readonly #transactions: Counter;
  readonly #known = new Set<string>();

  constructor(registry: Registry) {
    const registers = [registry];
    const ofCluster = ['namespace', 'cluster'];
    this.#failovers = new Counter({
      name: 'aurora_cluster_failovers_total',
      help: 'Times that a reader took the place of a lost writer, by why',
      labelNames: [...ofCluster, 'reason'],
      registers,
    });
    this.#failoverSeconds = new Histogram({
      name: 'aurora_cluster_failover_seconds',
      help: 'How long each part of a failover took; the phase all is from the last that was heard of the lost writer until the new one answered',
      labelNames: [...ofCluster, 'phase'],
      buckets: SECONDS,
      registers,
    });
    this.#switchovers = new Counter({
      name: 'aurora_cluster_switchovers_total',
      help: 'Switchovers that came to an end, by who wanted them and what came of it',
      labelNames: [...ofCluster, 'cause', 'outcome'],
      registers,
    });
    this.#transactions = new Counter({
      name: 'aurora_cluster_switchover_transactions_total',
      help: 'Transactions that were under way when a switchover began, by whether they finished before or were cutOff',
      labelNames: [...ofCluster, 'outcome'],
      registers,
    });
    this.#switchoverSeconds = new Histogram({
      name: 'aurora_cluster_switchover_seconds',
      help: 'How long each part of a switchover that was done took; the phase all is from the request until the new writer took connections',
      labelNames: [...ofCluster, 'phase'],
      buckets: SECONDS,
      registers,
    });
  }

  /** A cluster that is looked at: its counters are there from zero, so that the first event is an increase. */
  follow(key: string): void {
    if (this.#known.has(key)) return;
    this.#known.add(key);
    const of = labelsOf(key);
    for (const reason of FAILOVER_CAUSES) this.#failovers.inc({ ...of, reason }, 0);
    for (const cause of SWITCHOVER_CAUSES) for (const outcome of OUTCOMES) this.#switchovers.inc({ ...of, cause, outcome }, 0);
    for (const outcome of TRANSACTION_OUTCOMES) this.#transactions.inc({ ...of, outcome }, 0);
  }

  count(key: string, handover: Handover): void {
    this.follow(key);
    const of = labelsOf(key);
    if (handover.kind === 'failover') this.#failovers.inc({ ...of, reason: handover.reason });
    else {
      const { cause, outcome, transactions } = handover;
      this.#switchovers.inc({ ...of, cause, outcome });
      if (transactions !== undefined)
        for (const ended of TRANSACTION_OUTCOMES) this.#transactions.inc({ ...of, outcome: ended }, transactions[ended]);
    }
    const seconds = handover.kind === 'failover' ? this.#failoverSeconds : this.#switchoverSeconds;
    for (const [phase, ms] of partsOf(handover.phases)) seconds.observe({ ...of, phase }, ms / 1000);
    if (handover.tookMs !== undefined) seconds.observe({ ...of, phase: ALL }, handover.tookMs / 1000);
  }

  /** A cluster that is no more. */
  forget(key: string): void {
    if (!this.#known.delete(key)) return;
    const of = labelsOf(key);
    for (const reason of FAILOVER_CAUSES) this.#failovers.remove({ ...of, reason });
    for (const cause of SWITCHOVER_CAUSES) for (const outcome of OUTCOMES) this.#switchovers.remove({ ...of, cause, outcome });
    for (const outcome of TRANSACTION_OUTCOMES) this.#transactions.remove({ ...of, outcome });
    for (const phase of [ALL, ...FAILOVER_PHASES.map(nameOf)])
      for (const seconds of [this.#failoverSeconds, this.#switchoverSeconds]) seconds.remove({ ...of, phase });
  }
}

/** `openedMs` is the part `opened`. */
const nameOf = (phase: string): string => phase.slice(0, -'Ms'.length);

function partsOf(phases: FailoverPhases): readonly (readonly [string, number])[] {
  return FAILOVER_PHASES.flatMap((phase) => {
    const ms = phases[phase];
    return ms === undefined ? [] : [[nameOf(phase), ms] as const];
  });
}

function labelsOf(key: string): { readonly namespace: string; readonly cluster: string } {
  const [namespace = '', cluster = ''] = key.split('/');
  return { namespace, cluster };
}
