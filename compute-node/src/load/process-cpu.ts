import { readFileSync } from 'node:fs';

/** Ticks in a second of the times in /proc/PID/stat: USER_HZ, which Linux keeps at 100 for programs on all that we run on. */
const TICKS_PER_SECOND = 100;
/** Of the fields after the name (proc_pid_stat(5)): user and system time of the process, and of its children that have ended. */
const TIMES = { from: 11, to: 15 } as const;

/**
 * CPU seconds that a process and all below it have taken since they started, those included that have ended. It may fall: a
 * child whose parent ended before it counts elsewhere.
 */
export function cpuSecondsOfTree(pid: number, proc = '/proc'): number {
  const own = textOf(`${proc}/${pid}/stat`);
  if (own === undefined) return 0;
  // The name is in brackets, and may have spaces and brackets itself.
  const fields = own.slice(own.lastIndexOf(')') + 2).split(' ');
  const ticks = fields.slice(TIMES.from, TIMES.to).reduce((sum, text) => sum + Number(text), 0);
  const children = (textOf(`${proc}/${pid}/task/${pid}/children`) ?? '').split(' ').flatMap((text) => (text === '' ? [] : [Number(text)]));
  return children.reduce((sum, child) => sum + cpuSecondsOfTree(child, proc), ticks / TICKS_PER_SECOND);
}

/** Undefined when the process is gone. */
function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1').trim();
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ESRCH')) return undefined;
    throw error;
  }
}
