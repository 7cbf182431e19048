import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { imageRecord, type ChainEnd } from './testing/synthetic-records.ts';
import { TEST_LIMITS, VOLUME, type TestCluster, type TestWriter } from './testing/test-cluster.ts';
import { ALL, holds, mixedVolume, page, pageDirectories, REL, rounds, TAILS } from './testing/mixed-cluster.ts';

/**
 * Six daemons in this process: d0, d1 and d2 are full segments, d3, d4 and d5 the tails of their zones. d2 is away, and
 * d5 stands in for it.
 */

const LEFT = [0, 1, 3, 4, 5];

let cluster: TestCluster;
let base: ChainEnd;
let writer: TestWriter;

const checkpoint = (members: readonly number[]): Promise<void> => cluster.checkpointAt(members, writer.end);

/** Twenty batches, each of which fills a log file. */
async function write(members: readonly number[], fill: number): Promise<void> {
  for (let block = 0; block < 20; block++)
    await writer.append([imageRecord(REL, block, fill + block), imageRecord(REL, 20, block)], members);
  writer.points(members);
}

/** The stream of one that opened its files anew. */
async function again(i: number): Promise<void> {
  writer.drop(i);
  await writer.connected(i);
}

/** From now on a second is long, to d5. */
async function restartTail(): Promise<void> {
  cluster.standInAfterMs = 1000;
  await cluster.stopDaemon(5);
  writer.drop(5);
  await cluster.startDaemon(5);
  await cluster.reachable(5);
}

async function stoodIn(): Promise<void> {
  await restartTail();
  await cluster.until(5, ({ standIn, phase }) => standIn !== undefined && phase === 'READY');
  await again(5);
  writer.points([5]);
}

describe('a tail whose full segment is away for longer than the set time', () => {
  beforeEach(async () => {
    // Files of one batch and no retention: redo that nobody holds goes at once.
    const limits = { ...TEST_LIMITS, logFileBytes: 16 * 1024, logRetainBytes: 0, diskReserveBytes: 0 };
    ({ cluster, base, writer } = await mixedVolume(limits));
    await write(ALL, 10);
    await cluster.stopDaemon(2);
    writer.drop(2);
    await write(LEFT, 50);
  });
  afterEach(async () => {
    writer.close();
    await cluster.stop();
  });

  it('has pages, serves them, and is a tail all the same', async () => {
    await stoodIn();
    const state = await cluster.status(5);
    expect(state).toMatchObject({ role: 'TAIL', phase: 'READY', scl: writer.end.lsn, standIn: { of: 'd2', reason: 'SILENT' } });
    expect(Number(state.standIn?.sinceUnixMs)).toBeGreaterThan(Date.now() - 60_000);
    expect(await cluster.page(5, page(7), writer.end.lsn, 2n)).toBe(57);
    await write(LEFT, 90);
    expect(await cluster.page(5, page(7), writer.end.lsn, 2n)).toBe(97);
    await expect(cluster.page(3, page(7), writer.end.lsn, 2n)).rejects.toMatchObject({ code: 'NO_PAGES' });
  });

  it('lets all tails drop redo that its pages have, and the others’', async () => {
    await checkpoint([0, 1]);
    await stoodIn();
    const { gossip } = cluster.daemon(3).peers;
    const before = gossip.ticks;
    await write(LEFT, 90);
    await checkpoint([0, 1]);
    await holds(() => gossip.ticks >= before + 3);
    const { checkpointLsn } = await cluster.status(5);
    expect(checkpointLsn).toBeLessThan(writer.end.lsn);
    for (const i of TAILS) expect((await cluster.status(i)).logStartLsn).toBeLessThanOrEqual(checkpointLsn);
    await checkpoint([5]);
    for (const i of TAILS) {
      const { scl, logStartLsn } = await cluster.until(i, (one) => one.logStartLsn > checkpointLsn);
      expect([scl, logStartLsn < scl]).toEqual([writer.end.lsn, true]);
    }
  });

  it('stands in over a restart, and gives its pages up once the full one is back with all that they have', async () => {
    await stoodIn();
    await checkpoint([0, 1, 5]);
    for (const i of TAILS) await cluster.until(i, ({ logStartLsn }) => logStartLsn > base.lsn);
    await cluster.stopDaemon(5);
    writer.drop(5);
    await cluster.startDaemon(5);
    await cluster.reachable(5);
    expect(await cluster.status(5)).toMatchObject({ phase: 'READY', standIn: { of: 'd2' }, checkpointLsn: writer.end.lsn });
    // It is behind, and nobody has the redo that it lacks: it copies the pages of another, which may be those of its own zone's tail.
    await cluster.startDaemon(2);
    await cluster.until(2, ({ scl, phase }) => phase === 'READY' && scl === writer.end.lsn);
    const state = await cluster.until(5, ({ standIn, phase }) => standIn === undefined && phase === 'READY');
    expect(state).toMatchObject({ role: 'TAIL', checkpointLsn: 0n, scl: writer.end.lsn });
    expect((await cluster.status(2)).checkpointLsn).toBe(writer.end.lsn);
    await holds(() => pageDirectories(cluster, 5).length === 0);
    writer.drop(2);
    await again(5);
    await write(ALL, 120);
    expect(await cluster.page(2, page(7), writer.end.lsn, 2n)).toBe(127);
  });

  it('does without its pages when they are damaged: its log is whole', async () => {
    await stoodIn();
    await checkpoint([5]);
    await cluster.stopDaemon(5);
    writer.drop(5);
    const [pages] = pageDirectories(cluster, 5);
    for (const name of fs.readdirSync(`${cluster.dataOf(5)}/${VOLUME}/0/${pages}`))
      fs.writeFileSync(`${cluster.dataOf(5)}/${VOLUME}/0/${pages}/${name}`, 'damaged');
    cluster.standInAfterMs = undefined;
    await cluster.startDaemon(5);
    await cluster.reachable(5);
    expect(await cluster.status(5)).toMatchObject({
      phase: 'READY',
      fault: undefined,
      standIn: undefined,
      scl: writer.end.lsn,
      recoverToLsn: 0n,
      checkpointLsn: 0n,
    });
    await writer.connected(5);
    await write(LEFT, 90);
    await cluster.until(5, ({ appliedLsn }) => appliedLsn === writer.end.lsn);
  });

  it('keeps what it has when nobody can give it pages, and takes redo all the time', async () => {
    for (const i of [0, 1]) {
      await cluster.stopDaemon(i);
      writer.drop(i);
    }
    await restartTail();
    await writer.connected(5);
    await writer.append([imageRecord(REL, 1, 1)], TAILS);
    await rounds(cluster, 5, 4);
    expect(await cluster.status(5)).toMatchObject({ phase: 'READY', standIn: undefined, scl: writer.end.lsn });
    expect(pageDirectories(cluster, 5)).toEqual([]);
  });
});
