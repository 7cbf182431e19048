import fs from 'node:fs';

/** Of this thread: time on a core, time that it was ready and waited for one (both ns), turns. */
const SCHEDSTAT = '/proc/thread-self/schedstat';
/** Three numbers of at most 20 digits, and what stands between them. */
const BYTES_MAX = 64;

/** Milliseconds for which a thread waited for a core, by what Linux says of it; undefined where that is something else. */
export function coreWaitIn(schedstat: string): number | undefined {
  const waited = /^\d+ (\d+) \d+\n$/.exec(schedstat)?.[1];
  return waited === undefined ? undefined : Number(waited) / 1e6;
}

/**
 * Says for how many milliseconds the thread that asks first has been ready to run and had no core. 0 where the system
 * does not tell: waits are then taken for the disk's. It does not throw.
 */
export function coreWait(path = SCHEDSTAT): () => number {
  const bytes = Buffer.alloc(BYTES_MAX);
  let file: number | undefined;
  let isTold = true;
  return () => {
    if (!isTold) return 0;
    try {
      file ??= fs.openSync(path, 'r');
      return coreWaitIn(bytes.toString('latin1', 0, fs.readSync(file, bytes, 0, BYTES_MAX, 0))) ?? 0;
    } catch {
      // Kernels without scheduling statistics, and sandboxes that show no /proc, are taken as they are.
      isTold = false;
      return 0;
    }
  };
}
