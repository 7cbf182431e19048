export interface OwnCpu {
  /** Milliseconds of this process, all threads, and of its main thread. */
  readonly cpu: number;
  readonly main: number;
  /** The longest time in which the event loop did not turn, in milliseconds. */
  readonly longest: number;
}

/** What `work` costs this process. */
export async function measured(work: () => Promise<void>): Promise<OwnCpu> {
  let longest = 0;
  let last = performance.now();
  const probe = setInterval(() => {
    const now = performance.now();
    longest = Math.max(longest, now - last);
    last = now;
  }, 1);
  const before = process.cpuUsage();
  const mainBefore = process.threadCpuUsage();
  try {
    await work();
  } finally {
    clearInterval(probe);
  }
  const main = process.threadCpuUsage(mainBefore);
  const { user, system } = process.cpuUsage(before);
  return { cpu: (user + system) / 1000, main: (main.user + main.system) / 1000, longest };
}
