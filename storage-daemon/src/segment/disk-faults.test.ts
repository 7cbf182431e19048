import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { diskError, FaultDisk, type FaultOf } from '../testing/fault-disk.ts';
import { ConditionWaiter } from './condition-waiter.ts';
import { ContentState } from './content-state.ts';
import { CurrentControl } from './current-control.ts';
import { DiskFaults } from './disk-faults.ts';
import { DEFAULT_LIMITS } from './limits.ts';

const PLENTY = { isFull: false, freeBytes: 1e12, neededBytes: 1 };
const FULL = { isFull: true, freeBytes: 1, neededBytes: 2 };
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'disk-faults-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Content that is open. Its log is synced to `durable` at first, and to `closed` by the time that it is closed. */
function faultsOf({ durable, closed }: { durable: bigint; closed: bigint }, faultOf: FaultOf = () => undefined) {
  const disk = new FaultDisk(systemDisk(), faultOf);
  const state = new ContentState();
  state.on('opened');
  const control = CurrentControl.read(disk, directory, { volumeId: '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10', pg: 0 }, 'FULL');
  let open: bigint | undefined = durable;
  const openedTo: (bigint | undefined)[] = [];
  let made = 0;
  /** What opening does. */
  const opening = { fails: undefined as Error | undefined, breaks: undefined as string | undefined };
  const faults: DiskFaults = new DiskFaults({
    directory,
    disk,
    control,
    conditions: new ConditionWaiter(systemClock()),
    limits: DEFAULT_LIMITS,
    logger: silentLogger(),
    state,
    close: () => {
      const synced = open === undefined ? undefined : closed;
      open = undefined;
      return Promise.resolve(synced);
    },
    open: (endLsn) => {
      openedTo.push(endLsn);
      if (opening.fails !== undefined) return Promise.reject(opening.fails);
      if (opening.breaks !== undefined) faults.stop(opening.breaks, 'open', 'it breaks');
      else {
        open = endLsn;
        state.on('opened');
      }
      return Promise.resolve();
    },
    fail: (failure) => void state.fail(failure),
    makeRoom: () => Promise.resolve(void made++),
  });
  /** Looks again and again, as the daemon does: a look that finds the one before under way does nothing. */
  const lookUntil = (phase: ContentState['phase']): Promise<void> =>
    expect
      .poll(async () => {
        await look();
        return state.phase;
      })
      .toBe(phase);
  const look = async (room = PLENTY): Promise<void> => {
    faults.noteRoom(room);
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate);
    await control.idle();
  };
  return { faults, state, look, lookUntil, openedTo, opening, made: () => made };
}

it('opens anew what was synced by the time it was closed: nothing that was acknowledged on the way is cut off', async () => {
  const { faults, state, look, openedTo } = faultsOf({ durable: 100n, closed: 140n });
  faults.stop('EIO', 'store pages', 'it fails');
  expect(state.phase).toBe('unwritable');
  await look();
  await expect.poll(() => state.phase).toBe('open');
  expect(openedTo).toEqual([140n]);
});

it('remembers what was synced until it is open: a try that fails makes nothing durable', async () => {
  const { faults, state, look, lookUntil, openedTo, opening } = faultsOf({ durable: 100n, closed: 100n });
  faults.stop('EIO', 'write redo log', 'it fails');
  opening.breaks = 'EMFILE';
  await look();
  await expect.poll(() => openedTo).toEqual([100n]);
  expect(state.phase).toBe('closed');
  opening.breaks = undefined;
  await lookUntil('open');
  expect(openedTo).toEqual([100n, 100n]);
});

it('waits until a probe can be written, and while there is no room', async () => {
  let isBroken = true;
  const { faults, state, look, lookUntil, openedTo } = faultsOf({ durable: 100n, closed: 100n }, ({ path }) =>
    isBroken && path.endsWith('probe') ? { error: diskError('EROFS') } : undefined,
  );
  faults.stop('EROFS', 'write redo log', 'it fails');
  await look();
  expect([state.phase, openedTo]).toEqual(['unwritable', []]);
  isBroken = false;
  await look(FULL);
  expect([state.phase, openedTo]).toEqual(['unwritable', []]);
  await lookUntil('open');
});

it('stops for a person when it cannot be opened for a reason that is not the disk’s', async () => {
  const { faults, state, look, opening } = faultsOf({ durable: 100n, closed: 100n });
  faults.stop('EIO', 'write redo log', 'it fails');
  opening.fails = new Error('a defect');
  await look();
  await expect.poll(() => state.phase).toBe('stopped');
  expect(state.failure).toEqual({ fault: { kind: 'UNKNOWN' }, message: 'it cannot be opened again: a defect' });
});

it('makes room while there is too little, only of what is open, and says so', async () => {
  const { faults, state, look, made } = faultsOf({ durable: 100n, closed: 100n });
  expect(faults.lackOfRoom).toBeUndefined();
  await look(FULL);
  expect([made(), faults.isFull, faults.lackOfRoom?.fault]).toEqual([1, true, { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n }]);
  expect(state.phase).toBe('open');
  await look();
  expect(faults.lackOfRoom).toBeUndefined();
  state.fail({ fault: { kind: 'UNKNOWN' }, message: 'stopped' });
  await look(FULL);
  expect(made()).toBe(1);
});

it('asks the disk where the store does not say what failed', async () => {
  const { faults, state } = faultsOf({ durable: 100n, closed: 100n }, ({ path }) =>
    path.endsWith('probe') ? { error: diskError('ENOSPC') } : undefined,
  );
  await faults.onError(Object.assign(new Error('IO error'), { code: 'LEVEL_IO_ERROR' }), 'store pages');
  expect([state.phase, state.failure?.fault.kind]).toEqual(['unwritable', 'DISK_FULL']);
});
