import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Disk } from '../disk/disk.ts';
import { systemDisk } from '../disk/system-disk.ts';
import { CurrentControl, SegmentRoleError } from './current-control.ts';

const VOLUME = '7f4f1834-7325-4e48-917f-444731d53b89';
let directory: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-control-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

it('forgets what could not be saved: it is not taken for done when it is asked for again', async () => {
  let isBroken = false;
  const disk: Disk = {
    ...systemDisk(),
    rename: (from, to) => (isBroken ? Promise.reject(new Error('EIO')) : systemDisk().rename(from, to)),
  };
  const read = (): CurrentControl => CurrentControl.read(disk, directory, { volumeId: VOLUME, pg: 0 }, 'FULL');
  const control = read();
  control.raiseEpoch(3n, 'w/1');
  await control.save({ history: [{ epoch: 3n, startLsn: 100n }] });

  isBroken = true;
  control.raiseEpoch(4n, 'w/2');
  expect(control.value.epoch).toBe(4n);
  await expect(control.save({ history: [{ epoch: 4n, startLsn: 200n }] })).rejects.toThrow('EIO');
  expect(control.value).toMatchObject({ epoch: 3n, writerId: 'w/1', history: [{ epoch: 3n, startLsn: 100n }] });
  expect(read().value).toMatchObject({ epoch: 3n, writerId: 'w/1' });

  isBroken = false;
  control.raiseEpoch(4n, 'w/2');
  control.takeBack();
  expect(control.value.epoch).toBe(3n);
  control.raiseEpoch(5n, 'w/3');
  await control.save({});
  expect(read().value).toMatchObject({ epoch: 5n, writerId: 'w/3' });
});

it('answers by nothing that a dead process put in its place and did not live to make durable', async () => {
  const control = CurrentControl.read(systemDisk(), directory, { volumeId: VOLUME, pg: 0 }, 'FULL');
  control.raiseEpoch(3n, 'w/1');
  await control.save({});
  const done: string[] = [];
  let isBroken = true;
  const disk: Disk = {
    ...systemDisk(),
    syncDirectory: (path) => {
      done.push(`sync ${path}`);
      return isBroken ? Promise.reject(new Error('EIO')) : systemDisk().syncDirectory(path);
    },
  };
  const answer = (): Promise<void> => {
    done.push('answer');
    return Promise.resolve();
  };
  const found = CurrentControl.read(disk, directory, { volumeId: VOLUME, pg: 0 }, 'FULL');
  await expect(found.exclusive(answer)).rejects.toThrow('EIO');
  isBroken = false;
  await found.exclusive(answer);
  await found.exclusive(answer);
  expect(done).toEqual([`sync ${directory}`, `sync ${directory}`, 'answer', 'answer']);
});

it('keeps to the role that the segment was made with', async () => {
  const id = { volumeId: VOLUME, pg: 0 };
  const made = CurrentControl.read(systemDisk(), directory, id, 'TAIL');
  await made.save({ epoch: 1n });
  expect(CurrentControl.read(systemDisk(), directory, id, 'TAIL').value.role).toBe('TAIL');
  expect(() => CurrentControl.read(systemDisk(), directory, id, 'FULL')).toThrow(SegmentRoleError);
  expect(() => CurrentControl.read(systemDisk(), directory, id, 'FULL')).toThrow(
    'this is a tail, and --peers (AURORA_PEERS) has it as a full segment',
  );
});
