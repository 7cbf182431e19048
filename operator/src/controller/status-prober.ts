import { isSilent, silent, type AgentReport, type DaemonReport } from '../observed/reports.ts';
import { readAgentStatus, readDaemonStatus, withCutOff } from '../observed/reports.ts';
import type { Connect } from '@kube-aurora/process';
import type { StatusWait } from '../kube/fetch-status.ts';
import { canonicalJson } from '../specs/metadata.ts';
import { StatusFollowers } from './status-followers.ts';

interface AskedPod {
  readonly name: string;
  readonly uid: string;
  readonly ip: string;
  /** How it is reached; undefined: in plain text. */
  readonly connect?: Connect | undefined;
}

/** A pod to ask, by the uid it has now; a daemon is asked about one protection group. */
export type ProbeTarget = (AskedPod & { readonly kind: 'agent' }) | (AskedPod & { readonly kind: 'daemon'; readonly pg: number });

export interface ProberOptions {
  /** GET /status of a pod, at once or after a change; rejects when it does not answer in time. */
  readonly fetchStatus: (target: ProbeTarget, wait?: StatusWait) => Promise<unknown>;
  /** Something worth a reconcile was learned. `soon` is false for mere progress of LSNs. */
  readonly onNews: (key: string, soon: boolean) => void;
  readonly setTimer: (run: () => void, delayMs: number) => { cancel: () => void };
  readonly now: () => number;
}

interface Watched {
  targets: readonly ProbeTarget[];
  volumeId: string;
  intervalMs: number;
  timer: { cancel: () => void } | undefined;
  polling: boolean;
  readonly agents: Map<string, AgentReport>;
  readonly daemons: Map<string, DaemonReport>;
  readonly followers: StatusFollowers;
}

export interface Reports {
  readonly agents: ReadonlyMap<string, AgentReport>;
  readonly daemons: ReadonlyMap<string, DaemonReport>;
}

const NO_REPORTS: Reports = { agents: new Map(), daemons: new Map() };

/**
 * Asks the programs in the pods how they are: often while things change, seldom when all is well. Agents that can tell of a change are
 * waited at as well: who writes is known as soon as it is.
 */
export class StatusProber {
  readonly #options: ProberOptions;
  readonly #watched = new Map<string, Watched>();

  constructor(options: ProberOptions) {
    this.#options = options;
  }

  reports(key: string): Reports {
    return this.#watched.get(key) ?? NO_REPORTS;
  }

  /** From now on these pods, this often. New pods are asked at once. */
  track(key: string, targets: readonly ProbeTarget[], volumeId: string, intervalMs: number): void {
    const watched: Watched = this.#watched.get(key) ?? {
      targets: [],
      volumeId,
      intervalMs,
      timer: undefined,
      polling: false,
      agents: new Map(),
      daemons: new Map(),
      followers: new StatusFollowers(this.#options),
    };
    this.#watched.set(key, watched);
    const known = new Set(watched.targets.map(identity));
    const isNew = targets.some((target) => !known.has(identity(target)));
    const faster = intervalMs < watched.intervalMs;
    watched.targets = targets;
    watched.volumeId = volumeId;
    watched.intervalMs = intervalMs;
    watched.followers.keep(new Set(targets.map(identity)));
    const uids = new Set(targets.map(({ uid }) => uid));
    for (const reports of [watched.agents, watched.daemons])
      for (const [name, report] of reports) if (!uids.has(report.uid)) reports.delete(name);
    if (isNew || watched.timer === undefined) this.#schedule(key, watched, 0);
    else if (faster) this.#schedule(key, watched, intervalMs);
  }

  forget(key: string): void {
    const watched = this.#watched.get(key);
    watched?.timer?.cancel();
    watched?.followers.keep(new Set());
    this.#watched.delete(key);
  }

  stop(): void {
    for (const key of this.#watched.keys()) this.forget(key);
  }

  #schedule(key: string, watched: Watched, delayMs: number): void {
    watched.timer?.cancel();
    watched.timer = this.#options.setTimer(() => void this.#poll(key, watched), delayMs);
  }

  async #poll(key: string, watched: Watched): Promise<void> {
    if (watched.polling || this.#watched.get(key) !== watched) return;
    watched.polling = true;
    const before = [significance(watched), progress(watched)];
    const asked = watched.targets;
    await Promise.all(asked.map((target) => this.#ask(watched, target)));
    watched.polling = false;
    if (this.#watched.get(key) !== watched) return;
    if (significance(watched) !== before[0]) this.#options.onNews(key, true);
    else if (progress(watched) !== before[1]) this.#options.onNews(key, false);
    for (const target of watched.targets) this.#follow(key, watched, target);
    const known = new Set(asked.map(identity));
    const newcomers = watched.targets.some((target) => !known.has(identity(target)));
    this.#schedule(key, watched, newcomers ? 0 : watched.intervalMs);
  }

  /** Waits at an agent that answers, and whose answers have a version. */
  #follow(key: string, watched: Watched, target: ProbeTarget): void {
    if (target.kind !== 'agent') return;
    const report = sameUid(watched.agents.get(target.name), target.uid);
    if (report?.version === undefined || isSilent(report)) return;
    watched.followers.follow(identity(target), report.version, {
      fetchChange: (wait) => this.#options.fetchStatus(target, wait),
      onChange: (body) => {
        const before = significance(watched);
        const { version } = takeAgent(watched, target, body, this.#options.now());
        if (significance(watched) !== before) this.#options.onNews(key, true);
        return version;
      },
      onLost: () => this.#watched.get(key) === watched && this.#schedule(key, watched, 0),
    });
  }

  async #ask(watched: Watched, target: ProbeTarget): Promise<void> {
    const { name, uid } = target;
    let body: unknown;
    let answered = true;
    try {
      body = await this.#options.fetchStatus(target);
    } catch {
      // Why it is silent does not matter here: the pod's own state tells, and silence is what is recorded.
      answered = false;
    }
    const now = this.#options.now();
    if (target.kind === 'agent') {
      const previous: AgentReport = sameUid(watched.agents.get(name), uid) ?? { uid, phase: 'unknown', segments: [] };
      if (answered) takeAgent(watched, target, body, now);
      else watched.agents.set(name, silent(previous, now));
    } else {
      const previous: DaemonReport = sameUid(watched.daemons.get(name), uid) ?? { uid, state: 'UNKNOWN' };
      watched.daemons.set(
        name,
        answered ? readDaemonStatus(body, uid, { volumeId: watched.volumeId, pg: target.pg }, now) : silent(previous, now),
      );
    }
  }
}

function takeAgent(watched: Watched, { name, uid }: AskedPod, body: unknown, now: number): AgentReport {
  const previous = sameUid(watched.agents.get(name), uid) ?? { uid, phase: 'unknown', segments: [] };
  const report = withCutOff(readAgentStatus(body, uid, now), previous, now);
  watched.agents.set(name, report);
  return report;
}

function identity(target: ProbeTarget): string {
  return `${target.uid} ${target.ip}`;
}

function sameUid<T extends { readonly uid: string }>(report: T | undefined, uid: string): T | undefined {
  return report?.uid === uid ? report : undefined;
}

/** A reader's lag as far as it is news: which power of two of seconds it has passed. */
function lagOrder(lagMs: number | undefined): number | undefined {
  return lagMs === undefined ? undefined : Math.max(0, Math.ceil(Math.log2(lagMs / 1000)) + 1);
}

/** What people and decisions care about at once. */
function significance({ agents, daemons }: Reports): string {
  return canonicalJson([
    [...agents].map(([name, report]) => [
      name,
      report.uid,
      isSilent(report),
      report.phase,
      report.role,
      report.reason,
      report.failure?.at,
      report.epoch,
      report.failover?.at,
      report.failover?.phases.readyMs,
      lagOrder(report.lagMs),
      report.cutOffSince,
      report.promotionTier,
      report.segments.map(({ id, state }) => [id, state]),
      report.settings,
      report.passwords,
      report.identityProblem,
    ]),
    [...daemons].map(([name, report]) => [
      name,
      report.uid,
      isSilent(report),
      report.state,
      report.fault?.kind,
      report.mustRecover,
      report.identityProblem,
    ]),
  ]);
}

/** What merely moves on. */
function progress({ agents, daemons }: Reports): string {
  return canonicalJson([
    [...agents].map(([, { vdl, message, replayLsn, lagMs, load }]) => [vdl, message, replayLsn, lagMs, load]),
    [...daemons].map(([, { scl, bytesUsed, message, fault }]) => [scl, bytesUsed, message, fault]),
  ]);
}
