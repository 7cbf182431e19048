import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync } from 'node:fs';
import path from 'node:path';
import { isRunning, processMark, statFields, type ProcessMark } from '@kube-aurora/process';
import { writeWhole } from '../store/whole-file.ts';

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
  // Collected first: once their parent is dead nothing shows whose children they were.
  const below = descendants(pid);
  signalGroup(pid, signal);
  for (const one of below) signalProcess(one, signal);
}

/**
 * Remembers on disk which processes belong to pods, so that a later local-kube can end what a killed one left behind.
 */
export class ProcessTable {
  readonly #directory: string;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    this.#directory = directory;
  }

  add(pid: number): void {
    const mark = processMark(pid);
    if (mark === undefined) return;
    writeWhole(path.join(this.#directory, String(pid)), JSON.stringify(mark));
  }

  remove(pid: number): void {
    rmSync(path.join(this.#directory, String(pid)), { force: true });
  }

  /**
   * Kills what an earlier run left; returns how many processes it found. Besides those that it knows, everything that
   * works in or was started for a directory of the pods: a process that was killed may have left others, in sessions of
   * their own.
   */
  killLeftovers(podsDirectory: string): number {
    let killed = 0;
    for (const name of readdirSync(this.#directory)) {
      const file = path.join(this.#directory, name);
      if (/^\d+$/.test(name)) {
        const mark = JSON.parse(readFileSync(file, 'utf8')) as ProcessMark;
        if (isRunning(mark)) {
          signalTree(mark.pid, 'SIGKILL');
          killed += 1;
        }
      }
      rmSync(file, { force: true });
    }
    return killed + killStrays(podsDirectory);
  }
}

/**
 * Kills every process that works below a directory, or whose container's root is there; returns how many there were.
 */
export function killStrays(directory: string): number {
  if (!existsSync(directory)) return 0;
  // The kernel tells working directories without symbolic links; the environment has them as they were given.
  const places = [directory, realpathSync(directory)];
  const within = (place: string | undefined): boolean => place !== undefined && places.some((one) => `${place}/`.startsWith(`${one}/`));
  const strays = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => within(ofProcess(() => readlinkSync(`/proc/${name}/cwd`))) || within(containerRoot(name)));
  for (const name of strays) signalTree(Number(name), 'SIGKILL');
  return strays.length;
}

function containerRoot(pid: string): string | undefined {
  const environment = ofProcess(() => readFileSync(`/proc/${pid}/environ`, 'latin1'));
  const variable = environment?.split('\0').find((one) => one.startsWith('LOCAL_KUBE_ROOT='));
  return variable?.slice('LOCAL_KUBE_ROOT='.length);
}

/** What /proc says of a process; undefined when it is gone or not ours to look at. */
function ofProcess<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(String(error.code))) return undefined;
    throw error;
  }
}
