/**
 * Restarts of a container: the first at once, then after 0.5 s, doubling to 10 s; ten seconds of running start it over.
 */
export const FIRST_DELAY_MS = 500;
export const LONGEST_DELAY_MS = 10_000;
export const HEALTHY_AFTER_MS = 10_000;

export interface BackOff {
  /** Ends in a row that came too soon. */
  readonly failures: number;
}

export const NO_FAILURES: BackOff = { failures: 0 };

/** After a container ended that had run for a while: how long to wait before it starts again. */
export function nextRestart(state: BackOff, ranMs: number): { readonly state: BackOff; readonly delayMs: number } {
  const failures = ranMs >= HEALTHY_AFTER_MS ? 0 : state.failures;
  const delayMs = failures === 0 ? 0 : Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
  return { state: { failures: failures + 1 }, delayMs };
}
