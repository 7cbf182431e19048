/**
 * Leader election by a Lease, as a pure state machine. Clocks of different machines are never compared: a lease has
 * expired when we ourselves saw it unchanged for its whole duration, by our own monotonic clock.
 */
export interface LeaseRecord {
  /** Empty: released. */
  readonly holder: string;
  readonly durationSeconds: number;
  readonly transitions: number;
  readonly resourceVersion: string;
}

export interface ElectionTimes {
  /** Others may take over after this long without a renewal. */
  readonly leaseMs: number;
  /** A leader that could not renew for this long stops leading: well before others may start. */
  readonly renewDeadlineMs: number;
  readonly retryMs: number;
}

/**
 * A leader may be lost together with a writer, on one node: until there is another, NAME-rw leads to that node. So it is replaced soon, and
 * looked for every second. A leader that could not renew for ten seconds ends: with six, nodes that were short of CPU lost theirs again and
 * again.
 */
export const ELECTION_TIMES: ElectionTimes = { leaseMs: 12_000, renewDeadlineMs: 10_000, retryMs: 1_000 };

export interface ElectionState {
  readonly id: string;
  readonly leading: boolean;
  /** Monotonic time of our last successful write; it counts only while leading. */
  readonly renewedAt: number;
  readonly seen?: { readonly resourceVersion: string; readonly at: number };
}

export type ElectionStep =
  | { readonly kind: 'wait'; readonly state: ElectionState }
  /** Try to write the lease: make it, take it over or renew it. `at` is when the attempt began. */
  | {
      readonly kind: 'write';
      readonly state: ElectionState;
      readonly transitions: number;
      readonly takesOver: boolean;
      readonly at: number;
    };

export function startElection(id: string): ElectionState {
  return { id, leading: false, renewedAt: 0 };
}

/** The lease was read (undefined: there is none). */
export function onLease(state: ElectionState, lease: LeaseRecord | undefined, now: number, times: ElectionTimes): ElectionStep {
  if (lease === undefined) return { kind: 'write', state, transitions: 0, takesOver: true, at: now };
  const unchanged = state.seen?.resourceVersion === lease.resourceVersion;
  const seen = unchanged && state.seen !== undefined ? state.seen : { resourceVersion: lease.resourceVersion, at: now };
  const next: ElectionState = { ...state, seen };
  if (lease.holder === state.id) return { kind: 'write', state: next, transitions: lease.transitions, takesOver: false, at: now };
  const followed: ElectionState = { ...next, leading: false };
  const patienceMs = Math.max(lease.durationSeconds * 1000, times.leaseMs);
  if (lease.holder === '' || now - seen.at >= patienceMs)
    return { kind: 'write', state: followed, transitions: lease.transitions + 1, takesOver: true, at: now };
  return { kind: 'wait', state: followed };
}

/** The write went through; the lease is ours from when the attempt began. */
export function onWritten(state: ElectionState, resourceVersion: string, attemptAt: number): ElectionState {
  return { ...state, leading: true, renewedAt: attemptAt, seen: { resourceVersion, at: attemptAt } };
}

/** Somebody else wrote first (409): whoever it was, the lease is not known to be ours. */
export function onOutrun(state: ElectionState): ElectionState {
  return { ...state, leading: false };
}

/** Leading and renewed recently enough to go on. False for a leader that must stop at once. */
export function mayLead(state: ElectionState, now: number, times: ElectionTimes): boolean {
  return state.leading && now - state.renewedAt < times.renewDeadlineMs;
}
