import { describe, expect, it } from 'vitest';
import type { SegmentState, StandIn } from '@kube-aurora/rpc';
import { emptyState } from '../segment/segment-directory.ts';
import { fullOfZone, isStoodInFor, planStandIn, whyNotFit, type Partner, type TailAsItIs } from './stand-in-plan.ts';

const AFTER_MS = 1000;

function ready(id: string, role: 'FULL' | 'TAIL', change: Partial<SegmentState> = {}): SegmentState {
  const state = emptyState({ daemonId: id, zone: 'zone-a', role });
  return { ...state, phase: 'READY', baseEpoch: 1n, scl: 900n, checkpointLsn: role === 'FULL' ? 500n : 0n, ...change };
}

const own = ready('t', 'TAIL');
const standIn: StandIn = { of: 'f', sinceUnixMs: 5n, reason: 'SILENT' };
const ownWithPages = ready('t', 'TAIL', { standIn, checkpointLsn: 500n });
const view = (state: SegmentState): { peerId: string; state: SegmentState } => ({ peerId: state.daemonId, state });
const others = [view(ready('g', 'FULL')), view(ready('u', 'TAIL')), view(ready('h', 'FULL', { checkpointLsn: 400n }))];
const away = (state?: SegmentState, awayMs = AFTER_MS): Partner => ({ id: 'f', state, awayMs });

describe('a tail begins to stand in', () => {
  const plan = (change: Partial<Parameters<typeof planStandIn>[0]>): ReturnType<typeof planStandIn> =>
    planStandIn({ own, standIn: undefined, partner: away(), peers: others, afterMs: AFTER_MS, ...change });

  it('once its full segment was away for the set time, from any that has pages', () => {
    expect(plan({})).toEqual({ kind: 'begin', of: 'f', reason: 'SILENT', sources: ['g', 'h'] });
    expect(plan({ partner: away(undefined, AFTER_MS - 1) })).toEqual({ kind: 'idle' });
    expect(plan({ partner: undefined })).toEqual({ kind: 'idle' });
    expect(plan({ afterMs: Infinity })).toEqual({ kind: 'idle' });
  });

  it('also from a tail that stands in elsewhere', () => {
    const other = view(ready('u', 'TAIL', { standIn: { ...standIn, of: 'g' }, checkpointLsn: 300n }));
    expect(plan({ peers: [other] })).toMatchObject({ kind: 'begin', sources: ['u'] });
  });

  it.each([
    [undefined, 'SILENT'],
    [ready('f', 'FULL', { phase: 'EMPTY' }), 'EMPTY'],
    [ready('f', 'FULL', { phase: 'IMPORTING' }), 'EMPTY'],
    [ready('f', 'FULL', { phase: 'DAMAGED', fault: { kind: 'REDO_FAILED', lsn: 1n, record: '', page: '' } }), 'DAMAGED'],
    [ready('f', 'FULL', { fault: { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n } }), 'UNWRITABLE'],
    [ready('f', 'FULL', { phase: 'DAMAGED', fault: { kind: 'DISK_ERROR', error: 'EIO', operation: '' } }), 'UNWRITABLE'],
  ] as const)('and says why (%#)', (state, reason) => {
    expect(plan({ partner: away(state) })).toMatchObject({ kind: 'begin', reason });
  });

  it('not while it has a fault itself, or nobody has sound pages of the same import', () => {
    expect(plan({ own: ready('t', 'TAIL', { fault: { kind: 'LOST_REDO', lsn: 5n, heldLsn: 3n } }) })).toEqual({ kind: 'idle' });
    expect(plan({ own: ready('t', 'TAIL', { phase: 'IMPORTING' }) })).toEqual({ kind: 'idle' });
    expect(plan({ peers: [view(ready('u', 'TAIL'))] })).toEqual({ kind: 'idle' });
    expect(plan({ peers: [view(ready('g', 'FULL', { baseEpoch: 2n }))] })).toEqual({ kind: 'idle' });
    expect(plan({ peers: [view(ready('g', 'FULL', { phase: 'DAMAGED' }))] })).toEqual({ kind: 'idle' });
    expect(plan({ peers: [view(ready('g', 'FULL', { fault: { kind: 'LOST_REDO', lsn: 5n, heldLsn: 3n } }))] })).toEqual({ kind: 'idle' });
  });
});

describe('a tail that stands in', () => {
  const plan = (full: SegmentState | undefined, mine = ownWithPages): ReturnType<typeof planStandIn> =>
    planStandIn({
      own: mine,
      standIn,
      partner: away(full, 0),
      peers: full === undefined ? others : [...others, view(full)],
      afterMs: AFTER_MS,
    });

  it('gives its pages up only when the full one has all that is in them, in its own', () => {
    expect(plan(ready('f', 'FULL'))).toEqual({ kind: 'end', why: 'full-is-back' });
    expect(plan(ready('f', 'FULL', { checkpointLsn: 499n }))).toEqual({ kind: 'idle' });
    expect(plan(undefined)).toEqual({ kind: 'idle' });
    expect(plan(ready('f', 'FULL', { phase: 'IMPORTING' }))).toEqual({ kind: 'idle' });
    expect(plan(ready('f', 'FULL', { phase: 'DAMAGED' }))).toEqual({ kind: 'idle' });
    expect(plan(ready('f', 'FULL', { baseEpoch: 2n }))).toEqual({ kind: 'idle' });
    expect(plan(ready('f', 'FULL', { fault: { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n } }))).toEqual({ kind: 'idle' });
  });

  it('goes on without them when they cannot be used, and leaves to people what is not of the pages', () => {
    const broken = (fault: SegmentState['fault']): SegmentState => ({ ...ownWithPages, phase: 'DAMAGED', fault });
    expect(plan(undefined, broken({ kind: 'DAMAGED_DATA', part: 'page' }))).toEqual({ kind: 'end', why: 'pages-unusable' });
    expect(plan(undefined, broken({ kind: 'REDO_FAILED', lsn: 1n, record: '', page: '' }))).toEqual({ kind: 'end', why: 'pages-unusable' });
    expect(plan(undefined, broken({ kind: 'HISTORY_REFUSED', epoch: 1n, startLsn: 1n, durableLsn: 2n }))).toEqual({ kind: 'idle' });
    expect(plan(undefined, broken({ kind: 'DISK_ERROR', error: 'EIO', operation: '' }))).toEqual({ kind: 'idle' });
  });
});

it('a full segment that is back is asked for a checkpoint while its pages lack what those in its place have', () => {
  expect(isStoodInFor('f', 499n, [...others, view(ownWithPages)])).toBe(true);
  expect(isStoodInFor('f', 500n, [...others, view(ownWithPages)])).toBe(false);
  expect(isStoodInFor('g', 0n, [...others, view(ownWithPages)])).toBe(false);
});

describe('pages are taken beside a tail’s log', () => {
  const history = (last: bigint): SegmentState['history'] => [
    { epoch: 1n, startLsn: 0n },
    { epoch: last, startLsn: 300n },
  ];
  const source = { baseEpoch: 1n, history: history(4n) };
  const tail = (change: Partial<TailAsItIs> = {}): TailAsItIs => ({
    phase: 'READY',
    mustRecover: false,
    annulling: undefined,
    control: { baseEpoch: 1n, history: history(4n) },
    storage: { startLsn: 200n, durable: { lsn: 900n, epoch: 4n }, endsBatchOf: (lsn, epoch) => lsn === 500n && epoch === 4n },
    ...change,
  });
  const at = { lsn: 500n, epoch: 4n };

  it('only where its own log has a batch that ends where they stand, of the same epoch', () => {
    expect(whyNotFit(tail(), source, at)).toBeUndefined();
    expect(whyNotFit(tail(), source, { lsn: 500n, epoch: 3n })).toContain('no batch of epoch 3');
    expect(whyNotFit(tail(), source, { lsn: 501n, epoch: 4n })).toContain('no batch');
    expect(whyNotFit(tail(), source, { lsn: 199n, epoch: 1n })).toContain('they are as of');
    expect(whyNotFit(tail(), source, { lsn: 901n, epoch: 4n })).toContain('they are as of');
  });

  it('only under a history that is not older than theirs, of the same import', () => {
    expect(whyNotFit(tail({ control: { baseEpoch: 1n, history: history(3n) } }), source, at)).toContain('history up to epoch 4');
    expect(whyNotFit(tail({ control: { baseEpoch: 1n, history: history(5n) } }), source, at)).toBeUndefined();
    expect(whyNotFit(tail({ control: { baseEpoch: 2n, history: history(4n) } }), source, at)).toContain('import of epoch 1');
  });

  it('not while it has no log, annuls redo, or has redo to recover', () => {
    expect(whyNotFit(tail({ storage: undefined }), source, at)).toBeDefined();
    expect(whyNotFit(tail({ phase: 'IMPORTING' }), source, at)).toBeDefined();
    expect(whyNotFit(tail({ annulling: Promise.resolve() }), source, at)).toBeDefined();
    expect(whyNotFit(tail({ mustRecover: true }), source, at)).toBeDefined();
  });
});

describe('the full segment of a zone', () => {
  it('is the one that said so, or the only one that did not say that it is of another', () => {
    expect(
      fullOfZone('a', [
        { id: 'f', zone: 'a' },
        { id: 'g', zone: 'b' },
        { id: 'h', zone: undefined },
      ]),
    ).toBe('f');
    expect(
      fullOfZone('a', [
        { id: 'f', zone: undefined },
        { id: 'g', zone: 'b' },
        { id: 'h', zone: 'c' },
      ]),
    ).toBe('f');
    expect(
      fullOfZone('a', [
        { id: 'f', zone: undefined },
        { id: 'g', zone: 'b' },
        { id: 'h', zone: undefined },
      ]),
    ).toBeUndefined();
    expect(
      fullOfZone('a', [
        { id: 'g', zone: 'b' },
        { id: 'h', zone: 'c' },
      ]),
    ).toBeUndefined();
  });
});
