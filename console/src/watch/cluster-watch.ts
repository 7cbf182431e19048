import {
  COMPONENT_LABEL,
  HANDOVER_PARTS,
  type Cluster,
  type ClusterStatus,
  type Failover,
  type HandoverParts,
  type Pod,
  type Switchover,
} from '@kube-aurora/cluster-view';
import { instanceFigures, topLoad, type InstanceFigures } from '../history/figures.ts';
import { HistoryRing, STEP_MS } from '../history/ring.ts';
import { SERIES, type HandoverView } from '../answers/answers.ts';
import { ProgramLooks } from './program-looks.ts';
import type { Scrape } from './scrape.ts';

/** Where programs of each kind serve their metrics. */
const PORT: Readonly<Record<string, number>> = { compute: 7003, storage: 7002 };
const HANDOVERS_MAX = 20;
/** Steps without a look that are no gap. */
const MISSED_MAX = 2;
/** Wait events of one hour that have a series of their own. */
const LOAD_EVENTS_MAX = 12;

/** One cluster as its programs tell: what they said last, and the last hour of it. */
export class ClusterWatch {
  readonly #programs = new Map<string, ProgramLooks>();
  readonly history = new HistoryRing();
  #handovers: readonly HandoverView[] = [];
  #step = -1;

  program(pod: string): ProgramLooks | undefined {
    return this.#programs.get(pod);
  }

  /** Newest first: those that its status told of since the console runs. */
  get handovers(): readonly HandoverView[] {
    return this.#handovers;
  }

  figures(pod: string): InstanceFigures | undefined {
    const looks = this.#programs.get(pod)?.recent;
    return looks === undefined ? undefined : instanceFigures(looks);
  }

  /** Asks every pod that there is, and records the step of the history when it is over. */
  async look(cluster: Cluster, pods: readonly Pod[], scrape: Scrape, now: () => number): Promise<void> {
    this.#handovers = rememberHandovers(this.#handovers, cluster.status);
    const names = new Set(pods.map(({ metadata }) => metadata.name));
    for (const name of this.#programs.keys()) if (!names.has(name)) this.#programs.delete(name);
    await Promise.all(
      pods.map(async ({ metadata, status }) => {
        const port = PORT[metadata.labels?.[COMPONENT_LABEL] ?? ''];
        const host = status?.podIP;
        if (port === undefined || host === undefined || host === '') return;
        const uid = metadata.uid ?? '';
        let program = this.#programs.get(metadata.name);
        if (program?.uid !== uid) this.#programs.set(metadata.name, (program = new ProgramLooks(uid)));
        await program.ask(scrape, host, port, now);
      }),
    );
    const at = now();
    const step = Math.floor(at / STEP_MS);
    if (step === this.#step) return;
    const values = this.#stepValues(cluster.status);
    // A look that came late is of the step that it left out as well: its figures are of all the time since the look before.
    const missed = this.#step < 0 ? 0 : step - this.#step - 1;
    if (missed > 0 && missed <= MISSED_MAX) for (let back = missed; back > 0; back--) this.history.record(at - back * STEP_MS, values);
    this.#step = step;
    this.history.record(at, values);
  }

  #stepValues(status: ClusterStatus | undefined): ReadonlyMap<string, number> {
    const values = new Map<string, number>();
    const put = (name: string, value: number | undefined): void => {
      if (value !== undefined && Number.isFinite(value)) values.set(name, value);
    };
    for (const { name, role } of status?.instances ?? []) {
      const looks = this.#programs.get(name)?.takeStep();
      if (looks === undefined) continue;
      const figures = instanceFigures(looks);
      if (role !== 'writer') {
        put(`${SERIES.readerLag}${name}`, figures.lagMs);
        continue;
      }
      put(SERIES.commitP50, figures.commitP50Ms);
      put(SERIES.commitP99, figures.commitP99Ms);
      put(SERIES.transactions, figures.transactionsPerSecond);
      put(SERIES.redo, figures.redoBytesPerSecond);
      put(SERIES.connections, figures.connections);
      put(SERIES.cpuLimit, figures.cpuLimit);
      for (const [id, lag] of figures.segmentLag) put(`${SERIES.segmentLag}${id}`, lag);
      if (figures.load !== undefined)
        for (const [event, sessions] of topLoad(figures.load, this.#loadEvents(), LOAD_EVENTS_MAX)) put(`${SERIES.load}${event}`, sessions);
    }
    return values;
  }

  #loadEvents(): ReadonlySet<string> {
    return new Set(this.history.names.filter((name) => name.startsWith(SERIES.load)).map((name) => name.slice(SERIES.load.length)));
  }
}

/** The latest of each that the status tells of, before those that it told of earlier. Pure. */
export function rememberHandovers(known: readonly HandoverView[], status: ClusterStatus | undefined): readonly HandoverView[] {
  const { failover, switchover } = status ?? {};
  const told = [
    ...(failover?.at === undefined ? [] : [failoverView(failover, failover.at)]),
    ...(switchover?.startedAt === undefined ? [] : [switchoverView(switchover, switchover.startedAt)]),
  ];
  const keyOf = ({ kind, at }: HandoverView): string => `${kind} ${at}`;
  const keys = new Set(told.map(keyOf));
  return [...told, ...known.filter((one) => !keys.has(keyOf(one)))].toSorted((a, b) => b.at.localeCompare(a.at)).slice(0, HANDOVERS_MAX);
}

function partsOf(phases: HandoverParts | undefined): HandoverView['parts'] {
  return HANDOVER_PARTS.flatMap((part) => {
    const ms = phases?.[part];
    return ms === undefined ? [] : [{ name: part.slice(0, -2), ms }];
  });
}

function failoverView({ from, to = '?', reason, tookMs, inPlace, phases }: Failover, at: string): HandoverView {
  return {
    kind: 'failover',
    at,
    from: from ?? null,
    to,
    state: 'Done',
    reason: reason ?? null,
    message: null,
    tookMs: tookMs ?? null,
    inPlace: inPlace ?? null,
    parts: partsOf(phases),
    transactions: null,
  };
}

function switchoverView({ from, to, state, cause, message, endedAt, phases, transactions }: Switchover, at: string): HandoverView {
  const parts = partsOf(phases);
  const took = endedAt === undefined ? undefined : Date.parse(endedAt) - Date.parse(at);
  return {
    kind: 'switchover',
    at,
    from: from ?? null,
    to,
    state,
    reason: cause ?? null,
    message: message ?? null,
    // Of its parts where they are told, to the millisecond; the status' times are whole seconds.
    tookMs: parts.length > 0 ? parts.reduce((sum, { ms }) => sum + ms, 0) : (took ?? null),
    inPlace: null,
    parts,
    transactions: transactions ?? null,
  };
}
