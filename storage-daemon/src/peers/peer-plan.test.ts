import { describe, expect, it } from 'vitest';
import type { SegmentState } from '@kube-aurora/rpc';
import { ALL_FULL, Quorums } from '@kube-aurora/volume';
import { GapWatch, isProof, pageSources, planSync, redoSources, type PeerView } from './peer-plan.ts';

const MIB = 1024n * 1024n;

/** A READY segment of epoch 2 on the import of epoch 1 at LSN 100, level at 1000. */
function state(change: Partial<SegmentState> = {}): SegmentState {
  return {
    phase: 'READY',
    epoch: 2n,
    scl: 1000n,
    lastBatchEpoch: 2n,
    baseEpoch: 1n,
    baseLsn: 100n,
    appliedLsn: 1000n,
    vdl: 1000n,
    logStartLsn: 100n,
    systemIdentifier: 7n,
    engine: undefined,
    history: [
      { epoch: 1n, startLsn: 100n },
      { epoch: 2n, startLsn: 100n },
    ],
    message: '',
    daemonId: 'self',
    zone: 'a',
    pgmrpl: 100n,
    bytesUsed: 0n,
    fault: undefined,
    recoverToLsn: 0n,
    role: 'FULL',
    checkpointLsn: 0n,
    logStartEpoch: 1n,
    standIn: undefined,
    writer: undefined,
    followers: [],
    ...change,
  };
}

function peers(...changes: Partial<SegmentState>[]): PeerView[] {
  return changes.map((change, index) => ({ peerId: `p${index + 1}`, state: state({ zone: 'b', daemonId: `p${index + 1}`, ...change }) }));
}

const EMPTY: Partial<SegmentState> = {
  phase: 'EMPTY',
  epoch: 0n,
  scl: 0n,
  lastBatchEpoch: 0n,
  baseEpoch: 0n,
  baseLsn: 0n,
  logStartLsn: 0n,
  history: [],
};
const plan = (own: SegmentState, views: readonly PeerView[], needsCopy?: string): ReturnType<typeof planSync> =>
  planSync({ own, needsCopy, peers: views, peerCount: 5, quorums: ALL_FULL, inAllPages: 0n });

describe('planSync', () => {
  it.each<[string, SegmentState, PeerView[], ReturnType<typeof planSync>['kind'], string[]]>([
    ['nobody heard', state(), [], 'idle', []],
    ['all level', state(), peers({}, {}), 'idle', []],
    ['a peer is ahead', state(), peers({}, { scl: 1500n }), 'fetch', ['p2']],
    ['two are about as far: the one in our zone', state(), peers({ scl: 1510n }, { scl: 1500n, zone: 'a' }), 'fetch', ['p2', 'p1']],
    ['far ahead beats near', state(), peers({ scl: 1000n + 3n * MIB }, { scl: 1500n, zone: 'a' }), 'fetch', ['p1', 'p2']],
    ['a peer of another base is not asked', state(), peers({ scl: 1500n, baseEpoch: 0n }), 'idle', []],
    ['a damaged peer still has its log', state(), peers({ scl: 1500n, phase: 'DAMAGED' }), 'fetch', ['p1']],
    ['an empty peer has nothing', state(), peers(EMPTY), 'idle', []],
    [
      'a peer that dropped the redo is left out',
      state(),
      peers({ scl: 1600n, logStartLsn: 1001n }, { scl: 1500n, logStartLsn: 1000n }),
      'fetch',
      ['p2'],
    ],
    [
      'what a peer has past our history is annulled: nothing to fetch',
      state({ epoch: 3n, history: [...state().history, { epoch: 3n, startLsn: 1000n }] }),
      peers({ scl: 1500n }),
      'idle',
      [],
    ],
    [
      'redo of an epoch whose history we do not hold is not fetched',
      state(),
      peers({ scl: 1500n, lastBatchEpoch: 3n, history: [...state().history, { epoch: 3n, startLsn: 1000n }] }),
      'idle',
      [],
    ],
    ['importing', state({ phase: 'IMPORTING' }), peers({ scl: 1500n }), 'idle', []],
    ['redo that cannot be applied is not papered over', state({ phase: 'DAMAGED', message: 'LSN 1' }), peers({ scl: 1500n }), 'idle', []],
    ['empty, and so is everybody', state(EMPTY), peers(EMPTY, EMPTY, EMPTY), 'idle', []],
  ])('%s', (_what, own, views, kind, sources) => {
    const decided = plan(own, views);
    expect(decided.kind).toBe(kind);
    if (decided.kind === 'fetch') expect(decided.sources).toEqual(sources);
  });

  it('copies to an empty segment once three sound peers were heard, and it must recover what they hold', () => {
    expect(plan(state(EMPTY), peers({}, {}), 'empty').kind).toBe('wait');
    expect(
      plan(state(EMPTY), peers({}, {}, { recoverToLsn: 1200n, fault: { kind: 'LOST_REDO', lsn: 1200n, heldLsn: 1000n } }), 'empty').kind,
    ).toBe('wait');
    expect(plan(state(EMPTY), peers({}, EMPTY, EMPTY, EMPTY), 'empty').kind).toBe('wait');
    const three = plan(state(EMPTY), peers({}, { scl: 1700n }, { scl: 1200n, zone: 'a' }), 'empty');
    expect(three).toMatchObject({ kind: 'copy', recoverToLsn: 1700n, sources: ['p3', 'p1', 'p2'] });
    // An import that died half way: all were heard, no more can be known.
    expect(plan(state(EMPTY), peers({}, EMPTY, EMPTY, EMPTY, EMPTY), 'empty')).toMatchObject({ kind: 'copy', sources: ['p1'] });
  });

  it('must recover nothing that the newest history annuls', () => {
    const newer = { epoch: 3n, lastBatchEpoch: 2n, scl: 900n, history: [...state().history, { epoch: 3n, startLsn: 900n }] };
    expect(plan(state(EMPTY), peers({ scl: 1000n }, newer, newer), 'empty')).toMatchObject({ kind: 'copy', recoverToLsn: 900n });
  });

  it('a copy is taken with all that peers know of writers, whoever gives it', () => {
    const later = { epoch: 3n, startLsn: 900n };
    const knowing = { epoch: 3n, history: [...state().history, later] };
    // What it lost may have been a promise to the writer of epoch 5, or redo of epoch 3.
    expect(plan(state(EMPTY), peers({}, { epoch: 5n }, knowing), 'empty')).toMatchObject({
      kind: 'copy',
      epoch: 5n,
      history: knowing.history,
    });
  });

  it('an empty tail begins where another tail does, or a full one whose redo goes back to what all have in their pages', () => {
    const mixed = new Quorums(['FULL', 'TAIL', 'FULL', 'TAIL', 'FULL', 'TAIL']);
    const views = peers({ logStartLsn: 700n }, { logStartLsn: 600n }, { logStartLsn: 500n }, { role: 'TAIL', logStartLsn: 650n });
    const ask = (inAllPages: bigint, among = views): ReturnType<typeof planSync> =>
      planSync({ own: state({ ...EMPTY, role: 'TAIL' }), needsCopy: 'empty', peers: among, peerCount: 5, quorums: mixed, inAllPages });
    expect(ask(0n)).toMatchObject({ kind: 'copy', sources: ['p4'] });
    expect(ask(600n)).toMatchObject({ kind: 'copy', sources: ['p3', 'p2', 'p4'] });
    expect(ask(499n, views.slice(0, 3))).toMatchObject({ kind: 'wait', reason: expect.stringContaining('in their pages') });
  });

  it('a full segment takes pages from full ones alone', () => {
    const views = peers({ role: 'TAIL' }, { scl: 900n }, { role: 'TAIL' });
    expect(plan(state(EMPTY), views, 'empty')).toMatchObject({ kind: 'copy', sources: ['p2'], recoverToLsn: 1000n });
    expect(pageSources(state(), views, 900n)).toEqual(['p2']);
  });

  it('copies when the one peer that keeps the redo has it damaged, and nobody can mend it', () => {
    const own = state();
    const views = peers({ scl: 1600n, logStartLsn: 900n }, { scl: 1600n, logStartLsn: 1500n }, { scl: 1600n, logStartLsn: 1500n });
    const input = { own, needsCopy: undefined, peers: views, peerCount: 5, quorums: ALL_FULL, inAllPages: 0n };
    expect(planSync(input)).toMatchObject({ kind: 'fetch', sources: ['p1'] });
    expect(planSync({ ...input, unableToServe: new Set(['p1']) })).toMatchObject({ kind: 'copy', recoverToLsn: 1600n });
  });

  it('copies when its store is damaged, when its import was superseded, when it is too far behind', () => {
    expect(plan(state({ phase: 'DAMAGED', scl: 0n }), peers({}, {}, {}), 'the store is damaged').kind).toBe('copy');
    const dead = state({ baseEpoch: 1n, baseLsn: 100n, scl: 100n, lastBatchEpoch: 1n, history: [{ epoch: 1n, startLsn: 100n }] });
    const later = { baseEpoch: 2n, history: [{ epoch: 2n, startLsn: 100n }] };
    expect(plan(dead, peers(later, later, later)).kind).toBe('copy');
    expect(plan(state(), peers(later, later, later)).kind).toBe('idle');
    const gone = { scl: 5000n, logStartLsn: 2000n };
    // p3 is level with us: a copy from it would be of no use.
    expect(plan(state(), peers(gone, { ...gone, scl: 4000n }, {}))).toMatchObject({
      kind: 'copy',
      recoverToLsn: 5000n,
      sources: ['p1', 'p2'],
    });
  });

  it('having promised an epoch takes no copy under an older history that is not its own', () => {
    const gone = { scl: 5000n, logStartLsn: 2000n, history: [...state().history, { epoch: 3n, startLsn: 1000n }] };
    const own = state({ epoch: 4n, history: [...state().history, { epoch: 3n, startLsn: 1000n }].slice(0, 2) });
    expect(plan(own, peers(gone, gone, gone)).kind).toBe('wait');
    expect(plan(state({ epoch: 3n }), peers(gone, gone, gone)).kind).toBe('copy');
  });
});

describe('repair sources', () => {
  it('asks for pages only peers that hold the LSN under a history not older than ours', () => {
    const newer = { history: [...state().history, { epoch: 3n, startLsn: 900n }] };
    const own = state({ ...newer, epoch: 3n });
    expect(
      pageSources(own, peers({}, newer, { ...newer, zone: 'a' }, { ...newer, scl: 949n }, { ...newer, phase: 'DAMAGED' }), 950n),
    ).toEqual(['p3', 'p2']);
  });

  it('asks for redo only peers that hold the whole range', () => {
    const range = { fromLsn: 500n, pastLsn: 700n };
    expect(redoSources(state(), peers({}, { logStartLsn: 501n }, { scl: 700n }, { phase: 'DAMAGED' }, { baseEpoch: 9n }), range)).toEqual([
      'p1',
      'p4',
    ]);
  });
});

describe('GapWatch', () => {
  it('calls it a gap only when what a peer had a while ago is still missing', () => {
    const watch = new GapWatch(900);
    expect(watch.isDue(100n, 200n, 0)).toBe(false);
    expect(watch.isDue(150n, 300n, 800)).toBe(false);
    // 200 came meanwhile; 300 is watched from now on.
    expect(watch.isDue(250n, 300n, 1000)).toBe(false);
    expect(watch.isDue(250n, 400n, 1800)).toBe(false);
    expect(watch.isDue(299n, 400n, 1900)).toBe(true);
    expect(watch.isDue(400n, 400n, 2000)).toBe(false);
    expect(watch.isDue(400n, 500n, 3000)).toBe(false);
  });
});

describe('isProof', () => {
  it.each<[string, Partial<SegmentState>, boolean]>([
    ['a sound segment', {}, true],
    ['whatever its message says to people', { message: 'any words' }, true],
    ['a full disk keeps what it has', { fault: { kind: 'DISK_FULL', freeBytes: 0n, neededBytes: 1n } }, true],
    [
      'a disk that cannot be written keeps what it has',
      { fault: { kind: 'DISK_ERROR', error: 'EROFS', operation: 'write redo log' } },
      true,
    ],
    ['lost redo', { fault: { kind: 'LOST_REDO', lsn: 1200n, heldLsn: 1000n } }, false],
    ['lost redo behind another fault', { recoverToLsn: 1200n, fault: { kind: 'DISK_FULL', freeBytes: 0n, neededBytes: 1n } }, false],
    ['lost redo that it has again', { recoverToLsn: 1000n }, true],
    ['a fault of a later release', { fault: { kind: 'UNKNOWN' } }, false],
    ['a damaged segment', { phase: 'DAMAGED', fault: { kind: 'DAMAGED_DATA', part: 'page' } }, false],
    ['an empty one', EMPTY, false],
  ])('%s', (_name, change, expected) => {
    expect(isProof(state(change))).toBe(expected);
  });
});
