/** How often a program ended right after its start, one time after the other. */
export interface StartHistory {
  readonly shortRuns: number;
}

export const FRESH: StartHistory = { shortRuns: 0 };

/** A run that lasted this long was a healthy one. */
const HEALTHY_MS = 10_000;
const FIRST_DELAY_MS = 200;
const GIVE_UP_AFTER = 6;

/**
 * When a program that has ended is started again: soon, later each time it ends right after its start (0.2 s doubling),
 * and not at all after six such runs. Pure.
 */
export function nextStart(history: StartHistory, ranMs: number): { history: StartHistory; againInMs: number | undefined } {
  const shortRuns = ranMs >= HEALTHY_MS ? 0 : history.shortRuns + 1;
  const againInMs = shortRuns >= GIVE_UP_AFTER ? undefined : FIRST_DELAY_MS * 2 ** Math.max(0, shortRuns - 1);
  return { history: { shortRuns }, againInMs };
}
