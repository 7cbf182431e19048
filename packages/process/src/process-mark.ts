import { readFileSync } from 'node:fs';

/** A process, distinguished from a later one with the same number by when it started. */
export interface ProcessMark {
  readonly pid: number;
  /** Clock ticks since boot. */
  readonly startTicks: string;
}

/**
 * What follows the name in /proc/PID/stat: state, parent, group … (proc(5), fields 3 and on); undefined when it is
 * gone.
 */
export function statFields(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return undefined;
    throw error;
  }
}

/**
 * The mark of a process that runs; undefined when it has ended, also when nobody has asked for its exit code yet (a
 * zombie, which stays for ever where process 1 is no init).
 */
export function processMark(pid: number): ProcessMark | undefined {
  const fields = statFields(pid);
  const startTicks = fields?.[19];
  return startTicks === undefined || fields?.[0] === 'Z' || fields?.[0] === 'X' ? undefined : { pid, startTicks };
}

/** Does this very process still run? */
export function isRunning(mark: ProcessMark): boolean {
  return processMark(mark.pid)?.startTicks === mark.startTicks;
}
