import { NEVER_PROMOTED, type SeenFollower } from '@kube-aurora/rpc';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rankCandidates, turnDelay } from './rank-candidates.ts';

const MIB = 1n << 20n;
const follows = (computeId: string, promotionTier = 1, takenLsn = 100n * MIB, silentMs = 200): SeenFollower => ({
  computeId,
  promotionTier,
  takenLsn,
  silentMs,
});

describe('who is first', () => {
  it.each<[string, readonly (readonly SeenFollower[])[], readonly string[]]>([
    ['nobody', [[], []], []],
    ['the lowest tier', [[follows('demo-2/a', 3), follows('demo-3/b', 0), follows('demo-4/c', 1)]], ['demo-3', 'demo-4', 'demo-2']],
    ['of one tier who has more redo', [[follows('demo-2/a'), follows('demo-3/b', 1, 102n * MIB)]], ['demo-3', 'demo-2']],
    ['not by a moment’s redo, but by its name', [[follows('demo-3/a', 1, 100n * MIB + 5000n), follows('demo-2/b')]], ['demo-2', 'demo-3']],
    ['none that is silent', [[follows('demo-2/a', 0, 100n * MIB, 3000), follows('demo-3/b')]], ['demo-3']],
    ['none that is never promoted', [[follows('demo-2/a', NEVER_PROMOTED), follows('demo-3/b', 15)]], ['demo-3']],
    [
      'heard by any segment, as it was heard last',
      [[follows('demo-2/a', 1, 90n * MIB, 2900)], [follows('demo-3/b', 1, 99n * MIB)], [follows('demo-2/a')]],
      ['demo-2', 'demo-3'],
    ],
    [
      'each once, by its present session',
      [[follows('demo-2/old', 0, 0n, 2000), follows('demo-2/new', 5)], [follows('demo-3/b', 2)]],
      ['demo-3', 'demo-2'],
    ],
  ])('%s', (_name, seen, order) => {
    expect(rankCandidates(seen)).toEqual(order);
  });

  it('all that see the same agree, in whatever order segments name them', () => {
    const follower = fc.record({
      computeId: fc.constantFrom('demo-1/a', 'demo-2/b', 'demo-3/c', 'demo-4/d', 'demo-5/e'),
      promotionTier: fc.constantFrom(0, 1, 15, NEVER_PROMOTED),
      takenLsn: fc.bigInt({ min: 0n, max: 4n * MIB }),
      silentMs: fc.integer({ min: 0, max: 4000 }),
    });
    const each = fc.uniqueArray(follower, { selector: ({ computeId }) => computeId, maxLength: 5 });
    fc.assert(
      fc.property(
        each.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const order = rankCandidates([list]);
          expect(rankCandidates([shuffled])).toEqual(order);
          expect(rankCandidates([list, shuffled])).toEqual(order);
        },
      ),
    );
  });
});

describe('how long each waits', () => {
  const order = ['demo-2', 'demo-3', 'demo-4'];
  const delay = (instance: string, isFollowing: boolean, gone: string | undefined, { tier = 1, chance = 0.5 } = {}) =>
    turnDelay(order, { instance, tier, isFollowing, gone, chance });

  it('the first not at all, each that follows it for a rank more', () => {
    expect(order.map((instance) => delay(instance, true, 'demo-1'))).toEqual([
      { rank: 0, delayMs: 0 },
      { rank: 1, delayMs: 325 },
      { rank: 2, delayMs: 625 },
    ]);
  });

  it('who follows nothing stands behind all that do: first the writer that was, then others by their tier', () => {
    expect(delay('demo-1', false, 'demo-1')).toEqual({ rank: 3, delayMs: 925 });
    expect(delay('demo-5', false, 'demo-1')).toEqual({ rank: 4, delayMs: 1265 });
    expect(delay('demo-5', false, 'demo-1', { tier: 15 }).delayMs).toBeGreaterThan(
      delay('demo-6', false, 'demo-1', { tier: 0, chance: 1 }).delayMs,
    );
    // It does not follow any more, whatever storage still says.
    expect(delay('demo-3', false, 'demo-1')).toMatchObject({ rank: 3 });
    // Storage has not heard yet that it does.
    expect(delay('demo-9', true, 'demo-1')).toMatchObject({ rank: 4 });
  });

  it('with nobody else a writer is its own successor at once', () => {
    expect(turnDelay([], { instance: 'demo-1', tier: 1, isFollowing: false, gone: 'demo-1', chance: 1 })).toEqual({ rank: 0, delayMs: 0 });
    expect(turnDelay(['demo-1'], { instance: 'demo-1', tier: 1, isFollowing: false, gone: 'demo-1', chance: 1 })).toMatchObject({
      rank: 0,
    });
  });

  it('of a new volume chance and the tier keep those apart that do not know of one another', () => {
    expect(turnDelay([], { instance: 'demo-1', tier: 0, isFollowing: false, gone: undefined, chance: 0.5 })).toEqual({
      rank: 0,
      delayMs: 25,
    });
    expect(turnDelay([], { instance: 'demo-2', tier: 2, isFollowing: false, gone: undefined, chance: 0 })).toEqual({
      rank: 0,
      delayMs: 80,
    });
  });
});
