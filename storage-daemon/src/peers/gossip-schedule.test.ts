import { describe, expect, it } from 'vitest';
import type { SegmentState } from '@kube-aurora/rpc';
import { areAbreast, backoffMs, isGossipDue, NO_EXCHANGE, tickDelayMs, type Exchange, type Fingerprint } from './gossip-schedule.ts';

const print = (positions: string, standing = 'READY'): Fingerprint => ({ standing, positions });
const well = (told: string, at: number): Exchange => ({ told: print(told), at, failures: 0, failedAt: -Infinity });
const failed = (failures: number, failedAt: number): Exchange => ({ told: print('x'), at: 0, failures, failedAt });

describe('isGossipDue', () => {
  it.each<[string, Exchange, Fingerprint, boolean, number, boolean]>([
    ['never spoken', NO_EXCHANGE, print('x'), false, 0, true],
    ['nothing new', well('x', 0), print('x'), true, 14_999, false],
    ['nothing new for a while', well('x', 0), print('x'), true, 15_000, true],
    ['moved, and one is behind', well('x', 0), print('y'), false, 1000, true],
    ['moved, and one is behind, but the peer has just called', well('x', 0), print('y'), false, 499, false],
    ['moved, side by side', well('x', 0), print('y'), true, 2999, false],
    ['moved for a while, side by side', well('x', 0), print('y'), true, 3000, true],
    ['news of its standing', well('x', 0), print('x', 'DAMAGED'), true, 500, true],
    ['failed once, just now', failed(1, 10_000), print('y'), true, 10_400, false],
    ['failed once, a while ago', failed(1, 10_000), print('x'), true, 11_000, true],
    ['failed often, a while ago', failed(9, 10_000), print('y'), false, 14_000, false],
    ['failed often: asked again all the same', failed(9, 10_000), print('x'), true, 20_000, true],
  ])('%s', (_what, exchange, now, isAbreast, at, due) => {
    expect(isGossipDue(exchange, now, isAbreast, at, 0.5)).toBe(due);
  });
});

it('backs off to ten seconds and no further', () => {
  expect([0, 1, 2, 3, 4, 5, 50].map((failures) => backoffMs(failures, 0.999_999)).map(Math.round)).toEqual([
    0, 1000, 2000, 4000, 8000, 10_000, 10_000,
  ]);
  expect(backoffMs(50, 0)).toBe(5000);
});

it('spreads ticks around a second', () => {
  expect(tickDelayMs(0)).toBe(900);
  expect(tickDelayMs(1)).toBe(1100);
});

describe('areAbreast', () => {
  const at = (scl: bigint, phase: SegmentState['phase'] = 'READY'): SegmentState => ({ scl, phase }) as SegmentState;
  it.each<[string, SegmentState, SegmentState | undefined, boolean]>([
    ['nothing heard', at(5n), undefined, false],
    ['the same', at(5n), at(5n), true],
    ['the peer was heard a while ago', at(4n * 1024n * 1024n), at(0n), true],
    ['the peer is behind', at(4n * 1024n * 1024n + 1n), at(0n), false],
    ['it is behind itself', at(5n), at(6n), false],
    ['the peer cannot be read', at(5n), at(5n, 'DAMAGED'), false],
    ['it cannot be read itself', at(5n, 'EMPTY'), at(5n), false],
  ])('%s', (_what, own, peer, abreast) => {
    expect(areAbreast(own, peer)).toBe(abreast);
  });
});
