import { afterEach, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { diskError, FaultDisk } from '../testing/fault-disk.ts';
import { imageRecord } from '../testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster } from '../testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

it('a history that cannot be saved annuls nothing; saved, it does', async () => {
  const running = (cluster = await TestCluster.start(1));
  let isBroken = false;
  await running.stopDaemon(0);
  running.disks.set(
    0,
    new FaultDisk(systemDisk(), ({ path }) => (isBroken && /control/.test(path) ? { error: diskError('EIO') } : undefined)),
  );
  await running.startDaemon(0);
  await running.reachable(0);
  const base = await running.import(1n, [0]);
  const writer = await running.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], [0]);
  await writer.append([imageRecord(REL, 1, 11)], [0]);
  const start = writer.end.lsn;
  await writer.append([imageRecord(REL, 1, 12)], [0]);
  const { lsn } = writer.end;
  writer.close();
  const client = running.client(0);
  await client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 3n, writerId: 'w/2', leaseMs: 0 }, DEADLINE);
  const install = { segment: SEGMENT, epoch: 3n, history: [...writer.history, { epoch: 3n, startLsn: start }] };

  isBroken = true;
  await expect(client.installHistory(install, DEADLINE)).rejects.toThrow();
  isBroken = false;
  await running.stopDaemon(0);
  await running.startDaemon(0);
  await running.reachable(0);
  expect(await running.status(0)).toMatchObject({ epoch: 3n, scl: lsn, history: writer.history });
  expect((await client.installHistory(install, DEADLINE)).scl).toBe(start);
});
