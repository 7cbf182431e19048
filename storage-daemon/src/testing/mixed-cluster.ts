import fs from 'node:fs';
import type { Segment } from '../segment/segment.ts';
import type { SegmentLimits } from '../segment/limits.ts';
import type { ChainEnd } from './synthetic-records.ts';
import { TestCluster, VOLUME, type TestWriter } from './test-cluster.ts';

/** Six daemons in this process: d0, d1 and d2 are full segments, d3, d4 and d5 the tails of their zones. */

export const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
export const ALL = [0, 1, 2, 3, 4, 5];
export const TAILS = [3, 4, 5];
export const page = (block: number): typeof REL & { block: number } => ({ ...REL, block });

export interface MixedVolume {
  readonly cluster: TestCluster;
  /** Where the volume was imported. */
  readonly base: ChainEnd;
  /** Of epoch 2. */
  readonly writer: TestWriter;
}

/** A volume with one page, which a writer has opened. */
export async function mixedVolume(limits: SegmentLimits): Promise<MixedVolume> {
  const cluster = await TestCluster.start(6, limits, 'Mixed');
  const base = await cluster.import(1n, ALL, [{ page: page(0), fill: 9 }]);
  const writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
  return { cluster, base, writer };
}

export const segmentOf = (cluster: TestCluster, i: number): Promise<Segment> => cluster.daemon(i).segment(VOLUME, 0);
export const pageDirectories = (cluster: TestCluster, i: number): string[] =>
  fs.readdirSync(`${cluster.dataOf(i)}/${VOLUME}/0`).filter((name) => name.startsWith('pages'));

export async function holds(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 3000) throw new Error(`it does not come to this: ${condition.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Lets so many rounds of gossip pass. */
export async function rounds(cluster: TestCluster, i: number, count = 3): Promise<void> {
  const { gossip } = cluster.daemon(i).peers;
  const before = gossip.ticks;
  await holds(() => gossip.ticks >= before + count);
}
