import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A process, told from a later one with the same number by when it started. */
interface ProcessMark {
  readonly pid: number;
  readonly startTicks: string;
}

/** Clock ticks since boot at which a process started: field 22 of /proc/PID/stat (proc(5)). */
export function startTicks(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return undefined;
    throw error;
  }
}

/** Signals a process group; one that is gone already is fine. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalProcess(-pid, signal);
}

export function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Remembers on disk which processes belong to pods, so that a later local-kube can end what a killed one left behind. */
export class ProcessTable {
  readonly #directory: string;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
  }

  add(pid: number): void {
    const ticks = startTicks(pid);
    if (ticks === undefined) return;
    const mark: ProcessMark = { pid, startTicks: ticks };
    writeFileSync(path.join(this.#directory, String(pid)), JSON.stringify(mark), { mode: 0o600 });
  }

  remove(pid: number): void {
    rmSync(path.join(this.#directory, String(pid)), { force: true });
  }

  /** Kills the process groups that an earlier run left; returns how many there were. */
  killLeftovers(): number {
    let killed = 0;
    for (const name of readdirSync(this.#directory)) {
      const mark = JSON.parse(readFileSync(path.join(this.#directory, name), 'utf8')) as ProcessMark;
      if (startTicks(mark.pid) === mark.startTicks) {
        signalGroup(mark.pid, 'SIGKILL');
        killed += 1;
      }
      this.remove(mark.pid);
    }
    return killed;
  }
}
