import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imageRecord, type ChainEnd } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TestCluster, type TestWriter } from './testing/test-cluster.ts';

/** A real daemon with a writer's stream lent to the thread that has its connection, and what takes it back. */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ONE = [0] as const;

let cluster: TestCluster;
let base: ChainEnd;
let writer: TestWriter;

beforeEach(async () => {
  cluster = await TestCluster.start(1);
  base = await cluster.import(1n, ONE);
  writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ONE);
});
afterEach(async () => {
  writer.close();
  await cluster.stop();
});

const takenBy = async (by: string): Promise<number> => {
  const { values } = await cluster.daemon(0).metrics.acknowledged.get();
  return values.find(({ labels }) => labels.by === by)?.value ?? 0;
};
let block = 0;
const append = (): Promise<unknown> => writer.append([imageRecord(REL, block % 10, (block++ % 250) + 1)], ONE);

/** Appends until the thread has taken some more than it had. */
async function untilLent(before = 0): Promise<void> {
  await expect
    .poll(
      async () => {
        await append();
        return takenBy('thread');
      },
      { interval: 1 },
    )
    .toBeGreaterThan(before + 3);
}

describe('a stream that is lent', () => {
  it('counts in a promise to the last batch that was acknowledged, and takes nothing after', async () => {
    await untilLent();
    await append();
    const acknowledged = writer.end.lsn;
    const state = await cluster.client(0).openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 3n, writerId: 'w/2', leaseMs: 0 }, DEADLINE);
    expect(state.scl).toBe(acknowledged);
    await writer.append([imageRecord(REL, 1, 1)], ONE, false);
    await expect.poll(() => writer.stream(0).answers.at(-1)?.result).toBe('FENCED');
    expect((await cluster.status(0)).scl).toBe(acknowledged);
  });

  it('is all there after the daemon’s end, in pages as well, and goes on', async () => {
    await untilLent();
    for (let count = 0; count < 30; count++) await append();
    writer.points(ONE);
    await cluster.stopDaemon(0);
    writer.drop(0);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    expect((await cluster.status(0)).scl).toBe(writer.end.lsn);
    await writer.connected(0);
    await append();
    writer.points(ONE);
    const state = await cluster.until(0, ({ appliedLsn }) => appliedLsn === writer.end.lsn);
    expect(await cluster.page(0, { ...REL, block: (block - 1) % 10 }, state.scl, 2n)).toBe(((block - 1) % 250) + 1);
  });

  it('is taken back for what is not next, which is judged by all rules, and lent again', async () => {
    await untilLent();
    const { lsn } = writer.end;
    writer.end = { lsn: lsn + 800n, epoch: 2n };
    await writer.append([imageRecord(REL, 1, 1)], ONE, false);
    await expect.poll(() => writer.stream(0).answers.at(-1)).toMatchObject({ result: 'GAP', scl: lsn });
    writer.end = { lsn, epoch: 2n };
    await untilLent(await takenBy('thread'));
  });

  it('is lent again under load, while more keeps coming, and ends on the disk as it came', async () => {
    await untilLent();
    const before = await takenBy('thread');
    const ends: bigint[] = [];
    // Of several files: a new one is the program's to make. One batch comes twice, which the program judges, and what comes right behind it.
    for (let sent = 0; (await takenBy('thread')) < before + 150; sent++) {
      const from = writer.end;
      const record = imageRecord(REL, block % 10, (block++ % 250) + 1);
      await writer.append([record], ONE, false);
      if (sent === 100) {
        writer.end = from;
        await writer.append([record], ONE, false);
      }
      // Some are always under way.
      ends.push(writer.end.lsn);
      await writer.acknowledged(0, ends[sent - 30] ?? 0n);
    }
    await writer.acknowledged(0, writer.end.lsn);
    await cluster.stopDaemon(0);
    writer.drop(0);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    expect((await cluster.status(0)).scl).toBe(writer.end.lsn);
  });

  it('acknowledges what is read at once: pages as of the last commit are there without waiting for the thread’s news', async () => {
    await untilLent();
    for (let count = 0; count < 20; count++) {
      await append();
      writer.points(ONE);
      expect(await cluster.page(0, { ...REL, block: (block - 1) % 10 }, writer.end.lsn, 2n)).toBe(((block - 1) % 250) + 1);
    }
  });
});
