import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import fc from 'fast-check';
import { systemClock } from '@kube-aurora/clock';
import { ALL_FULL, Quorums, rolesOf, type SegmentRole } from '@kube-aurora/volume';
import { FanOut, byZone, demote, type Sink } from './fan-out.ts';

class FakeSink implements Sink {
  readonly id: number;
  readonly zone: string;
  readonly role: SegmentRole;
  isStreaming = true;
  scl = 0n;
  pumps = 0;
  constructor(id: number, role: SegmentRole = 'FULL') {
    this.id = id;
    this.role = role;
    this.zone = `zone-${id >> 1}`;
  }
  pump(): void {
    this.pumps++;
  }
}

let sinks: FakeSink[];
let fanOut: FanOut;
const pumped = (): number[] => sinks.map((sink) => sink.pumps);

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'performance'] });
  sinks = Array.from({ length: 6 }, (_, id) => new FakeSink(id));
  fanOut = new FanOut({ sinks, quorums: ALL_FULL, clock: systemClock() });
});
afterEach(() => {
  fanOut.stop();
  vi.useRealTimers();
});

it('an agent that was kept waiting hears what has arrived before it takes anybody for late', () => {
  fanOut.pushed(10n, 100);
  // The timer fires, and the answers that lie beside it are let in after it, in the same turn.
  vi.advanceTimersToNextTimer();
  fanOut.durable(10n);
  vi.advanceTimersToNextTimer();
  fanOut.pushed(20n, 100);
  expect(pumped()).toEqual([2, 2, 2, 0, 2, 0]);
});

it('begins with a segment of every zone', () => {
  expect(byZone([0, 1, 2, 3, 4, 5].map((id) => new FakeSink(id))).map(({ id }) => id)).toEqual([0, 2, 4, 1, 3, 5]);
});

it('demotes without losing anyone', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(20)), fc.func(fc.boolean()), (order, isLate) => {
      const after = demote(order, (one) => isLate(one));
      expect(new Set(after)).toEqual(new Set(order));
      expect(after).toHaveLength(order.length);
      expect(after.findIndex((one) => isLate(one))).toBe(
        order.some((one) => isLate(one)) ? order.filter((one) => !isLate(one)).length : -1,
      );
    }),
  );
});

describe('of mixed copies', () => {
  const mixed = (fullOf: (zone: number) => number): void => {
    sinks = Array.from({ length: 6 }, (_, id) => new FakeSink(id, fullOf(id >> 1) === id ? 'FULL' : 'TAIL'));
    fanOut = new FanOut({ sinks, quorums: new Quorums(sinks.map(({ role }) => role)), clock: systemClock() });
  };

  it('the full ones are sent redo at once and the tails later', async () => {
    mixed((zone) => 2 * zone + 1);
    fanOut.pushed(10n, 100);
    fanOut.durable(10n);
    expect(pumped()).toEqual([0, 1, 0, 1, 0, 1]);
    await vi.advanceTimersByTimeAsync(30);
    expect(sinks.map((sink) => sink.pumps > 0)).toEqual([true, true, true, true, true, true]);
  });

  it('a full one that is away, or late, has two tails in its place', async () => {
    mixed((zone) => 2 * zone);
    expect(
      rolesOf(
        'Mixed',
        sinks.map(({ zone }) => zone),
      ),
    ).toEqual(sinks.map(({ role }) => role));
    if (sinks[0] !== undefined) sinks[0].isStreaming = false;
    fanOut.pushed(10n, 100);
    fanOut.durable(10n);
    expect(pumped()).toEqual([0, 1, 1, 1, 1, 0]);
    if (sinks[0] !== undefined) sinks[0].isStreaming = true;
    fanOut.pushed(20n, 100);
    for (const sink of sinks) if (sink.id !== 2) sink.scl = 20n;
    await vi.advanceTimersByTimeAsync(40);
    fanOut.durable(20n);
    const before = pumped();
    fanOut.pushed(30n, 100);
    expect(pumped().map((count, id) => count - (before[id] ?? 0))).toEqual([1, 1, 0, 1, 1, 0]);
  });
});

describe('redo that is pushed', () => {
  it('goes to four at once and to the others together, a little later', async () => {
    fanOut.pushed(10n, 100);
    fanOut.durable(10n);
    fanOut.pushed(20n, 100);
    fanOut.durable(20n);
    expect(pumped()).toEqual([2, 2, 2, 0, 2, 0]);
    await vi.advanceTimersByTimeAsync(30);
    expect(sinks[3]?.pumps).toBe(1);
    expect(sinks[5]?.pumps).toBe(1);
    const before = pumped();
    await vi.advanceTimersByTimeAsync(500);
    expect(pumped()).toEqual(before);
  });

  it('is not deferred when it is much', () => {
    fanOut.pushed(10n, 1024 * 1024);
    expect(pumped().every((count) => count > 0)).toBe(true);
  });

  it('goes to whoever can be sent anything', () => {
    for (const id of [0, 2]) if (sinks[id] !== undefined) sinks[id].isStreaming = false;
    fanOut.pushed(10n, 100);
    expect(pumped()).toEqual([0, 1, 0, 1, 1, 1]);
  });

  it('goes to all when the quorum is late, and then to others than the late one', async () => {
    for (const id of [0, 1, 4]) if (sinks[id] !== undefined) sinks[id].scl = 10n;
    fanOut.pushed(10n, 100);
    await vi.advanceTimersByTimeAsync(fanOut.hedgeMs + 1);
    expect(pumped().every((count) => count > 0)).toBe(true);
    // Still late: what follows goes to all.
    const before = pumped();
    fanOut.pushed(20n, 100);
    expect(pumped().every((count, id) => count > (before[id] ?? 0))).toBe(true);
    fanOut.durable(20n);
    await vi.advanceTimersByTimeAsync(100);
    const settled = pumped();
    fanOut.pushed(30n, 100);
    expect(pumped().map((count, id) => count - (settled[id] ?? 0))).toEqual([1, 1, 0, 1, 1, 0]);
  });

  it('waits for no further turn of the event loop while nobody is late', async () => {
    const clock = systemClock();
    const soon = vi.fn((work: () => void) => clock.soon(work));
    fanOut = new FanOut({ sinks, quorums: ALL_FULL, clock: { ...clock, soon } });
    for (let lsn = 10n; lsn < 90n; lsn += 10n) {
      fanOut.pushed(lsn, 100);
      fanOut.durable(lsn);
      await vi.advanceTimersByTimeAsync(3);
    }
    // For what was deferred alone, of several times that a timer came.
    expect(soon).toHaveBeenCalledTimes(0);
    await vi.advanceTimersByTimeAsync(30);
    expect(soon).toHaveBeenCalledTimes(1);
    expect(sinks[3]?.pumps).toBe(1);
  });

  it('keeps no timer when it is all sent and durable', async () => {
    fanOut.pushed(10n, 100);
    fanOut.durable(10n);
    await vi.advanceTimersByTimeAsync(100);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('keeps no timer while a quorum is away', async () => {
    for (const sink of sinks.slice(0, 3)) sink.isStreaming = false;
    fanOut.pushed(10n, 100);
    await vi.advanceTimersByTimeAsync(1000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
