import { describe, expect, it } from 'vitest';
import { leaseStatus, segmentStatuses, situationStatus, type SegmentName, type SituationView, type WriteProgress } from './agent-status.ts';
import type { AgentSituation } from './agent-situation.ts';
import type { LeaseView } from './lease/writer-lease.ts';
import type { SegmentStreamState } from './write-path/segment-stream.ts';

const places: SegmentName[] = Array.from({ length: 6 }, (_, index) => ({ index, id: `s${index}`, zone: `z${index >> 1}` }));
const fed: SegmentStreamState = { phase: 'streaming', scl: 100n, errors: 0, lastError: '', isUnwritable: false, inFlightBytes: 0 };
const full: SegmentStreamState = { ...fed, phase: 'unwritable', scl: 40n, isUnwritable: true, lastError: 'takes no redo: 3 MiB are free' };
const away: SegmentStreamState = { ...fed, phase: 'away', scl: 90n, lastError: 'connection refused' };

const writing = (states: readonly SegmentStreamState[]): WriteProgress => ({
  sentLsn: 100n,
  oldestFlushMs: 0,
  segment: (_, index) => states[index] ?? fed,
});
const NOW = Date.parse('2026-01-01T00:01:00Z');
const RUNNING = { phase: 'running', reason: 'none' } as const;
const status = (now: AgentSituation, view: Partial<SituationView>) =>
  situationStatus(
    { situation: now, since: '2026-01-01T00:00:00.000Z', message: 'as it was' },
    { segments: [], flushMs: 0, lease: undefined, openingStep: undefined, wallTime: NOW, ...view },
  );
const situation = (flushMs: number, states: readonly SegmentStreamState[], now: AgentSituation = RUNNING) =>
  status(now, { segments: segmentStatuses(places, writing(states)), flushMs });
const HELD: LeaseView = { remainingMs: 1500, timesRunOut: 0, lostMs: 0, waitingFor: '' };

describe('the status of segments', () => {
  it('says which take nothing for want of room, and how far behind each is', () => {
    expect(segmentStatuses(places, writing([fed, full, away])).slice(0, 3)).toEqual([
      { id: 's0', zone: 'z0', scl: 100n, state: 'streaming', takesNoRedo: false, behindBytes: 0, error: '' },
      { id: 's1', zone: 'z0', scl: 40n, state: 'unwritable', takesNoRedo: true, behindBytes: 60, error: full.lastError },
      { id: 's2', zone: 'z1', scl: 90n, state: 'away', takesNoRedo: false, behindBytes: 10, error: 'connection refused' },
    ]);
  });

  it('claims nothing without a write path', () => {
    for (const one of segmentStatuses(places, undefined))
      expect(one).toMatchObject({ state: 'unknown', takesNoRedo: false, behindBytes: 0 });
  });
});

describe('a writer whose commits wait', () => {
  it('is running, without a quorum since the oldest of them began, and names the segments and what is wrong with them', () => {
    expect(situation(5000, [full, full, fed, away])).toEqual({
      phase: 'running',
      reason: 'noQuorum',
      since: '2026-01-01T00:00:55.000Z',
      message: 'commits wait: fewer than four storage daemons take redo (the disk takes nothing on s0, s1; not fed: s3)',
    });
  });

  it('blames nobody when all are fed', () => {
    expect(situation(5000, []).message).toBe('commits wait: fewer than four storage daemons take redo');
  });

  it('says nothing of a short wait, and nothing when it does not run', () => {
    expect(situation(2999, [full, full, full])).toMatchObject({ reason: 'none', message: 'as it was' });
    const stopping = { phase: 'stopping', reason: 'stopping' } as const;
    expect(situation(60_000, [full, full, full], stopping)).toMatchObject(stopping);
  });
});

describe('the lease', () => {
  it('that an opening waits for is said, and whose it is', () => {
    const lease = { ...HELD, remainingMs: 0, waitingFor: 'waiting for the lease of writer demo-1/4 to run out, 1.3 s' };
    const opening: AgentSituation = { phase: 'opening', reason: 'startingPostgres' };
    expect(status(opening, { lease, openingStep: 'lease' })).toMatchObject({ ...opening, message: lease.waitingFor });
    expect(status(opening, { lease, openingStep: 'image' })).toMatchObject({ ...opening, message: 'as it was' });
  });

  it('that was not renewed for seconds makes replies wait, and the status says so', () => {
    const lost = { ...HELD, remainingMs: 0, lostMs: 4000, waitingFor: 'a write quorum has not renewed it' };
    expect(status(RUNNING, { lease: lost })).toEqual({
      phase: 'running',
      reason: 'noQuorum',
      since: '2026-01-01T00:00:56.000Z',
      message: 'replies to clients wait: a write quorum has not renewed it',
    });
    expect(status(RUNNING, { lease: { ...lost, lostMs: 2000 } })).toMatchObject({ reason: 'none' });
    expect(status(RUNNING, { lease: HELD })).toMatchObject({ reason: 'none' });
  });

  it('is in the status of a writer, and of no other', () => {
    expect(leaseStatus({ ...HELD, remainingMs: 1499.6, timesRunOut: 2 })).toEqual({ lease: { remainingMs: 1500, timesRunOut: 2 } });
    expect(leaseStatus(undefined)).toEqual({});
  });
});
