/** What a process has used so far, from /proc (proc(5)). Differences of two readings are a benchmark's figures. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';

/** USER_HZ: clock ticks a second in /proc/PID/stat, 100 on every Linux that runs on x64. */
const TICKS_PER_SECOND = 100;

/**
 * Fields of /proc/PID/stat past the command's name, which may hold blanks and brackets itself. Undefined: it is gone.
 */
function statFields(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ');
  } catch (error) {
    if (isGone(error)) return undefined;
    throw error;
  }
}

/** A process, or what it had open, has ended since it was found. */
export function isGone(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ENOENT' || code === 'ESRCH';
}

function seconds(fields: readonly string[], from: number, to: number): number {
  return fields.slice(from, to).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS_PER_SECOND;
}

/** CPU seconds (user and system) of one process. */
export function cpuSeconds(pid: number): number {
  return seconds(statFields(pid) ?? [], 11, 13);
}

/** CPU seconds of a process and all it started, also those that have ended and were waited for: a whole PostgreSQL. */
export function treeCpuSeconds(root: number): number {
  return tree(root).reduce((sum, pid) => sum + seconds(statFields(pid) ?? [], 11, 15), 0);
}

/** A process and all below it that live. */
export function tree(root: number): number[] {
  const childrenOf = new Map<number, number[]>();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const parent = Number(statFields(Number(name))?.[1] ?? 0);
    childrenOf.set(parent, [...(childrenOf.get(parent) ?? []), Number(name)]);
  }
  const all = (pid: number): number[] => [pid, ...(childrenOf.get(pid) ?? []).flatMap(all)];
  return all(root);
}

/**
 * Bytes that the disk under `path` was given to write, by everybody on the machine; undefined when the file system
 * names no disk. The kernel's count for one process (write_bytes of /proc/PID/io) is of no use here: since page-cache
 * folios are large, ext4 has it count a whole folio, up to 2 MiB, for a write of a few bytes into a file that has its
 * blocks already.
 */
export function diskBytesWritten(path: string): number | undefined {
  const { dev } = statSync(path);
  // The kernel's encoding of a device number in 32 bits (new_encode_dev, linux/kdev_t.h).
  const [major, minor] = [(dev >> 8) & 0xfff, (dev & 0xff) | ((dev >> 12) & 0xfff00)];
  const file = `/sys/dev/block/${major}:${minor}/stat`;
  if (!existsSync(file)) return undefined;
  // Seventh field: sectors of 512 bytes (Documentation/block/stat.rst).
  return Number(readFileSync(file, 'utf8').trim().split(/\s+/)[6]) * 512;
}

/** Resident memory, MiB. */
export function residentMib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
}

/** How busy the machine was: load averages over 1 and 5 minutes. A figure means nothing without them. */
export function machineLoad(): string {
  const [one, five] = readFileSync('/proc/loadavg', 'utf8').split(' ');
  return `load ${one} over 1 min, ${five} over 5 min`;
}
