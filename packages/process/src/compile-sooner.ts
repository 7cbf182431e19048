import { setFlagsFromString } from 'node:v8';

/**
 * How often a function runs before V8 compiles it well, in place of V8's own 400, 3,000 and 500. Those are made for loops, and what
 * is on the way of a commit runs once for each: a few hundred times a second. With V8's counts it runs long in baseline code,
 * which takes twice the time, after every start and every failover. Counts that are lower still were not told apart from
 * these and compile more of what is hardly used (test/bench/README.md has the figures).
 *
 * NODE_OPTIONS does not take them: a program sets them as it starts, and V8 goes by them from then on.
 */
export const TIER_UP = {
  'invocation-count-for-maglev': 100,
  'invocation-count-for-turbofan': 600,
  'minimum-invocations-after-ic-update': 100,
} as const;

/** For programs that are on the way of a commit. */
export function compileSooner(): void {
  for (const [flag, count] of Object.entries(TIER_UP)) setFlagsFromString(`--${flag}=${count}`);
}
