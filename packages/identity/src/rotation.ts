import { readCertificate, readCertificates, type Certificate } from './certificate.ts';
import { isDue } from './validity.ts';

/** A certificate authority: its certificate and its private key, PEM. */
export interface Authority {
  readonly certificate: string;
  readonly key: string;
}

/**
 * The authorities of a cluster. Leaves are issued by one of them, and all are believed.
 *
 * A rotation: `next` is there and believed, and issues nothing; once everybody has had the time to see it, it issues, and the one before
 * becomes `previous`, which is believed until everybody has had the time to have a new leaf.
 */
export interface AuthorityState {
  readonly issuing: Authority;
  readonly next?: Authority;
  /** Certificates alone: its key is forgotten. */
  readonly previous?: string;
  /** When the last step was done, in milliseconds since 1970. */
  readonly steppedAt: number;
  /** What was asked for last by the annotation: the same word asks for nothing more. */
  readonly asked?: string;
}

export interface RotationRules {
  readonly now: number;
  /** Everybody has seen a change of a Secret after so many milliseconds. */
  readonly spreadMs: number;
  /** A person asks for a rotation by a word that was not asked for before. */
  readonly asked?: string | undefined;
  /** The authority that a person, or cert-manager, keeps; undefined: one of our own. */
  readonly given?: Authority | undefined;
  /** When the last of the leaves was issued by `issuing`; undefined while one is of another authority. */
  readonly leavesSince: number | undefined;
}

export type RotationStep =
  | { readonly kind: 'none' }
  /** Not yet: look again after so long. */
  | { readonly kind: 'wait'; readonly ms: number }
  /** Adds `authority`, or a new one where that is undefined, to what is believed. */
  | { readonly kind: 'announce'; readonly authority: Authority | undefined; readonly why: string }
  /** Leaves are issued by the next one from now on. */
  | { readonly kind: 'issue-by-next' }
  /** The previous one is believed no more. */
  | { readonly kind: 'retire-previous' };

/** The next step, if any. One rotation at a time: what is asked for meanwhile comes after it. */
export function nextRotationStep(state: AuthorityState, rules: RotationRules): RotationStep {
  const { now, spreadMs, asked, given } = rules;
  const left = state.steppedAt + spreadMs - now;
  if (state.next !== undefined) return left > 0 ? { kind: 'wait', ms: left } : { kind: 'issue-by-next' };
  if (state.previous !== undefined) {
    if (rules.leavesSince === undefined) return { kind: 'wait', ms: spreadMs };
    const until = Math.max(state.steppedAt, rules.leavesSince) + spreadMs;
    return until > now ? { kind: 'wait', ms: until - now } : { kind: 'retire-previous' };
  }
  const issuing = readCertificate(state.issuing.certificate);
  if (given !== undefined) {
    if (readCertificate(given.certificate)?.fingerprint === issuing?.fingerprint) return { kind: 'none' };
    return { kind: 'announce', authority: given, why: 'the Secret that has the authority has another one' };
  }
  if (asked !== undefined && asked !== state.asked) return { kind: 'announce', authority: undefined, why: `it was asked for: ${asked}` };
  if (issuing === undefined || isDue(issuing, now))
    return { kind: 'announce', authority: undefined, why: 'two thirds of its time are over' };
  return { kind: 'none' };
}

/** The state after a step; `made` is the new authority where the step needs one. */
export function rotated(
  state: AuthorityState,
  step: Exclude<RotationStep, { kind: 'none' | 'wait' }>,
  { now, asked, made }: { readonly now: number; readonly asked?: string | undefined; readonly made?: Authority | undefined },
): AuthorityState {
  const word = asked ?? state.asked;
  const kept = { steppedAt: now, ...(word === undefined ? {} : { asked: word }) };
  if (step.kind === 'announce') {
    const next = step.authority ?? made;
    if (next === undefined) throw new TypeError('a rotation that makes an authority needs the one that was made');
    return { ...kept, issuing: state.issuing, next };
  }
  // What was asked for between two steps is a rotation of its own, after this one.
  const same = { steppedAt: now, ...(state.asked === undefined ? {} : { asked: state.asked }) };
  if (step.kind === 'issue-by-next') {
    if (state.next === undefined) return state;
    return { ...same, issuing: state.next, previous: state.issuing.certificate };
  }
  return { ...same, issuing: state.issuing };
}

/** All that are believed, the issuing one first: what ca.crt holds. */
export function authoritiesOf({ issuing, next, previous }: AuthorityState): readonly Certificate[] {
  return readCertificates([issuing.certificate, next?.certificate ?? '', previous ?? ''].join('\n'));
}
