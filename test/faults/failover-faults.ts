/** What takes a writer away, and how a system is put right after it. */
import { setTimeout as delay } from 'node:timers/promises';
import { signal, type StartedSystem } from './started-system.ts';

const AGENT = 'compute-node/src/main.ts';
const PROGRAMS = [AGENT, 'storage-daemon/src/main.ts'];

export const FAILOVER_FAULTS = {
  postgres: "kill -9 of the writer's postgres",
  agent: 'kill -9 of its agent',
  pod: 'its pod is gone',
  hang: 'SIGSTOP of its agent',
  zone: 'its zone fails',
} as const;
export type FailoverFault = keyof typeof FAILOVER_FAULTS;

/** Who stands still from just before the fault until it is healed. */
export const WITHOUT = {
  nothing: 'operator and control plane run',
  operator: 'operator stopped',
  'control-plane': 'control plane stopped (and with it Services, kubelet and operator)',
} as const;
export type Without = keyof typeof WITHOUT;

export interface Instance {
  readonly name: string;
  readonly host: string;
  readonly zone: string;
}

interface AgentReport {
  readonly role: string;
  readonly phase: string;
  readonly postgres: { readonly pid?: number };
}

export interface InstanceState extends Instance {
  /** Undefined when its agent does not answer. */
  readonly agent: AgentReport | undefined;
}

/** The compute pods, as the control plane has them, with what their agents say. */
export async function instancesOf(system: StartedSystem): Promise<InstanceState[]> {
  const text = system.run('kubectl', 'get', 'pods', '-l', 'kube-aurora.dev/component=compute', '-o', 'json');
  const { items } = JSON.parse(text) as {
    items: { metadata: { name: string; labels: Record<string, string> }; status?: { podIP?: string } }[];
  };
  const instances = items.flatMap(({ metadata, status }) => {
    const host = status?.podIP;
    return host === undefined ? [] : [{ name: metadata.name, host, zone: metadata.labels['kube-aurora.dev/zone'] ?? '' }];
  });
  return Promise.all(instances.map(async (instance) => ({ ...instance, agent: await reportOf(instance) })));
}

async function reportOf({ host }: Instance): Promise<AgentReport | undefined> {
  try {
    return (await (await fetch(`http://${host}:7003/status`, { signal: AbortSignal.timeout(1000) })).json()) as AgentReport;
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

/** Breaks what is to be broken. Gives when it was broken, of performance.now(). */
export function inflictOnWriter(system: StartedSystem, fault: FailoverFault, writer: InstanceState, without: Without): number {
  const agents = system.processes(AGENT, `AURORA_INSTANCE=${writer.name}`);
  // Only processes can be broken while nobody answers kubectl.
  const hasApi = without !== 'control-plane';
  switch (fault) {
    case 'postgres':
      signal(writer.agent?.postgres.pid, 'SIGKILL');
      return performance.now();
    case 'agent':
      for (const pid of agents) signal(pid, 'SIGKILL');
      return performance.now();
    case 'hang':
      for (const pid of agents) signal(pid, 'SIGSTOP');
      return performance.now();
    case 'pod':
      if (hasApi) system.run('kubectl', 'delete', 'pod', writer.name, '--force', '--grace-period=0', '--wait=false');
      for (const pid of agents) signal(pid, 'SIGKILL');
      signal(writer.agent?.postgres.pid, 'SIGKILL');
      return performance.now();
    case 'zone':
      if (hasApi) system.run('zone', 'fail', writer.zone);
      else
        for (const program of PROGRAMS) for (const pid of system.processes(program, `AURORA_ZONE=${writer.zone}`)) signal(pid, 'SIGKILL');
      return performance.now();
  }
}

/** Who is to stand still stops, or goes on. */
export function stopParts(system: StartedSystem, without: Without, name: 'SIGSTOP' | 'SIGCONT'): void {
  const programs = { nothing: [], operator: ['operator/src/main.ts'], 'control-plane': ['local-kube/src/main.ts', 'operator/src/main.ts'] }[
    without
  ];
  for (const program of programs) for (const pid of system.processes(program)) signal(pid, name);
}

/** Everything runs again: one writer, and readers that follow it. Throws when that takes too long. */
export async function heal(
  system: StartedSystem,
  fault: FailoverFault,
  writer: InstanceState,
  without: Without,
  instances: number,
): Promise<void> {
  if (fault === 'hang') for (const pid of system.processes(AGENT, `AURORA_INSTANCE=${writer.name}`)) signal(pid, 'SIGCONT');
  stopParts(system, without, 'SIGCONT');
  if (fault === 'zone' && without !== 'control-plane') system.run('zone', 'restore', writer.zone);
  await isWhole(system, instances);
}

/** Waits for one writer and as many readers as there are to be. */
export async function isWhole(system: StartedSystem, instances: number, withinMs = 120_000): Promise<InstanceState> {
  const until = performance.now() + withinMs;
  for (;;) {
    const states = await instancesOf(system);
    const running = states.filter(({ agent }) => agent?.phase === 'running');
    const [writer, ...others] = running.filter(({ agent }) => agent?.role === 'writer');
    if (writer !== undefined && others.length === 0 && running.length === instances) return writer;
    if (performance.now() > until) {
      const said = states.map(({ name, agent }) => `${name}: ${agent?.role ?? 'silent'} ${agent?.phase ?? ''}`).join(', ');
      throw new Error(`not one writer and ${instances - 1} readers after ${withinMs / 1000} s: ${said}`);
    }
    await delay(300);
  }
}
