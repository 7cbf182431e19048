import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { describe, expect, it } from 'vitest';
import { NOTHING_CARRIED, type CarriedOver } from './carry-over.ts';
import { WrittenDirectory } from './written-directory.ts';

const clock = { wallTime: () => Date.UTC(2026, 10, 27) };

/** What the next writer's directory may be laid from, when the volume's log ends with a batch of that epoch. */
function carries(directory: WrittenDirectory, previousEpoch: bigint, carried: CarriedOver = NOTHING_CARRIED): boolean | undefined {
  let carries: boolean | undefined;
  directory.forWriter({ epoch: 9n, previousEpoch }, (goesOn) => ((carries = goesOn), carried));
  return carries;
}

function make(): WrittenDirectory {
  return new WrittenDirectory({ clock, logger: silentLogger() });
}

describe('what goes on in the next data directory', () => {
  it('is that of the epoch in which the volume’s log ends, if it was written here', () => {
    const directory = make();
    expect(carries(directory, 8n)).toBe(false);
    expect(carries(directory, 9n)).toBe(true);
  });

  it('is nothing when another one wrote after it, or had the place of the directory', () => {
    const directory = make();
    carries(directory, 8n);
    expect(carries(directory, 10n)).toBe(false);
    directory.forReader(() => NOTHING_CARRIED);
    expect(carries(directory, 9n)).toBe(false);
  });

  it('is nothing of a directory that could not be laid', () => {
    const directory = make();
    carries(directory, 8n);
    const fails = (): CarriedOver => {
      throw new Error('no room');
    };
    expect(() => directory.forWriter({ epoch: 10n, previousEpoch: 9n }, fails)).toThrow('no room');
    for (const epoch of [9n, 10n]) expect(carries(make(), epoch)).toBe(false);
    expect(carries(directory, 9n)).toBe(false);
  });
});

it('tells of slots that were lost, until one of that name goes on', () => {
  const directory = new WrittenDirectory({ clock: { ...systemClock(), ...clock }, logger: silentLogger() });
  const lost = ['a', 'b'].map((name) => ({ name, why: 'it was' }));
  carries(directory, 8n, { slots: [], lost, hasStatistics: false });
  carries(directory, 9n, { slots: ['b'], lost: [], hasStatistics: false });
  expect(directory.lostSlots).toEqual([{ name: 'a', why: 'it was', at: '2026-11-27T00:00:00.000Z' }]);
});
