import { setTimeout as delay } from 'node:timers/promises';
import type { Cluster } from '../e2e/cluster-harness.ts';
import type { ManagedProcess } from '../e2e/managed-process.ts';
import type { Fault } from './schedule.ts';

async function down(processes: readonly ManagedProcess[], downMs: number): Promise<void> {
  await Promise.all(processes.map((process) => process.kill()));
  await delay(downMs);
  for (const process of processes) process.start();
}

async function stopped(process: ManagedProcess, downMs: number): Promise<void> {
  process.pause();
  await delay(downMs);
  process.resume();
}

function daemonsOf(cluster: Cluster, indexes: readonly number[]): ManagedProcess[] {
  return indexes.map((index) => {
    const daemon = cluster.daemons[index];
    if (daemon === undefined) throw new RangeError(`there is no daemon ${index}`);
    return daemon;
  });
}

/** Lets one fault happen and heals it; resolves when every process is up again (not when the cluster has recovered). */
export async function inflict(cluster: Cluster, fault: Fault): Promise<void> {
  switch (fault.kind) {
    case 'kill-daemon':
      return down(daemonsOf(cluster, [fault.daemon]), fault.downMs);
    case 'pause-daemon':
      for (const daemon of daemonsOf(cluster, [fault.daemon])) await stopped(daemon, fault.downMs);
      return;
    case 'fail-zone':
      return down(daemonsOf(cluster, [2 * fault.zone, 2 * fault.zone + 1]), fault.downMs);
    case 'kill-three':
      return down(daemonsOf(cluster, fault.daemons), fault.downMs);
    case 'kill-all':
      return down(cluster.daemons, fault.downMs);
    case 'kill-agent':
      return down([cluster.writer], fault.downMs);
    case 'pause-agent':
      return stopped(cluster.writer, fault.downMs);
    case 'kill-postgres': {
      const pid = (await cluster.writer.status())?.postgres.pid;
      if (pid !== undefined) process.kill(pid, 'SIGKILL');
    }
  }
}
