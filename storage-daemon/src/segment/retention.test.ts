import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Retention } from './retention.ts';

const holder = (name: string, floor: bigint, givesWay = false) => ({ name, floor: () => floor, givesWay });

describe('Retention', () => {
  it.each([
    { what: 'nobody holds anything: up to the checkpoint', holders: [], isShort: false, limit: 100n },
    { what: 'the lowest floor counts', holders: [holder('peers', 70n, true), holder('copy', 40n)], isShort: false, limit: 40n },
    { what: 'floors past the checkpoint hold nothing', holders: [holder('peers', 170n, true)], isShort: false, limit: 100n },
    { what: 'who gives way is passed over without room', holders: [holder('peers', 10n, true)], isShort: true, limit: 100n },
    { what: 'who does not is not', holders: [holder('peers', 10n, true), holder('copy', 40n)], isShort: true, limit: 40n },
  ])('$what', ({ holders, isShort, limit }) => {
    const retention = new Retention(() => isShort);
    for (const one of holders) retention.hold(one);
    expect(retention.dropLimit(100n)).toBe(limit);
  });

  it('says who holds redo, the lowest first, until each lets go; two of one name are two', () => {
    const retention = new Retention(() => false);
    const releases = [holder('copy', 40n), holder('copy', 30n), holder('peers', 50n, true)].map((one) => retention.hold(one));
    expect(retention.holders().map(({ name, floorLsn }) => [name, floorLsn])).toEqual([
      ['copy', 30n],
      ['copy', 40n],
      ['peers', 50n],
    ]);
    releases[1]?.();
    releases[1]?.();
    expect(retention.dropLimit(100n)).toBe(40n);
    for (const release of releases) release();
    expect(retention.holders()).toEqual([]);
    expect(retention.dropLimit(100n)).toBe(100n);
  });

  it('never lets go what a firm holder needs, whoever comes and goes', () => {
    const step = fc.record({ floor: fc.bigInt(0n, 200n), givesWay: fc.boolean(), releases: fc.boolean(), isShort: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step), fc.bigInt(0n, 200n), (steps, checkpoint) => {
        let isFull = false;
        const retention = new Retention(() => isFull);
        const firm: bigint[] = [];
        for (const { floor, givesWay, releases, isShort } of steps) {
          const release = retention.hold(holder('one', floor, givesWay));
          if (releases) release();
          else if (!givesWay) firm.push(floor);
          isFull = isShort;
          const limit = retention.dropLimit(checkpoint);
          expect(limit <= checkpoint && firm.every((lsn) => limit <= lsn)).toBe(true);
        }
      }),
    );
  });
});
