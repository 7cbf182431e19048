/** Which set of settings PostgreSQL is started with, and what is known of each. Pure. */
import { NO_SETTINGS, type ReadSettings, type SettingsSet } from './settings-files.ts';

/**
 * What is known of a set, by its fingerprint.
 *
 *   ran       PostgreSQL ran with it under this agent
 *   passed    a trial found nothing wrong
 *   refused   the trial was refused: it stays so until the set changes
 *   failed    PostgreSQL ended while it started with it: that may have had another cause
 */
export type Finding =
  | { readonly kind: 'ran' | 'passed' }
  | { readonly kind: 'refused'; readonly words: string }
  | { readonly kind: 'failed'; readonly words: string; readonly times: number };
export type Findings = ReadonlyMap<string, Finding>;

/**
 * Starts in a row that must fail before a set that ran once is doubted: storage may be what failed. A new set has one.
 */
const FAILURES_OF_A_GOOD_SET = 3;

export interface Candidates {
  readonly wanted: ReadSettings;
  /** As recorded outside: the last set that was seen running. */
  readonly accepted: SettingsSet | undefined;
  /** The last set that ran under this agent. */
  readonly lastGood: SettingsSet | undefined;
}

/** Best first, each once: what the manifest wants, what ran last, what was recorded, PostgreSQL's own values. */
export function candidateSets({ wanted, accepted, lastGood }: Candidates): readonly SettingsSet[] {
  const all = [wanted.kind === 'read' ? wanted.set : undefined, lastGood, accepted, NO_SETTINGS];
  const unique = new Map<string, SettingsSet>();
  for (const set of all) if (set !== undefined && !unique.has(set.fingerprint)) unique.set(set.fingerprint, set);
  return [...unique.values()];
}

export type Choice =
  | { readonly kind: 'start'; readonly set: SettingsSet }
  /** Nothing is known of it yet. */
  | { readonly kind: 'try'; readonly set: SettingsSet }
  /** Every set failed to start: it was none of them. What `failed` says is to be forgotten. */
  | { readonly kind: 'none' };

/**
 * The next step. A set that ran or was recorded as running is not tried again: a writer that comes back must not wait
 * for it. It always ends: each trial adds a finding, and PostgreSQL's own values need no trial.
 */
export function chooseSettings(candidates: Candidates, findings: Findings): Choice {
  for (const set of candidateSets(candidates)) {
    const finding = findings.get(set.fingerprint);
    const ranOnce = [candidates.accepted, candidates.lastGood].some((good) => good?.fingerprint === set.fingerprint);
    if (finding?.kind === 'refused') continue;
    if (finding?.kind === 'failed' && finding.times >= (ranOnce ? FAILURES_OF_A_GOOD_SET : 1)) continue;
    return { kind: finding !== undefined || ranOnce || set === NO_SETTINGS ? 'start' : 'try', set };
  }
  return { kind: 'none' };
}

/** What is to be said of the set that the manifest wants. */
export type SettingsState =
  | { readonly kind: 'applied' }
  | { readonly kind: 'pending' }
  | { readonly kind: 'refused'; readonly words: string };

export function stateOf(wanted: ReadSettings, running: SettingsSet | undefined, findings: Findings): SettingsState {
  if (wanted.kind === 'malformed') return { kind: 'refused', words: wanted.why };
  if (running?.fingerprint === wanted.set.fingerprint) return { kind: 'applied' };
  const finding = findings.get(wanted.set.fingerprint);
  return finding?.kind === 'refused' || finding?.kind === 'failed' ? { kind: 'refused', words: finding.words } : { kind: 'pending' };
}
