import fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { pageKeyOf, type PageId } from '@kube-aurora/redo';
import { deltaRecord, imageRecord, truncateRecord } from '../testing/synthetic-records.ts';
import { TEST_LIMITS, TestCluster, VOLUME } from '../testing/test-cluster.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const CUT = { ...REL, relNumber: 16_385 };
const BLOCKS = 40;
const blocksOf = (fork: typeof REL): PageId[] => Array.from({ length: BLOCKS }, (_, block) => ({ ...fork, block }));

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

describe('neighbouring pages', () => {
  it('are those that are read one by one: stored, with redo on them, not there, dropped', async () => {
    const running = (cluster = await TestCluster.start(1, { ...TEST_LIMITS, checkpointBytes: 1024 * 1024 * 1024 }));
    const pages = [REL, CUT].flatMap((fork) =>
      Array.from({ length: BLOCKS }, (_, block) => ({ page: { ...fork, block }, fill: block + 1 })).filter(
        ({ page }) => page.block % 7 !== 0,
      ),
    );
    const start = await running.import(1n, [0], pages);
    const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0]);
    const storage = [...running.daemon(0).segments].find((segment) => segment.volumeId === VOLUME)?.pages;
    if (storage === undefined) throw new Error('no content');
    const expectSame = async (): Promise<void> => {
      writer.points([0], start.lsn);
      await running.until(0, ({ appliedLsn }) => appliedLsn >= writer.end.lsn);
      const { lsn } = writer.end;
      for (const fork of [REL, CUT]) {
        const answer = await storage.readPages(blocksOf(fork).map(pageKeyOf), lsn);
        for (let block = 0; block < BLOCKS; block++) {
          const page = await storage.readPageForPeer(pageKeyOf({ ...fork, block }), lsn);
          expect([block, answer.present[block]]).toEqual([block, page === undefined ? 0 : 1]);
          expect(answer.pages[block]?.equals(page ?? Buffer.alloc(8192))).toBe(true);
        }
      }
    };
    await writer.append([deltaRecord(REL, 3, 100, Buffer.from([9])), imageRecord(REL, 14, 77)], [0]);
    await expectSame();
    await writer.append([truncateRecord(CUT, 10), imageRecord(CUT, 30, 78)], [0]);
    await expectSame();
    writer.points([0]);
    storage.requestCheckpoint();
    while (storage.stats().checkpoints === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    await expectSame();
    writer.close();
  }, 30_000);
});

it('a damaged page is repaired for all who may read it, not only for the one who found the damage', async () => {
  const running = (cluster = await TestCluster.start(2, { ...TEST_LIMITS, checkpointBytes: 1024 * 1024 * 1024 }));
  const page = { ...REL, block: 1 };
  const start = await running.import(1n, [0, 1], [{ page, fill: 5 }]);
  const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], [0, 1]);
  await writer.append([deltaRecord(REL, 1, 100, Buffer.from([9]))], [0, 1]);
  const earlier = writer.end.lsn;
  await writer.append([deltaRecord(REL, 1, 101, Buffer.from([9]))], [0, 1]);
  writer.points([0, 1], start.lsn);
  for (const daemon of [0, 1]) await running.until(daemon, ({ appliedLsn }) => appliedLsn >= writer.end.lsn);
  const slots = fs.readdirSync(running.dataOf(0), { recursive: true, encoding: 'utf8' }).find((name) => name.endsWith('pages.slots'));
  fs.writeFileSync(join(running.dataOf(0), slots ?? 'nowhere'), Buffer.alloc(4 * 8192, 0x77));
  const read = async (daemon: number, lsn: bigint): Promise<Buffer | undefined> => {
    const [segment] = running.daemon(daemon).segments;
    return (await segment?.pages?.readPages([pageKeyOf(page)], lsn))?.pages[0];
  };
  for (const lsn of [writer.end.lsn, earlier, start.lsn]) {
    const sound = await read(1, lsn);
    expect((await read(0, lsn))?.equals(sound ?? Buffer.alloc(0))).toBe(true);
  }
  writer.close();
}, 30_000);
