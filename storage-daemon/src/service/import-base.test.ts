import { postgres18 } from '@kube-aurora/redo';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imageRecord, syntheticState } from '../testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster } from '../testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2, 3, 4, 5];

describe('the first content of a volume', () => {
  let cluster: TestCluster;
  beforeEach(async () => {
    cluster = await TestCluster.start(6);
  });
  afterEach(() => cluster.stop());

  it('counts only when all of it has come', async () => {
    const { encoded, baseLsn } = syntheticState(0x150_0028n);
    const { call, answer } = cluster.client(0).importBase(DEADLINE);
    call.write({
      begin: { role: 'FULL', segment: SEGMENT, epoch: 1n, baseLsn, systemIdentifier: 7n, volumeState: encoded, engine: postgres18.id },
      pages: [],
      finish: false,
    });
    call.end();
    await expect(answer).rejects.toMatchObject({ code: 'INVALID' });
    expect((await cluster.status(0)).phase).toBe('EMPTY');
    await cluster.stopDaemon(0);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    expect((await cluster.status(0)).phase).toBe('EMPTY');
    await cluster.import(1n, ALL);
    expect((await cluster.status(0)).phase).toBe('READY');
  });

  it('is refused while peers hold the volume with redo: that is copied from them', async () => {
    const base = await cluster.import(1n, ALL);
    const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    try {
      await writer.append([imageRecord(REL, 1, 5)], ALL);
      // With two peers it waits for a third before it copies; until then it is empty, and an import would be taken for
      // it.
      for (const i of [2, 3, 4, 5]) await cluster.stopDaemon(i);
      writer.drop(5);
      fs.rmSync(cluster.dataOf(5), { recursive: true });
      await cluster.startDaemon(5);
      await cluster.reachable(5);
      await expect(cluster.import(3n, [5])).rejects.toMatchObject({ code: 'REFUSED' });
      expect((await cluster.status(5)).phase).toBe('EMPTY');
    } finally {
      writer.close();
    }
  });
});
