/** What an experienced administrator would say, looking at this database. */
export const ADVICE_IDS = [
  'transactionIds',
  'preparedTransaction',
  'idleInTransaction',
  'longTransaction',
  'connections',
  'slotHoldsWal',
  'sequenceEnds',
  'invalidIndex',
  'deadRows',
  'neverAnalyzed',
  'bloat',
  'cacheTooSmall',
  'duplicateIndex',
  'unusedIndex',
] as const;
export type AdviceId = (typeof ADVICE_IDS)[number];

/** Most urgent first. `critical`: it stops, or is about to. `hint`: it would be better otherwise. */
export const SEVERITIES = ['critical', 'warning', 'hint'] as const;
export type Severity = (typeof SEVERITIES)[number];

/** One thing that was found, as a rule gives it. */
export interface Finding {
  readonly id: AdviceId;
  readonly severity: Severity;
  /** What it is about: a database, and a table or an index in it. Empty: the whole of PostgreSQL. */
  readonly subject: string;
  /** A sentence. */
  readonly what: string;
  /** What it was judged by. */
  readonly numbers: Readonly<Record<string, number>>;
  /** What one can ask to see it oneself. */
  readonly query: string;
  readonly remedy: string;
}

/** With the time since when it is found, RFC 3339. */
export interface Advice extends Finding {
  readonly since: string;
}

/** What is shown at most: who mends these is shown the next. */
export const ADVICE_MAX = 10;

const keyOf = ({ id, subject }: Finding): string => `${id}\0${subject}`;

/** Most urgent first, in the order of the ids, then those found first; with `since` of those that were found before. */
export function adviceOf(found: readonly Finding[], before: readonly Advice[], nowIso: string): Advice[] {
  const since = new Map(before.map((one) => [keyOf(one), one.since]));
  const rank = ({ id, severity }: Finding): number => SEVERITIES.indexOf(severity) * ADVICE_IDS.length + ADVICE_IDS.indexOf(id);
  return found
    .map((one) => ({ ...one, since: since.get(keyOf(one)) ?? nowIso }))
    .sort((a, b) => rank(a) - rank(b) || a.since.localeCompare(b.since) || a.subject.localeCompare(b.subject));
}
