import { join } from 'node:path';
import { postgres18 } from '@kube-aurora/redo';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { syntheticState } from '../testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster, VOLUME } from '../testing/test-cluster.ts';
import { readControl, writeControl, type SegmentControl } from './control-file.ts';

/**
 * Each volume has an engine and its major version. A daemon holds the volumes of those that it has, and says which
 * another one is of.
 */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const NEWER = { engine: 'postgres', major: 19 };
let cluster: TestCluster;

beforeEach(async () => {
  cluster = await TestCluster.start(4);
});
afterEach(() => cluster.stop());

const controlPath = (i: number): string => join(cluster.dataOf(i), VOLUME, '0', 'control');

function controlOf(i: number): SegmentControl {
  const read = readControl(systemDisk(), controlPath(i));
  if (read === undefined) throw new Error('there is no control file');
  return read.control;
}

async function startWith(i: number, engine: SegmentControl['engine']): Promise<void> {
  await cluster.stopDaemon(i);
  await writeControl(systemDisk(), controlPath(i), { ...controlOf(i), engine });
  await cluster.startDaemon(i);
  await cluster.reachable(i);
}

describe('the engine of a volume', () => {
  it('is kept with it, told to peers, and goes with a copy', async () => {
    await cluster.import(1n, [0, 1, 2], [{ page: { ...REL, block: 0 }, fill: 3 }]);
    expect((await cluster.status(0)).engine).toEqual(postgres18.id);
    const copied = await cluster.until(3, ({ phase }) => phase === 'READY');
    expect(copied.engine).toEqual(postgres18.id);
    expect(controlOf(3).engine).toEqual(postgres18.id);
  });

  it('that a daemon does not have is named, the segment stops, and what it holds stays as it is', async () => {
    const start = await cluster.import(1n, [0], [{ page: { ...REL, block: 0 }, fill: 3 }]);
    await startWith(0, NEWER);
    const state = await cluster.status(0);
    expect(state).toMatchObject({ phase: 'DAMAGED', engine: NEWER, fault: { kind: 'ENGINE_UNKNOWN', engine: NEWER } });
    expect(state.message).toBe('the volume is of postgres 19; this storage daemon has postgres 18');
    await expect(cluster.page(0, { ...REL, block: 0 }, start.lsn, 1n)).rejects.toThrow('the volume is of postgres 19');
    await startWith(0, postgres18.id);
    expect((await cluster.status(0)).phase).toBe('READY');
    expect(await cluster.page(0, { ...REL, block: 0 }, start.lsn, 1n)).toBe(3);
  });

  it('that a daemon does not have is refused when a volume is imported', async () => {
    const { encoded, baseLsn } = syntheticState(0x150_0028n);
    const { call, answer } = cluster.client(0).importBase(DEADLINE);
    const begin = {
      segment: SEGMENT,
      epoch: 1n,
      baseLsn,
      systemIdentifier: 7n,
      volumeState: encoded,
      engine: NEWER,
      role: 'FULL',
    } as const;
    call.write({ begin, pages: [], finish: true });
    call.end();
    await expect(answer).rejects.toMatchObject({
      code: 'REFUSED',
      message: expect.stringContaining('begin.engine: the volume is of postgres 19'),
    });
    expect((await cluster.status(0)).phase).toBe('EMPTY');
  });

  it('is PostgreSQL 18 where an importer does not say', async () => {
    const { encoded, baseLsn } = syntheticState(0x150_0028n);
    const { call, answer } = cluster.client(0).importBase(DEADLINE);
    const begin = {
      segment: SEGMENT,
      epoch: 1n,
      baseLsn,
      systemIdentifier: 7n,
      volumeState: encoded,
      engine: undefined,
      role: 'FULL',
    } as const;
    call.write({ begin, pages: [], finish: true });
    call.end();
    expect((await answer).engine).toEqual({ engine: 'postgres', major: 18 });
  });
});
