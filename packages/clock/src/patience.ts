import type { Clock, Timer } from './clock.ts';

/** Of a stretch in which this process had no turn, so much counts at most. */
const SLICE_MS = 500;

/**
 * Runs `work` once somebody has had `ms` to answer, in time in which we could have heard it. On a machine that is short
 * of CPU a timer fires late because its own process was kept waiting, with the answer unread beside it: that says
 * nothing of the other end. So the time is counted in slices, each of which counts once however long it took, and what
 * has arrived is let in before the end.
 */
export function afterPatience(clock: Pick<Clock, 'after' | 'soon'>, ms: number, work: () => void): Timer {
  let leftMs = ms;
  let isCancelled = false;
  let timer: Timer | undefined;
  const wait = (): void => {
    const sliceMs = Math.min(leftMs, SLICE_MS);
    leftMs -= sliceMs;
    timer = clock.after(sliceMs, () => {
      if (leftMs > 0) wait();
      else
        clock.soon(() => {
          if (!isCancelled) work();
        });
    });
  };
  wait();
  return {
    cancel() {
      isCancelled = true;
      timer?.cancel();
    },
  };
}
