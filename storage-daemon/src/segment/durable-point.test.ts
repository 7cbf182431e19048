import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock, type Clock } from '@kube-aurora/clock';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { DurablePoint } from './durable-point.ts';

const BASE_EPOCH = 3n;

let directory: string;
/** What waits for its time. */
let due: (() => void)[];
let clock: Clock;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'durable-point-'));
  due = [];
  clock = {
    ...systemClock(),
    after: (_ms, work) => {
      due.push(work);
      return { cancel: () => void due.splice(due.indexOf(work), 1) };
    },
  };
});
afterEach(() => fs.rmSync(directory, { recursive: true }));

function open(baseEpoch = BASE_EPOCH): Promise<DurablePoint> {
  return DurablePoint.open({ disk: systemDisk(), clock }, join(directory, 'durable'), baseEpoch, (error) => {
    throw error;
  });
}

/** What a process would find that begins now. */
async function known(): Promise<bigint> {
  const again = await open();
  const { lsn } = again;
  await again.close();
  return lsn;
}

it('knows at once what was noted, and writes it once for all that came in a while', async () => {
  const point = await open();
  for (let lsn = 100n; lsn <= 900n; lsn += 100n) point.note(lsn);
  point.note(500n);
  expect(point.lsn).toBe(900n);
  expect(due).toHaveLength(1);
  expect(await known()).toBe(0n);
  due.shift()?.();
  expect(await known()).toBe(900n);
  point.note(1000n);
  expect(due).toHaveLength(1);
  await point.close();
});

it('has all of it in the file when it is closed, and nothing to do after that', async () => {
  const point = await open();
  point.note(700n);
  await point.close();
  expect(due).toEqual([]);
  expect(await known()).toBe(700n);
});

it('says nothing of another import’s redo, and lives with a torn slot', async () => {
  const point = await open();
  point.note(700n);
  due.shift()?.();
  point.note(800n);
  await point.close();
  const other = await open(BASE_EPOCH + 1n);
  expect(other.lsn).toBe(0n);
  await other.close();
  const bytes = fs.readFileSync(join(directory, 'durable'));
  const slot = bytes.readBigUInt64LE(8) === 800n ? 0 : 512;
  bytes[slot + 9]! ^= 1;
  fs.writeFileSync(join(directory, 'durable'), bytes);
  expect(await known()).toBe(700n);
});
