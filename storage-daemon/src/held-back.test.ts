import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { afterEach, expect, it, vi } from 'vitest';
import { Applier } from './checkpoint/applier.ts';
import { batchAfter, imageRecord } from './testing/synthetic-records.ts';
import { TEST_LIMITS, TestCluster } from './testing/test-cluster.ts';

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
