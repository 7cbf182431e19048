import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { postgres18 } from '@kube-aurora/redo';
import { imageRecord, syntheticState, type ChainEnd } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TEST_LIMITS, type TestCluster, type TestWriter } from './testing/test-cluster.ts';
import { ALL, mixedVolume, page, pageDirectories, REL, rounds, segmentOf, TAILS } from './testing/mixed-cluster.ts';

/** Six daemons in this process: d0, d1 and d2 are full segments, d3, d4 and d5 the tails of their zones. */

const FULL = [0, 1, 2];

let cluster: TestCluster;
let base: ChainEnd;
let writer: TestWriter;

const checkpoint = (members: readonly number[]): Promise<void> => cluster.checkpointAt(members, writer.end);

/** Twenty batches, each of which fills a log file. */
async function write(members: readonly number[]): Promise<void> {
  for (let block = 0; block < 20; block++) await writer.append([imageRecord(REL, block, 50 + block), imageRecord(REL, 20, block)], members);
  writer.points(members);
}

const startOf = async (i: number): Promise<bigint> => (await cluster.status(i)).logStartLsn;

describe('a tail', () => {
  beforeEach(async () => {
    // Files of one batch and no retention: redo that nobody holds goes at once.
    ({ cluster, base, writer } = await mixedVolume({ ...TEST_LIMITS, logFileBytes: 16 * 1024, logRetainBytes: 0 }));
  });
  afterEach(async () => {
    writer.close();
    await cluster.stop();
  });

  it('keeps redo and no pages, and says so to whoever asks for one', async () => {
    await write(ALL);
    const { lsn } = writer.end;
    for (const i of TAILS) {
      expect(await cluster.until(i, ({ appliedLsn }) => appliedLsn === lsn)).toMatchObject({
        role: 'TAIL',
        phase: 'READY',
        scl: lsn,
        checkpointLsn: 0n,
        standIn: undefined,
      });
      await expect(cluster.page(i, page(3), lsn, 2n)).rejects.toMatchObject({ code: 'NO_PAGES' });
      expect(pageDirectories(cluster, i)).toEqual([]);
    }
    for (const i of FULL) expect(await cluster.page(i, page(3), lsn, 2n)).toBe(53);
  });

  it('lets redo go only once the pages of all three full segments have it', async () => {
    await write(ALL);
    await checkpoint([0, 1]);
    // So long that it would have dropped redo if it were to.
    await rounds(cluster, 3);
    expect(await startOf(3)).toBe(base.lsn);
    expect((await segmentOf(cluster, 3)).heldRedo).toContainEqual({ name: 'pages of d2', floorLsn: base.lsn, givesWay: false });
    await checkpoint([2]);
    await cluster.until(3, ({ logStartLsn }) => logStartLsn > base.lsn);
    // How far it is nothing but the log says: its last batch stays.
    const { scl, logStartLsn } = await cluster.status(3);
    expect([scl, logStartLsn < scl]).toEqual([writer.end.lsn, true]);
  });

  it('keeps redo for a full segment that is away, over a restart of its own', async () => {
    await cluster.stopDaemon(2);
    writer.drop(2);
    const others = ALL.filter((i) => i !== 2);
    await write(others);
    await checkpoint([0, 1]);
    await cluster.stopDaemon(3);
    writer.drop(3);
    await cluster.startDaemon(3);
    await cluster.reachable(3);
    await rounds(cluster, 3);
    await rounds(cluster, 4);
    for (const i of TAILS) expect(await startOf(i)).toBe(base.lsn);
    // Nobody else has it as redo any more.
    for (const i of [0, 1]) await cluster.until(i, ({ logStartLsn }) => logStartLsn > base.lsn);
    await cluster.startDaemon(2);
    const { lsn } = writer.end;
    await cluster.until(2, ({ scl }) => scl === lsn);
    writer.points([2]);
    await cluster.until(2, ({ appliedLsn }) => appliedLsn === lsn);
    expect((await cluster.daemon(2).metrics.repairs.get()).values).toContainEqual({ labels: { kind: 'copy' }, value: 0 });
    await checkpoint([2]);
    for (const i of TAILS) await cluster.until(i, ({ logStartLsn }) => logStartLsn > base.lsn);
  });

  it('that lost its disk begins where the longest log of its peers does, and promises nothing before it has what they have', async () => {
    await write(ALL);
    const { lsn } = writer.end;
    await cluster.stopDaemon(4);
    writer.drop(4);
    fs.rmSync(cluster.dataOf(4), { recursive: true });
    await cluster.startDaemon(4);
    const state = await cluster.until(4, ({ phase, scl }) => phase === 'READY' && scl === lsn);
    expect(state).toMatchObject({ role: 'TAIL', logStartLsn: base.lsn, epoch: 2n, recoverToLsn: 0n });
    expect((await segmentOf(cluster, 4)).control.recoverToLsn).toBe(lsn);
  });

  it('gives its redo to a full segment that lost its disk; the pages come from another full one', async () => {
    await write([0, 1, 3, 4, 5]);
    await checkpoint([0]);
    await cluster.stopDaemon(2);
    writer.drop(2);
    fs.rmSync(cluster.dataOf(2), { recursive: true });
    await cluster.startDaemon(2);
    const { lsn } = writer.end;
    await cluster.until(2, ({ phase, scl }) => phase === 'READY' && scl === lsn);
    writer.points([2]);
    expect(await cluster.page(2, page(7), lsn, 2n)).toBe(57);
    expect((await cluster.status(2)).role).toBe('FULL');
  });

  it('annuls all of its log, and knows after a restart how far it was', async () => {
    await write(ALL);
    await checkpoint(FULL);
    await cluster.until(3, ({ logStartLsn }) => logStartLsn > base.lsn);
    const agreed = writer.end;
    // Its log's one file begins where it is durable: an epoch that starts there leaves nothing of it.
    await writer.append([imageRecord(REL, 1, 99), imageRecord(REL, 2, 99)], [3]);
    writer.close();
    writer = await cluster.open(3n, 'w/2', agreed, writer.history, ALL);
    expect((await cluster.status(3)).scl).toBe(agreed.lsn);
    await cluster.stopDaemon(3);
    await cluster.startDaemon(3);
    await cluster.reachable(3);
    expect(await cluster.status(3)).toMatchObject({ scl: agreed.lsn, recoverToLsn: 0n, phase: 'READY' });
    await writer.append([imageRecord(REL, 1, 77)], ALL);
    expect((await cluster.status(3)).scl).toBe(writer.end.lsn);
  });

  it('is refused by who takes it for a full one, and the other way round', async () => {
    const refused = { code: 'REFUSED', message: expect.stringContaining('roles never change') };
    await expect(
      cluster.client(3).openEpoch({ segment: SEGMENT, epoch: 3n, writerId: 'w/x', role: 'FULL', leaseMs: 0 }, DEADLINE),
    ).rejects.toMatchObject(refused);
    await expect(
      cluster.client(0).openEpoch({ segment: SEGMENT, epoch: 3n, writerId: 'w/x', role: 'TAIL', leaseMs: 0 }, DEADLINE),
    ).rejects.toMatchObject(refused);
    const { encoded, baseLsn } = syntheticState(0x150_0028n);
    const begin = {
      segment: SEGMENT,
      epoch: 3n,
      baseLsn,
      systemIdentifier: 7n,
      volumeState: encoded,
      engine: postgres18.id,
      role: 'FULL',
    } as const;
    const { call, answer } = cluster.client(3).importBase(DEADLINE);
    call.write({ begin, pages: [], finish: true });
    await expect(answer).rejects.toMatchObject(refused);
    const stream = cluster.client(3).append();
    const error = new Promise((resolve) => stream.on('error', resolve));
    stream.write({
      hello: { segment: SEGMENT, epoch: 2n, writerId: 'w/1', history: writer.history, role: 'FULL' },
      batches: undefined,
      vdl: 0n,
      pgmrpl: 0n,
    });
    expect(await error).toMatchObject(refused);
  });

  it('is not given another role by a list that was changed: its daemon does not start', async () => {
    await cluster.stopDaemon(3);
    for (const one of cluster.list) one.role = 'FULL';
    await expect(cluster.startDaemon(3)).rejects.toThrow('this is a tail, and --peers (AURORA_PEERS) has it as a full segment');
  });
});
