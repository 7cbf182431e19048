import { describe, expect, it } from 'vitest';
import { chooseStart, countedScl, countsForWriter, type SegmentClaim } from './choose-start.ts';
import { OpenProtocol, type OpenOptions } from './open-protocol.ts';
import type { OpenRequest } from './open-steps.ts';

const BASE = { epoch: 1n, startLsn: 100n };
const claim = (change: Partial<SegmentClaim> = {}): SegmentClaim => ({
  phase: 'READY',
  epoch: 1n,
  scl: 100n,
  recoverToLsn: 0n,
  appliedLsn: 0n,
  lastBatchEpoch: 1n,
  baseEpoch: 1n,
  baseLsn: 100n,
  history: [BASE],
  ...change,
});

/** Answers what the protocol wants of the segments, as they would if all went well. */
function respond(protocol: OpenProtocol, segments: SegmentClaim[], indices: number[]): string[] {
  const asked: string[] = [];
  for (const index of indices) {
    const request = protocol.wanted(index);
    const segment = segments[index];
    if (request === undefined || segment === undefined) continue;
    asked.push(request.kind);
    const next = apply(segment, request);
    segments[index] = next;
    protocol.answer(index, request, next);
  }
  return asked;
}

function apply(segment: SegmentClaim, request: OpenRequest): SegmentClaim {
  if (request.kind === 'open-epoch') return { ...segment, epoch: request.epoch };
  if (request.kind === 'install-history') return { ...segment, scl: countedScl(request.history, segment), history: request.history };
  if (request.kind === 'catch-up') return { ...segment, scl: request.lsn };
  return segment;
}

describe('OpenProtocol', () => {
  it('goes from status to opened, step by step', () => {
    const segments = Array.from({ length: 6 }, (_, index) => claim({ scl: index === 0 ? 180n : 150n }));
    const protocol = new OpenProtocol();
    const transcript: string[] = [];
    for (let round = 0; round < 10 && protocol.step !== 'opened'; round++) {
      const before = protocol.step;
      const asked = respond(protocol, segments, [0, 1, 2, 3]);
      if (protocol.inGrace) protocol.endGrace();
      transcript.push(`${before}: ${asked.join(' ')} -> ${protocol.step}`);
    }
    expect(transcript).toEqual([
      'status: status status status status -> promise',
      'promise: open-epoch open-epoch open-epoch open-epoch -> confirm',
      'confirm: confirm confirm confirm confirm -> install-history',
      'install-history: install-history install-history install-history install-history -> catch-up',
      'catch-up: recheck catch-up catch-up catch-up -> opened',
    ]);
    expect(protocol).toMatchObject({ epoch: 2n, startLsn: 180n, history: [BASE, { epoch: 2n, startLsn: 180n }] });
    expect(protocol.previousEpoch()).toBe(1n);
    expect(protocol.upToDate()).toEqual([0, 1, 2, 3]);
  });

  it('does not decide on three promises, and says what it waits for', () => {
    const segments = Array.from({ length: 6 }, () => claim());
    const protocol = new OpenProtocol();
    respond(protocol, segments, [0, 1, 2]);
    expect(protocol.step).toBe('status');
    expect(protocol.waitingFor).toContain('3 of 6 segments answered, 4 are needed');
  });

  it('waits for copies while the volume exists on too few segments, and never imports over it', () => {
    const empty = claim({ phase: 'EMPTY', baseEpoch: 0n, baseLsn: 0n, scl: 0n, history: [] });
    const segments = [claim(), claim(), empty, empty, empty, empty];
    const protocol = new OpenProtocol();
    for (let round = 0; round < 5; round++) {
      respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
      protocol.endGrace();
    }
    expect(protocol.step).toBe('promise');
    expect(protocol.waitingFor).toContain('segments that promised hold the volume, 3 are needed');
    segments[2] = claim({ epoch: 2n });
    segments[3] = claim({ epoch: 2n });
    respond(protocol, segments, [2, 3, 4, 5]);
    expect(protocol.step).toBe('confirm');
    respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
    expect(protocol.step).toBe('install-history');
  });

  it('bootstraps only when nobody that promised holds anything', () => {
    const empty = claim({ phase: 'EMPTY', epoch: 0n, baseEpoch: 0n, baseLsn: 0n, scl: 0n, history: [] });
    const segments = Array.from({ length: 6 }, () => empty);
    const protocol = new OpenProtocol();
    for (const step of ['status', 'promise', 'confirm'] as const) {
      expect(protocol.step).toBe(step);
      respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
    }
    expect(protocol).toMatchObject({ step: 'bootstrap', epoch: 1n });
  });

  it('waits for silent segments before it bootstraps, until it is told that they were waited for', () => {
    const empty = claim({ phase: 'EMPTY', epoch: 0n, baseEpoch: 0n, baseLsn: 0n, scl: 0n, history: [] });
    const segments = Array.from({ length: 6 }, () => empty);
    const protocol = new OpenProtocol();
    respond(protocol, segments, [0, 1, 2, 3]);
    expect(protocol.inDoubt).toBe(false);
    respond(protocol, segments, [0, 1, 2, 3]);
    protocol.endGrace();
    for (const silent of [4, 5]) protocol.fail(silent, { kind: 'open-epoch', epoch: 1n }, 'unavailable');
    expect(protocol).toMatchObject({ step: 'promise', inDoubt: true });
    expect(protocol.waitingFor).toContain('4 of 6 segments answered and are empty');
    respond(protocol, segments, [4]);
    expect(protocol).toMatchObject({ step: 'promise', inDoubt: true });
    protocol.endDoubt();
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    expect(protocol.step).toBe('bootstrap');
  });

  it('never bootstraps a volume that exists, and opens it when its segments are back', () => {
    const empty = claim({ phase: 'EMPTY', epoch: 1n, baseEpoch: 0n, baseLsn: 0n, scl: 0n, history: [] });
    const segments = Array.from({ length: 6 }, () => empty);
    const protocol = new OpenProtocol({ volumeExists: true });
    for (let round = 0; round < 5; round++) {
      respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
      protocol.endGrace();
      protocol.endDoubt();
    }
    expect(protocol).toMatchObject({ step: 'promise', refuses: true });
    expect(protocol.waitingFor).toContain('all of them are empty, but this volume held a database');
    for (const index of [0, 1, 2, 3]) segments[index] = claim();
    for (let round = 0; round < 2; round++) {
      respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
      protocol.endGrace();
    }
    expect(protocol).toMatchObject({ step: 'install-history', refuses: false });
  });

  it('runs again for a higher epoch when it lost the race, and gives up once four had promised', () => {
    const segments = Array.from({ length: 6 }, () => claim());
    const protocol = new OpenProtocol();
    respond(protocol, segments, [0, 1, 2, 3]);
    protocol.fail(4, { kind: 'open-epoch', epoch: 2n }, 'overtaken');
    expect(protocol.step).toBe('status');
    respond(protocol, segments, [0, 1, 2, 3]);
    expect(protocol).toMatchObject({ step: 'promise', epoch: 3n });
    respond(protocol, segments, [0, 1, 2, 3]);
    protocol.endGrace();
    respond(protocol, segments, [0, 1, 2, 3]);
    protocol.fail(4, { kind: 'install-history', epoch: 3n, history: [] }, 'overtaken');
    expect(protocol.step).toBe('overtaken');
  });
});

describe('promises that are lost while others are awaited', () => {
  const PROMISED = { epoch: 2n };

  /** Five segments have promised; the protocol asks whether they hold to it. */
  function promisedByFive(options: OpenOptions = {}): { protocol: OpenProtocol; segments: SegmentClaim[] } {
    const segments = Array.from({ length: 6 }, () => claim({ scl: 150n }));
    const protocol = new OpenProtocol(options);
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    protocol.endGrace();
    expect(protocol).toMatchObject({ step: 'confirm', startLsn: 0n });
    return { protocol, segments };
  }

  it('count for nothing until they are given again; what was acknowledged meanwhile is in none of the others', () => {
    const { protocol, segments } = promisedByFive();
    // Two stand on copies that know of no promise, and have what the older writer was acknowledged since.
    for (const index of [0, 1]) segments[index] = claim({ scl: 190n });
    respond(protocol, segments, [0, 1, 2, 3]);
    expect(protocol).toMatchObject({ step: 'confirm', answered: 2 });
    expect(protocol.wanted(0)).toEqual({ kind: 'open-epoch', epoch: 2n });
    // Theirs are later than the others' words: all are asked once more.
    respond(protocol, segments, [0]);
    expect(protocol.wanted(2)).toMatchObject({ kind: 'confirm' });
    for (let round = 0; round < 2; round++) respond(protocol, segments, [0, 1, 2, 3]);
    protocol.endGrace();
    expect(protocol).toMatchObject({ step: 'install-history', startLsn: 190n });
  });

  it('are done without where a promise quorum holds to its own', () => {
    const { protocol, segments } = promisedByFive();
    segments[0] = claim({ scl: 190n });
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    expect(protocol).toMatchObject({ step: 'install-history', startLsn: 150n });
  });

  it('do not count by an answer from before another one promised', () => {
    const { protocol, segments } = promisedByFive();
    const asked = protocol.wanted(1);
    if (asked === undefined) throw new Error('it is to be asked');
    respond(protocol, segments, [5]);
    protocol.answer(1, asked, claim({ ...PROMISED, scl: 150n }));
    expect(protocol.answered).toBe(0);
    respond(protocol, segments, [0, 1, 2, 3, 4, 5]);
    expect(protocol.step).toBe('install-history');
  });

  it('do not count while redo is missing that was acknowledged before a disk was lost', () => {
    const { protocol, segments } = promisedByFive();
    for (const index of [0, 1]) segments[index] = claim({ ...PROMISED, scl: 120n, recoverToLsn: 150n });
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    protocol.endGrace();
    expect(protocol).toMatchObject({ step: 'confirm', answered: 3 });
    expect(protocol.waitingFor).toBe('3 of 6 segments hold to their promise, 4 are needed');
    segments[0] = claim({ ...PROMISED, scl: 150n, recoverToLsn: 150n });
    respond(protocol, segments, [0]);
    protocol.endGrace();
    expect(protocol).toMatchObject({ step: 'install-history', startLsn: 150n });
  });

  it('that went to another writer are a race as before: a higher epoch is tried, or the volume left to it', () => {
    for (const [options, step] of [
      [{}, 'status'],
      [{ heldEpoch: 1n }, 'overtaken'],
    ] as const) {
      const { protocol, segments } = promisedByFive(options);
      segments[0] = claim({ epoch: 3n });
      respond(protocol, segments, [0]);
      expect(protocol.step).toBe(step);
    }
  });

  it('of the copies of a volume that was lost meanwhile are waited for', () => {
    const { protocol, segments } = promisedByFive();
    for (const index of [0, 1, 2])
      segments[index] = claim({ ...PROMISED, phase: 'EMPTY', baseEpoch: 0n, baseLsn: 0n, scl: 0n, history: [] });
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    expect(protocol.step).toBe('promise');
    expect(protocol.waitingFor).toContain('2 of the 5 segments that promised hold the volume, 3 are needed');
    segments[0] = claim({ ...PROMISED, scl: 150n });
    respond(protocol, segments, [0, 1, 2]);
    protocol.endGrace();
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    expect(protocol).toMatchObject({ step: 'install-history', startLsn: 150n });
  });
});

describe('a start that nobody holds any more', () => {
  /**
   * Segment 0 alone has redo past 150; its promise puts X at 180, the history is on four, and then it is lost to them.
   */
  function lostItsEnd(options: { heldEpoch?: bigint } = {}): { protocol: OpenProtocol; segments: SegmentClaim[] } {
    const segments = Array.from({ length: 6 }, (_, index) => claim({ scl: index === 0 ? 180n : 150n }));
    const protocol = new OpenProtocol(options);
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    protocol.endGrace();
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    respond(protocol, segments, [1, 2, 3, 4]);
    expect(protocol).toMatchObject({ step: 'catch-up', startLsn: 180n, isStranded: false });
    return { protocol, segments };
  }

  it('is given up for a higher epoch, where the volume ends at what the others hold', () => {
    const { protocol, segments } = lostItsEnd();
    segments[0] = claim({ epoch: 2n, scl: 110n });
    expect(respond(protocol, segments, [0])).toEqual(['install-history']);
    expect(protocol.isStranded).toBe(true);
    expect(protocol.waitingFor).toContain('no segment that answers holds the volume up to 0/B4 any more');
    protocol.startOver();
    for (const step of ['status', 'promise', 'confirm', 'install-history']) {
      expect(protocol.step).toBe(step);
      respond(protocol, segments, [0, 1, 2, 3, 4]);
      protocol.endGrace();
    }
    expect(protocol).toMatchObject({ epoch: 3n, startLsn: 150n, history: [BASE, { epoch: 3n, startLsn: 150n }] });
    expect(protocol.step).toBe('opened');
  });

  it('is waited for while whoever holds it is away, until it was waited for', () => {
    const { protocol, segments } = lostItsEnd();
    protocol.startOver();
    expect(protocol.step, 'not stranded yet').toBe('catch-up');
    const request = protocol.wanted(0);
    if (request !== undefined) protocol.fail(0, request, 'unavailable');
    expect(protocol.isStranded).toBe(true);
    respond(protocol, segments, [0]);
    expect(protocol.isStranded, 'it is back with all of it').toBe(false);
  });

  it('is noticed although it had said that it holds all', () => {
    const { protocol, segments } = lostItsEnd();
    respond(protocol, segments, [0]);
    expect(protocol.wanted(0)).toEqual({ kind: 'recheck', epoch: 2n });
    segments[0] = claim({ epoch: 2n, scl: 110n });
    respond(protocol, segments, [0]);
    expect(protocol.isStranded).toBe(true);
    expect(protocol.wanted(0), 'its history went as well').toMatchObject({ kind: 'install-history' });
  });

  it('is not on a segment whose disk came back as it was before it took the history', () => {
    const { protocol, segments } = lostItsEnd();
    expect(respond(protocol, segments, [0])).toEqual(['install-history']);
    expect(protocol.upToDate()).toEqual([0]);
    // It has promised the epoch; what it holds up to there is of an epoch that it does not know to be over.
    segments[0] = claim({ epoch: 2n, scl: 200n });
    expect(respond(protocol, segments, [0])).toEqual(['recheck']);
    expect(protocol.upToDate()).toEqual([]);
    expect(protocol.wanted(0)).toMatchObject({ kind: 'install-history' });
  });

  it('does not look like another writer to one that opens again', () => {
    const { protocol, segments } = lostItsEnd({ heldEpoch: 1n });
    segments[0] = claim({ epoch: 2n, scl: 110n });
    respond(protocol, segments, [0]);
    protocol.startOver();
    respond(protocol, segments, [0, 1, 2, 3, 4]);
    expect(protocol).toMatchObject({ step: 'promise', epoch: 3n });
  });
});

describe('chooseStart', () => {
  it('annuls a longer log of an older epoch', () => {
    const history = [BASE, { epoch: 3n, startLsn: 120n }];
    const old = claim({ scl: 500n });
    const newer = claim({ scl: 130n, lastBatchEpoch: 3n, history });
    expect(chooseStart([old, old, old, newer, undefined, undefined])).toEqual({ kind: 'start', startLsn: 130n, history });
  });

  it('forgets an opener whose start no promise reaches: it never opened', () => {
    const history = [BASE, { epoch: 9n, startLsn: 700n }];
    const choice = chooseStart([claim({ scl: 650n }), claim({ history }), claim(), claim(), undefined, undefined]);
    expect(choice).toEqual({ kind: 'start', startLsn: 650n, history: [BASE] });
  });

  it('leaves out one segment that a stranger talked into annulling what another knows to be durable', () => {
    const lied = claim({ scl: 200n, history: [BASE, { epoch: 7n, startLsn: 200n }] });
    const sound = claim({ scl: 300n, appliedLsn: 280n });
    expect(chooseStart([lied, sound, sound, sound, undefined, undefined])).toMatchObject({
      kind: 'start',
      startLsn: 300n,
      history: [BASE],
    });
    // Two that have it may be all that a writer's four have left here: nobody is left out, and the others refuse the
    // start.
    expect(chooseStart([lied, lied, sound, sound, undefined, undefined])).toMatchObject({ kind: 'start', startLsn: 200n });
    // Without the contradiction it may well be a writer's.
    expect(
      chooseStart([lied, claim({ scl: 300n }), sound, claim(), undefined, undefined].map((one) => one && { ...one, appliedLsn: 150n })),
    ).toMatchObject({
      kind: 'start',
      startLsn: 200n,
    });
  });

  it('ignores the remains of an import that was given up', () => {
    const newer = claim({ baseEpoch: 4n, baseLsn: 300n, scl: 310n, lastBatchEpoch: 4n, history: [{ epoch: 4n, startLsn: 300n }] });
    const choice = chooseStart([claim({ scl: 900n }), newer, newer, newer, undefined, undefined]);
    expect(choice).toMatchObject({ kind: 'start', startLsn: 310n });
  });
});

describe('countsForWriter', () => {
  it('needs the writer’s own epoch and its history', () => {
    const history = [BASE, { epoch: 5n, startLsn: 100n }];
    expect(countsForWriter(claim({ epoch: 5n, history }), 5n)).toBe(true);
    expect(countsForWriter(claim({ epoch: 6n, history }), 5n)).toBe(false);
    expect(countsForWriter(claim({ epoch: 5n }), 5n)).toBe(false);
    expect(countsForWriter(claim({ epoch: 5n, history, phase: 'IMPORTING' }), 5n)).toBe(false);
  });
});
