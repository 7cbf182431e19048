import { afterEach, expect, it, vi } from 'vitest';
import { createLogger } from '@kube-aurora/process';
import type { SegmentState } from '@kube-aurora/rpc';
import { PageStore } from './pages/page-store.ts';
import { imageRecord } from './testing/synthetic-records.ts';
import { SEGMENT, TestCluster } from './testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ROUNDS = 4;

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** The client's channel rests after a refused connection. */
async function statusWhenReachable(running: TestCluster): Promise<SegmentState> {
  for (let tries = 0; ; tries++) {
    try {
      return await running.status(0);
    } catch (error) {
      if (tries > 200) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

it('a daemon that stops under load tells nobody that it is damaged or empty', async () => {
  const running = (cluster = await TestCluster.start(1));
  const errors: string[] = [];
  running.logger = createLogger('test', { level: 'error', destination: { write: (line) => void errors.push(line) } });
  await running.stopDaemon(0);
  await running.startDaemon(0);
  const start = await running.import(1n, [0]);
  let end = start;
  let history = [{ epoch: 1n, startLsn: start.lsn }];
  // The store takes its time to close, when the log is closed already.
  const close = Reflect.get(PageStore.prototype, 'close') as (this: PageStore) => Promise<void>;
  vi.spyOn(PageStore.prototype, 'close').mockImplementation(async function (this: PageStore) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    return close.call(this);
  });
  for (let round = 0; round < ROUNDS; round++) {
    const writer = await running.open(BigInt(round + 2), `w/${round}`, end, history, [0]);
    await writer.connected(0);
    for (let i = 0; i < 20; i++) await writer.append([imageRecord(REL, i, round)], [0]);
    const { lsn } = writer.end;
    const heard: SegmentState[] = [];
    let isStopped = false;
    const ask = async (): Promise<void> => {
      while (!isStopped) {
        const request = { segment: SEGMENT, epoch: writer.epoch, writerId: `w/${round}`, role: 'FULL', leaseMs: 0 } as const;
        const answer = await running
          .client(0)
          .openEpoch(request, { deadlineMs: 2000 })
          .catch((error: unknown) => error);
        if (!(answer instanceof Error)) heard.push(answer as SegmentState);
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    // A writer connects again at once when its stream ends.
    const write = async (): Promise<void> => {
      for (let streams = 0; !isStopped; streams++) {
        if (streams > 0) writer.drop(0);
        let isBroken = false;
        void writer.stream(0).error.then(() => (isBroken = true));
        while (!isBroken && !isStopped) {
          await writer.append([imageRecord(REL, 1, 7)], [0], false);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        const { scl, lastBatchEpoch } = heard.at(-1) ?? { scl: start.lsn, lastBatchEpoch: start.epoch };
        writer.end = { lsn: scl, epoch: lastBatchEpoch };
      }
    };
    const working = [ask(), ask(), write()];
    while (heard.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await running.stopDaemon(0);
    isStopped = true;
    await Promise.all(working);
    writer.close();
    expect(heard.filter((state) => state.phase !== 'READY' || state.scl < lsn)).toEqual([]);
    await running.startDaemon(0);
    const after = await statusWhenReachable(running);
    expect([after.phase, after.fault]).toEqual(['READY', undefined]);
    end = { lsn: after.scl, epoch: after.lastBatchEpoch };
    history = writer.history;
  }
  expect(errors).toEqual([]);
});
