import { describe, expect, it } from 'vitest';
import { backoffMs, isGossipDue, NO_EXCHANGE, tickDelayMs, type Exchange } from './gossip-schedule.ts';

const well = (told: string, at: number): Exchange => ({ told, at, failures: 0, failedAt: -Infinity });
const failed = (failures: number, failedAt: number): Exchange => ({ told: 'x', at: 0, failures, failedAt });

describe('isGossipDue', () => {
  it.each<[string, Exchange, string, number, boolean]>([
    ['never spoken', NO_EXCHANGE, 'x', 0, true],
    ['nothing new', well('x', 0), 'x', 14_999, false],
    ['nothing new for a while', well('x', 0), 'x', 15_000, true],
    ['news', well('x', 0), 'y', 1000, true],
    ['news, but the peer has just called', well('x', 0), 'y', 499, false],
    ['failed once, just now', failed(1, 10_000), 'y', 10_400, false],
    ['failed once, a while ago', failed(1, 10_000), 'x', 11_000, true],
    ['failed often, a while ago', failed(9, 10_000), 'y', 14_000, false],
    ['failed often: asked again all the same', failed(9, 10_000), 'x', 20_000, true],
  ])('%s', (_what, exchange, print, now, due) => {
    expect(isGossipDue(exchange, print, now, 0.5)).toBe(due);
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
