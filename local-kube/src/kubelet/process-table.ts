import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** A process, told from a later one with the same number by when it started. */
interface ProcessMark {
  readonly pid: number;
  readonly startTicks: string;
}

/** What follows the name in /proc/PID/stat: state, parent, group … (proc(5), fields 3 and on); undefined when it is gone. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return undefined;
    throw error;
  }
}

/** Clock ticks since boot at which a process started. */
export function startTicks(pid: number): string | undefined {
  return statFields(pid)?.[19];
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

/** All processes below one, whatever group they made for themselves (PostgreSQL's backends each make one). */
function descendants(pid: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1]);
    children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const below = (one: number): number[] => (children.get(one) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(pid);
}

/** Signals a process, its group and everything that it started. */
export function signalTree(pid: number, signal: NodeJS.Signals): void {
  // Collected first: once their parent is dead they cannot be told any more.
  const below = descendants(pid);
  signalGroup(pid, signal);
  for (const one of below) signalProcess(one, signal);
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
        signalTree(mark.pid, 'SIGKILL');
        killed += 1;
      }
      this.remove(mark.pid);
    }
    return killed;
  }
}
