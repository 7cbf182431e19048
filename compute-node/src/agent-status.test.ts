import { describe, expect, it } from 'vitest';
import { segmentStatuses, situationStatus, type SegmentName, type WriteProgress } from './agent-status.ts';
import type { AgentSituation } from './agent-situation.ts';
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
const situation = (waitedMs: number, states: readonly SegmentStreamState[], now: AgentSituation = { phase: 'running', reason: 'none' }) =>
  situationStatus(
    { situation: now, since: '2026-01-01T00:00:00.000Z', message: 'running' },
    segmentStatuses(places, writing(states)),
    waitedMs,
    NOW,
  );

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
    expect(situation(2999, [full, full, full])).toMatchObject({ reason: 'none', message: 'running' });
    const stopping = { phase: 'stopping', reason: 'stopping' } as const;
    expect(situation(60_000, [full, full, full], stopping)).toMatchObject(stopping);
  });
});
