/** What a reader has to do, as far as there is a target for it. */
export interface ReaderLoad {
  readonly connections?: number;
  /** Percent of the CPU that it has. */
  readonly cpuUtilization?: number;
}

export const LOAD_METRICS = ['connections', 'cpuUtilization'] as const;
export type LoadMetric = (typeof LOAD_METRICS)[number];

export interface AutoscalingRules {
  /** Instances, the writer among them: at least two, at least one reader. */
  readonly min: number;
  readonly max: number;
  /** What a reader is to have on average; one of them at least. */
  readonly targets: Readonly<Partial<Record<LoadMetric, number>>>;
  readonly scaleOutCooldownMs: number;
  readonly scaleInCooldownMs: number;
}

export interface AutoscalingSituation {
  /** Instances that there are to be by what was decided before. */
  readonly instances: number;
  /** Of each reader that there is to be: what it has to do; undefined when it does not say. */
  readonly loads: readonly (ReaderLoad | undefined)[];
  /** Times are milliseconds since 1970. */
  readonly lastScaleOutAt?: number | undefined;
  /** Since when fewer would have been enough. */
  readonly lowSince?: number | undefined;
  readonly now: number;
}

/**
 * | kind        | instances                                                                 |
 * | ----------- | ------------------------------------------------------------------------- |
 * | bounded     | are brought within the bounds                                             |
 * | out         | more, at once as many as the targets ask for                              |
 * | in          | one fewer                                                                 |
 * | coolingDown | stay: more are needed, and the last were added less than a cool-down ago  |
 * | atMax       | stay: more are needed than there may be                                   |
 * | low         | stay: fewer are enough, since `lowSince`, which is not long enough yet    |
 * | missing     | stay: not every reader says what it has to do, and no more are needed     |
 * | steady      | stay                                                                      |
 */
export interface AutoscalingDecision {
  readonly kind: 'bounded' | 'out' | 'in' | 'coolingDown' | 'atMax' | 'low' | 'missing' | 'steady';
  readonly instances: number;
  /** What the targets ask for, whatever the bounds say. */
  readonly wanted: number;
  readonly lowSince: number | undefined;
  /** Until time alone changes what is decided. */
  readonly againInMs?: number;
}

/** More are added only when readers have this much more than their target, fewer kept only when they would have this much less. */
const TOLERANCE = 0.1;

/**
 * How many instances there are to be. Pure.
 *
 * Invariants:
 * - it never leaves the bounds;
 * - a steady load never makes it go out and in by turns: what is left after a step in has a tenth less than its target, and more are
 *   added only from a tenth above it;
 * - a reader that says nothing has nothing to do where more are to be added, so that one that has just been added asks for no others,
 *   and keeps all others where one is to be removed;
 * - one is removed only when fewer were enough for all of a cool-down, and not within one after another change.
 */
export function autoscale(rules: AutoscalingRules, situation: AutoscalingSituation): AutoscalingDecision {
  const { min, max, scaleOutCooldownMs, scaleInCooldownMs } = rules;
  const { instances, lastScaleOutAt, now } = situation;
  const bounded = Math.min(Math.max(instances, min), max);
  if (bounded !== instances) return { kind: 'bounded', instances: bounded, wanted: bounded, lowSince: undefined };
  const more = 1 + readersFor(rules, situation, 'out');
  if (more > instances) {
    const to = Math.min(more, max);
    if (to === instances) return { kind: 'atMax', instances, wanted: more, lowSince: undefined };
    const leftMs = lastScaleOutAt === undefined ? 0 : lastScaleOutAt + scaleOutCooldownMs - now;
    if (leftMs > 0) return { kind: 'coolingDown', instances, wanted: more, lowSince: undefined, againInMs: leftMs };
    return { kind: 'out', instances: to, wanted: more, lowSince: undefined };
  }
  if (!situation.loads.every((load) => isWhole(rules, load))) return { kind: 'missing', instances, wanted: instances, lowSince: undefined };
  const fewer = 1 + readersFor(rules, situation, 'in');
  if (fewer >= instances || instances <= min) return { kind: 'steady', instances, wanted: Math.min(fewer, instances), lowSince: undefined };
  // The clock may have been set back.
  const lowSince = Math.min(situation.lowSince ?? now, now);
  const leftMs = lowSince + scaleInCooldownMs - now;
  if (leftMs > 0) return { kind: 'low', instances, wanted: fewer, lowSince, againInMs: leftMs };
  return { kind: 'in', instances: instances - 1, wanted: fewer, lowSince: undefined };
}

/** What readers have on average, those that say nothing left out; undefined where none says it. */
export function averageLoad(loads: readonly (ReaderLoad | undefined)[], metric: LoadMetric): number | undefined {
  const known = loads.flatMap((load) => load?.[metric] ?? []);
  return known.length === 0 ? undefined : known.reduce((sum, one) => sum + one, 0) / known.length;
}

/** Readers that the targets ask for; of several targets the one that asks for most counts. */
function readersFor({ targets }: AutoscalingRules, { instances, loads }: AutoscalingSituation, direction: 'out' | 'in'): number {
  const readers = instances - 1;
  const wanted = LOAD_METRICS.flatMap((metric) => {
    const target = targets[metric];
    if (target === undefined) return [];
    const sum = loads.reduce((all, load) => all + (load?.[metric] ?? 0), 0);
    if (direction === 'in') return Math.ceil(sum / (target * (1 - TOLERANCE)));
    return sum > readers * target * (1 + TOLERANCE) ? Math.ceil(sum / target) : readers;
  });
  return Math.max(1, ...wanted);
}

/** Does a reader say all that there is a target for? */
function isWhole({ targets }: AutoscalingRules, load: ReaderLoad | undefined): boolean {
  return load !== undefined && LOAD_METRICS.every((metric) => targets[metric] === undefined || load[metric] !== undefined);
}
