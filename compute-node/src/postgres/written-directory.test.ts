import { systemClock } from '@kube-aurora/clock';
import { lsn } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { describe, expect, it } from 'vitest';
import { NOTHING_CARRIED, type CarriedOver, type WrittenWal } from './carry-over.ts';
import { WrittenDirectory } from './written-directory.ts';

const clock = { wallTime: () => Date.UTC(2026, 10, 27) };

/** What the next writer's directory may be laid from, when the volume's log ends with a batch of that epoch. */
function carries(directory: WrittenDirectory, previousEpoch: bigint, carried: CarriedOver = NOTHING_CARRIED): WrittenWal | undefined {
  let carries: WrittenWal | undefined;
  directory.forWriter({ epoch: 9n, previousEpoch }, (wal) => ((carries = wal), carried));
  return carries;
}

function make(): WrittenDirectory {
  return new WrittenDirectory({ clock, logger: silentLogger() });
}

describe('what goes on in the next data directory', () => {
  it('is that of the epoch in which the volume’s log ends, if it was written here', () => {
    const directory = make();
    expect(carries(directory, 8n)).toBeUndefined();
    expect(carries(directory, 9n)).toEqual({});
  });

  it('is nothing when another one wrote after it, or had the place of the directory', () => {
    const directory = make();
    carries(directory, 8n);
    expect(carries(directory, 10n)).toBeUndefined();
    directory.forReader(lsn(4096n), () => NOTHING_CARRIED);
    expect(carries(directory, 9n)).toBeUndefined();
  });

  it('is what a reader was given and wrote, once it was promoted', () => {
    const directory = make();
    directory.forReader(lsn(4096n), () => NOTHING_CARRIED);
    const promoted = { lsn: lsn(8192n), timeline: 2 };
    directory.promoted({ epoch: 8n, ...promoted });
    expect(carries(directory, 8n)).toEqual({ fromLsn: 4096n, promoted });
    // What is laid then has the volume's timeline.
    expect(carries(directory, 9n)).toEqual({});
    directory.promoted({ epoch: 8n, ...promoted });
    expect(carries(directory, 7n)).toBeUndefined();
  });

  it('is nothing of a directory that could not be laid', () => {
    const directory = make();
    carries(directory, 8n);
    const fails = (): CarriedOver => {
      throw new Error('no room');
    };
    expect(() => directory.forWriter({ epoch: 10n, previousEpoch: 9n }, fails)).toThrow('no room');
    for (const epoch of [9n, 10n]) expect(carries(make(), epoch)).toBeUndefined();
    expect(carries(directory, 9n)).toBeUndefined();
  });
});

it('tells of slots that were lost, until one of that name goes on', () => {
  const directory = new WrittenDirectory({ clock: { ...systemClock(), ...clock }, logger: silentLogger() });
  const lost = ['a', 'b'].map((name) => ({ name, why: 'it was' }));
  carries(directory, 8n, { slots: [], lost, hasStatistics: false });
  carries(directory, 9n, { slots: ['b'], lost: [], hasStatistics: false });
  expect(directory.lostSlots).toEqual([{ name: 'a', why: 'it was', at: '2026-11-27T00:00:00.000Z' }]);
});

it('tells of slots of the writer before that are not here, where it does not know better why', () => {
  const directory = new WrittenDirectory({ clock: { ...systemClock(), ...clock }, logger: silentLogger() });
  carries(directory, 8n, { slots: [], lost: [{ name: 'a', why: 'its file is damaged' }], hasStatistics: false });
  const missing = ['a', 'b'].map((name) => ({ name, why: 'it is not here' }));
  directory.missing(missing);
  expect(directory.lostSlots.map(({ name, why }) => `${name}: ${why}`)).toEqual(['a: its file is damaged', 'b: it is not here']);
  // Made anew.
  directory.made(['b', 'c']);
  expect(directory.lostSlots.map(({ name }) => name)).toEqual(['a']);
});

it('calls no slot lost that is only in the list, where the files of the writer before are here: it was dropped', () => {
  const directory = new WrittenDirectory({ clock: { ...systemClock(), ...clock }, logger: silentLogger() });
  carries(directory, 8n);
  carries(directory, 9n);
  directory.missing([{ name: 'dropped', why: 'it is not here' }]);
  expect(directory.lostSlots).toEqual([]);
  directory.forReader(lsn(4096n), () => NOTHING_CARRIED);
  directory.promoted({ epoch: 10n, lsn: lsn(8192n), timeline: 2 });
  directory.missing([{ name: 'not_kept', why: 'it is not here' }]);
  expect(directory.lostSlots).toMatchObject([{ name: 'not_kept' }]);
});
