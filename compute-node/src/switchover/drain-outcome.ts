/** What came of the time that a writer's transactions were given to end before its place was taken. */
export interface DrainOutcome {
  readonly waitedMs: number;
  /** Those that were under way; undefined when nobody could see. */
  readonly transactions?: DrainedTransactions | undefined;
}

export interface DrainedTransactions {
  /** Ended by themselves. */
  readonly finished: number;
  /** Were under way still when time was up. */
  readonly cutOff: number;
}
