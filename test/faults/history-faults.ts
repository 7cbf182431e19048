/** What is done to a system while its clients' history is recorded: a plan by seed, and how each fault is inflicted and healed. */
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { AsOperator } from './as-operator.ts';
import type { Address } from './history-clients.ts';
import type { OwnMachine } from './own-machine.ts';
import { SeededRandom } from './random.ts';
import { signal, type StartedSystem } from './started-system.ts';

const AGENT = 'compute-node/src/main.ts';
const DAEMON = 'storage-daemon/src/main.ts';
const OPERATOR = 'operator/src/main.ts';
const CONTROL_PLANE = 'local-kube/src/main.ts';

export const HISTORY_FAULTS = {
  'writer-postgres-killed': "kill -9 of the writer's postgres",
  'writer-agent-killed': "kill -9 of the writer's agent",
  'writer-pod-deleted': "the writer's pod is deleted and its processes killed",
  'writer-agent-paused': "SIGSTOP of the writer's agent; its PostgreSQL lives",
  'writer-zone-failed': "the writer's zone fails",
  'storage-killed': 'kill -9 of a storage daemon',
  'storage-paused': 'SIGSTOP of two storage daemons',
  'writer-killed-without-operator': "operator stopped, then kill -9 of the writer's postgres",
  'writer-agent-killed-without-control-plane': "control plane and operator stopped, then kill -9 of the writer's agent",
  'writer-agent-paused-without-control-plane': "control plane and operator stopped, then SIGSTOP of the writer's agent",
  'three-takeovers': "SIGSTOP of the writer's agent, then three takeovers among the readers, and it goes on",
  switchover: "a reader is asked to take the writer's place",
  'reader-paused': "SIGSTOP of a reader's agent",
  'reader-postgres-killed': "kill -9 of a reader's postgres",
  'reader-agent-killed': "kill -9 of a reader's agent",
  'writer-cut-off': "the writer's pod is cut off from all others; its clients stay connected",
  'reader-cut-off': "a reader's pod is cut off from all others; its clients stay connected",
  'storage-cut-off': 'two storage pods are cut off from all others',
  'compute-clock-jumped': "the wall clock of a compute's agent and PostgreSQL jumps, and jumps back",
  'storage-clock-jumped': 'the wall clock of two storage daemons jumps, and jumps back',
} as const;
export type HistoryFault = keyof typeof HISTORY_FAULTS;

/** Those that only a machine of its own allows. */
const OF_OWN_MACHINE: readonly HistoryFault[] = [
  'writer-cut-off',
  'reader-cut-off',
  'storage-cut-off',
  'compute-clock-jumped',
  'storage-clock-jumped',
];

/** What can be inflicted here. */
export function faultsOf(machine: OwnMachine | undefined): HistoryFault[] {
  const all = Object.keys(HISTORY_FAULTS) as HistoryFault[];
  return machine === undefined ? all.filter((fault) => !OF_OWN_MACHINE.includes(fault)) : all;
}

/** Less than the five minutes that certificates allow two clocks to differ by. */
const CLOCK_JUMPS_MS = [-280_000, -30_000, -1500, 1500, 30_000, 280_000];

export interface PlannedFault {
  readonly fault: HistoryFault;
  /** After the one before was healed. */
  readonly afterMs: number;
  /** Until it is healed. */
  readonly forMs: number;
  /** Chooses among readers or daemons: 0 up to 1. */
  readonly which: number;
}

/** The same for the same seed and kinds. Every kind comes once before one comes again. */
export function plannedFaults(seed: number, count: number, kinds: readonly HistoryFault[]): PlannedFault[] {
  const random = new SeededRandom(seed);
  const planned: PlannedFault[] = [];
  let left: HistoryFault[] = [];
  while (planned.length < count) {
    if (left.length === 0) left = [...kinds];
    const fault = random.pick(left);
    left = left.filter((other) => other !== fault);
    planned.push({ fault, afterMs: random.integer(500, 4000), forMs: random.integer(2500, 8000), which: random.next() });
  }
  return planned;
}

export interface AgentProcess extends Address {
  readonly pid: number;
  readonly zone: string;
}

interface Report {
  readonly role: string;
  readonly phase: string;
  readonly epoch: string;
  readonly postgres: { readonly pid?: number };
}

/** The computes of a system, as their processes tell: that needs no API server. */
export function agentsOf(system: StartedSystem): AgentProcess[] {
  const byName = new Map<string, AgentProcess>();
  for (const pid of system.processes(AGENT)) {
    const setting = settingsOf(pid);
    const [name, zone, listen] = [setting.get('AURORA_INSTANCE'), setting.get('AURORA_ZONE'), setting.get('AURORA_PG_LISTEN')];
    const host = listen?.split(':')[0];
    if (name !== undefined && zone !== undefined && host !== undefined) byName.set(name, { name, zone, host, port: 5432, pid });
  }
  return [...byName.values()].toSorted((a, b) => a.name.localeCompare(b.name));
}

function settingsOf(pid: number): Map<string, string> {
  try {
    const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return new Map(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
  } catch (error) {
    // It ended while we looked.
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return new Map();
    throw error;
  }
}

async function reportOf({ host }: Address): Promise<Report | undefined> {
  try {
    return (await (await fetch(`http://${host}:7003/status`, { signal: AbortSignal.timeout(1000) })).json()) as Report;
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

const operators = new WeakMap<StartedSystem, AsOperator>();

interface Roles {
  readonly writer: AgentProcess & { readonly report: Report };
  readonly readers: readonly (AgentProcess & { readonly report: Report })[];
}

/** Who writes, and who follows. Undefined when nobody writes within `withinMs`. */
async function rolesIn(system: StartedSystem, withinMs: number): Promise<Roles | undefined> {
  const until = performance.now() + withinMs;
  for (;;) {
    const states = await Promise.all(agentsOf(system).map(async (agent) => ({ agent, report: await reportOf(agent) })));
    const running = states.flatMap(({ agent, report }) => (report?.phase === 'running' ? [{ ...agent, report }] : []));
    // Of two that say so, the older one has not heard yet that it is none.
    const [writer] = running
      .filter(({ report }) => report.role === 'writer')
      .toSorted((a, b) => Number(b.report.epoch) - Number(a.report.epoch));
    if (writer !== undefined) return { writer, readers: running.filter(({ report }) => report.role === 'reader') };
    if (performance.now() > until) return undefined;
    await delay(200);
  }
}

/** One writer and as many readers as there are to be; false when that is not so within `withinMs`. */
export async function isWholeWithin(system: StartedSystem, readers: number, withinMs: number): Promise<boolean> {
  const until = performance.now() + withinMs;
  while (performance.now() < until) {
    const roles = await rolesIn(system, until - performance.now());
    if (roles?.readers.length === readers) return true;
    await delay(300);
  }
  return false;
}

const WRITER_WITHIN_MS = 45_000;
const TAKEOVER_MS = 10_000;

/** Inflicts one fault and heals it; it may take long until everything runs again. Undefined: there was no writer, or no reader, to do it to. */
export async function inflictFault(
  system: StartedSystem,
  { fault, forMs, which }: PlannedFault,
  machine: OwnMachine | undefined,
): Promise<HistoryFault | undefined> {
  const roles = await rolesIn(system, WRITER_WITHIN_MS);
  if (roles === undefined) return undefined;
  const { writer, readers } = roles;
  const reader = readers[Math.floor(which * readers.length)];
  const paused = async (pids: readonly number[], meanwhile: () => void = () => undefined): Promise<void> => {
    for (const pid of pids) signal(pid, 'SIGSTOP');
    try {
      meanwhile();
      await delay(forMs);
    } finally {
      for (const pid of pids) signal(pid, 'SIGCONT');
    }
  };
  const cutOff = async (hosts: readonly string[]): Promise<void> => {
    const ends: (() => void)[] = [];
    try {
      for (const host of hosts) ends.push(ownMachine().cutOff(host));
      await delay(forMs);
    } finally {
      for (const end of ends) end();
    }
  };
  const clockJumped = async (pids: readonly number[]): Promise<void> => {
    ownMachine().moveClock(pids, CLOCK_JUMPS_MS[Math.floor(which * 97) % CLOCK_JUMPS_MS.length] ?? 0);
    await delay(forMs);
    ownMachine().moveClock(pids, 0);
  };
  const ownMachine = (): OwnMachine => {
    if (machine === undefined) throw new Error(`${fault} needs a machine of its own`);
    return machine;
  };
  const controlPlane = (): number[] => [...system.processes(CONTROL_PLANE), ...system.processes(OPERATOR)];
  switch (fault) {
    case 'writer-postgres-killed':
      signal(writer.report.postgres.pid, 'SIGKILL');
      break;
    case 'writer-agent-killed':
      signal(writer.pid, 'SIGKILL');
      break;
    case 'writer-pod-deleted':
      signal(writer.pid, 'SIGKILL');
      signal(writer.report.postgres.pid, 'SIGKILL');
      await system.runAside('kubectl', 'delete', 'pod', writer.name, '--force', '--grace-period=0', '--wait=false');
      break;
    case 'writer-agent-paused':
      await paused([writer.pid]);
      break;
    case 'writer-zone-failed':
      await system.runAside('zone', 'fail', writer.zone);
      await delay(forMs);
      await system.runAside('zone', 'restore', writer.zone);
      break;
    case 'storage-killed':
      signal(chosen(system.processes(DAEMON), which, 1)[0], 'SIGKILL');
      break;
    case 'storage-paused':
      await paused(chosen(system.processes(DAEMON), which, 2));
      break;
    case 'writer-killed-without-operator':
      await paused(system.processes(OPERATOR), () => signal(writer.report.postgres.pid, 'SIGKILL'));
      break;
    case 'writer-agent-killed-without-control-plane':
      await paused(controlPlane(), () => signal(writer.pid, 'SIGKILL'));
      break;
    case 'writer-agent-paused-without-control-plane':
      await paused([...controlPlane(), writer.pid]);
      break;
    case 'three-takeovers':
      if (readers.length < 2) return undefined;
      await threeTakeovers(system, writer, readers);
      break;
    case 'switchover':
      if (reader === undefined) return undefined;
      await promote(system, reader);
      break;
    case 'reader-paused':
      if (reader === undefined) return undefined;
      await paused([reader.pid]);
      break;
    case 'reader-postgres-killed':
      if (reader === undefined) return undefined;
      signal(reader.report.postgres.pid, 'SIGKILL');
      break;
    case 'reader-agent-killed':
      if (reader === undefined) return undefined;
      signal(reader.pid, 'SIGKILL');
      break;
    case 'writer-cut-off':
      await cutOff([writer.host]);
      break;
    case 'reader-cut-off':
      if (reader === undefined) return undefined;
      await cutOff([reader.host]);
      break;
    case 'storage-cut-off':
      await cutOff(chosen(system.processes(DAEMON), which, 2).flatMap((pid) => settingsOf(pid).get('POD_IP') ?? []));
      break;
    case 'compute-clock-jumped': {
      const { pid, report } = [writer, ...readers][Math.floor(which * (readers.length + 1))] ?? writer;
      await clockJumped(report.postgres.pid === undefined ? [pid] : [pid, report.postgres.pid]);
      break;
    }
    case 'storage-clock-jumped':
      await clockJumped(chosen(system.processes(DAEMON), which, 2));
      break;
  }
  return fault;
}

/** The first writer stands still for all of it, so that its lease is one of several that the last has to wait for. */
async function threeTakeovers(system: StartedSystem, first: AgentProcess, readers: readonly AgentProcess[]): Promise<void> {
  signal(first.pid, 'SIGSTOP');
  try {
    for (let takeover = 0; takeover < 3; takeover++) {
      const next = readers[takeover % readers.length];
      if (next !== undefined) await promote(system, next);
      const until = performance.now() + TAKEOVER_MS;
      while (performance.now() < until && (await rolesIn(system, TAKEOVER_MS))?.writer.name !== next?.name) await delay(50);
    }
  } finally {
    signal(first.pid, 'SIGCONT');
  }
}

/** The control plane may stand still when it is needed: it is asked for before that. */
function operatorOf(system: StartedSystem): AsOperator {
  const operator = operators.get(system) ?? new AsOperator(system);
  operators.set(system, operator);
  return operator;
}

/** One that cannot take the place says so, and then there is no takeover: faults are not owed an effect. */
async function promote(system: StartedSystem, { host }: Address): Promise<void> {
  try {
    await operatorOf(system).post(host, '/promote');
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

/** `count` neighbours of them. */
function chosen(pids: readonly number[], which: number, count: number): number[] {
  const first = Math.floor(which * pids.length);
  return Array.from({ length: Math.min(count, pids.length) }, (_unused, index) => pids[(first + index) % pids.length] ?? 0);
}
