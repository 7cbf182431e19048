import fs from 'node:fs';
import { join } from 'node:path';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { afterEach, expect, it, vi } from 'vitest';
import { Applier } from './checkpoint/applier.ts';
import { batchAfter, imageRecord } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TEST_LIMITS, TestCluster, VOLUME } from './testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
/** More than a stream has on its way before its reader is asked. */
const BATCHES = 400;

let cluster: TestCluster | undefined;
afterEach(async () => {
  vi.restoreAllMocks();
  await cluster?.stop();
  cluster = undefined;
});

it('a writer is held back while what it made durable is not applied, and goes on when it is', async () => {
  const running = (cluster = await TestCluster.start(1));
  const start = await running.import(1n, [0]);
  const writer = await running.open(2n, 'w', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
  await writer.append([imageRecord(REL, 0, 1)], [0]);
  const sent = (): bigint => writer.end.lsn;
  const scl = async (): Promise<bigint> => (await running.status(0)).scl;
  // An applier that does not get on.
  const behind = vi.spyOn(Applier.prototype, 'unappliedBytes', 'get');
  behind.mockReturnValue(TEST_LIMITS.unappliedBytes + TEST_LIMITS.queueBytes + 1);
  for (let i = 0; i < BATCHES; i++) await writer.append([imageRecord(REL, i, 2)], [0], false);
  // It takes one message a second, so that what is said beside redo is heard.
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(await scl()).toBeLessThan(sent());
  behind.mockReturnValue(0);
  await writer.acknowledged(0, sent(), 30_000);
});

it('who waits for the disk goes on once redo is on it, though no quorum has it', async () => {
  const running = (cluster = await TestCluster.start(1));
  const start = await running.import(1n, [0]);
  await running.open(2n, 'w', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
  const [segment] = running.daemon(0).segments;
  const { batch } = batchAfter({ lsn: start.lsn, epoch: 1n }, 2n, [imageRecord(REL, 0, 1)]);
  segment?.append(decodeRedoBatchHeader(batch), batch);
  expect(segment?.queuedBytes).toBe(batch.length);
  expect(await segment?.until(() => segment.queuedBytes === 0, performance.now() + 20_000)).toBe(true);
});

it('a segment that turns out to be damaged while it fetches redo is copied, and waits for nothing', async () => {
  const all = [0, 1, 2, 3, 4, 5];
  const others = [1, 2, 3, 4, 5];
  const running = (cluster = await TestCluster.start(6, { ...TEST_LIMITS, queueBytes: 1024, unappliedBytes: 1024 }));
  const start = await running.import(1n, all);
  const writer = await running.open(2n, 'w', start, [{ epoch: 1n, startLsn: start.lsn }], all);
  const images = Array.from({ length: 12 }, (_, block) => imageRecord(REL, block, 1));
  await writer.append(images, all);
  // Started anew, it reads what is not applied from its log, once it hears that it is durable.
  await running.stopDaemon(0);
  writer.drop(0);
  await running.startDaemon(0);
  const log = join(running.dataOf(0), VOLUME, '0', 'log-1');
  const path = join(log, fs.readdirSync(log).toSorted().at(-1) ?? '');
  const bytes = fs.readFileSync(path);
  // In the sixth page of it.
  const at = 5 * 8192;
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  fs.writeFileSync(path, bytes);
  for (let i = 0; i < 20; i++) await writer.append(images, others, false);
  void running
    .client(0)
    .catchUp({ segment: SEGMENT, lsn: writer.end.lsn }, DEADLINE)
    .catch(() => undefined);
  await writer.acknowledged(1, writer.end.lsn);
  writer.points(others);
  const { lsn } = writer.end;
  await running.until(0, (state) => state.phase === 'READY' && state.fault === undefined && state.scl === lsn && state.appliedLsn === lsn);
  expect(await running.daemon(0).metrics.registry.metrics()).toContain('aurora_storage_repairs_total{kind="copy"} 1');
});
