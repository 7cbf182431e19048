import { systemClock } from '@kube-aurora/clock';
import fs from 'node:fs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addPeerService, AuroraRpcError, createServer, listen, PeerClient, type PeerApi, type SegmentState } from '@kube-aurora/rpc';
import { StoredValueError } from '../pages/stored-value.ts';
import { imageRecord, syntheticRecord, type ChainEnd } from '../testing/synthetic-records.ts';
import { DEADLINE, SEGMENT, TEST_LIMITS, TestCluster, VOLUME, type TestWriter } from '../testing/test-cluster.ts';
import type { Segment } from '../segment/segment.ts';
import { copyFromPeer } from './copy-segment.ts';
import { fetchMissingRedo } from './fill-gaps.ts';

/** Six daemons in this process over real gRPC: what they do for each other without a compute's help. */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2, 3, 4, 5];
const page = (block: number): typeof REL & { block: number } => ({ ...REL, block });
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let cluster: TestCluster;
let base: ChainEnd;
let writer: TestWriter;

function segmentOf(i: number): Promise<Segment> {
  return cluster.daemon(i).segment(VOLUME, 0);
}

async function loseDisk(i: number): Promise<void> {
  await cluster.stopDaemon(i);
  writer.drop(i);
  fs.rmSync(cluster.dataOf(i), { recursive: true });
}

describe('peers', () => {
  beforeEach(async () => {
    // Files of one batch and no retention: redo before a checkpoint goes at once.
    cluster = await TestCluster.start(6, { ...TEST_LIMITS, logFileBytes: 16 * 1024, logRetainBytes: 0 });
    base = await cluster.import(1n, ALL, [{ page: page(0), fill: 9 }]);
    writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
  });
  afterEach(async () => {
    writer.close();
    await cluster.stop();
  });

  it('level a segment that the writer leaves out, without being asked', async () => {
    for (let i = 0; i < 10; i++) await writer.append([imageRecord(REL, i, 50 + i)], [0, 1, 2, 3]);
    writer.points([0, 1, 2, 3]);
    const { lsn } = writer.end;
    for (const i of [4, 5]) await cluster.until(i, (state) => state.scl === lsn && state.appliedLsn === lsn);
    expect(await cluster.page(5, page(3), lsn, 2n)).toBe(53);
  });

  it('spread a new epoch’s history: annulled redo goes, and none comes in', async () => {
    await writer.append([imageRecord(REL, 1, 1)], ALL);
    const agreed = writer.end;
    writer.points(ALL);
    // Only d4 and d5 get this; the next opener reaches the four others.
    await writer.append([imageRecord(REL, 1, 2)], [4, 5]);
    const annulled = writer.end.lsn;
    await cluster.stopDaemon(4);
    await cluster.stopDaemon(5);
    for (const i of [4, 5]) writer.drop(i);
    const next = await cluster.open(3n, 'w/2', { lsn: agreed.lsn, epoch: 2n }, writer.history, [0, 1, 2, 3]);
    await next.append([imageRecord(REL, 1, 3), syntheticRecord(40)], [0, 1, 2, 3]);
    next.points([0, 1, 2, 3]);
    await cluster.startDaemon(4);
    await cluster.startDaemon(5);
    for (const i of [4, 5]) {
      const state = await cluster.until(i, (one) => one.scl === next.end.lsn);
      expect(state.history).toEqual(next.history);
      expect(state.epoch).toBe(3n);
      expect(await cluster.page(i, page(1), next.end.lsn, 3n)).toBe(3);
    }
    expect(next.end.lsn).not.toBe(annulled);
    for (const i of [0, 1, 2, 3]) expect((await cluster.status(i)).lastBatchEpoch).toBe(3n);
    next.close();
  });

  it('are not believed a VDL before redo is annulled by its history', async () => {
    await writer.append([imageRecord(REL, 1, 1)], [0]);
    const agreed = writer.end.lsn;
    await writer.append([imageRecord(REL, 1, 2)], [0]);
    const segment = await segmentOf(0);
    // It came with the second batch, and a segment need not act on it at once.
    await cluster.until(0, ({ vdl }) => vdl === agreed);
    const history = [...writer.history, { epoch: 3n, startLsn: agreed }];
    const installed = segment.takeHistory(history);
    // While the control file is being written, another one says the same, and where the volume's VDL is.
    for (let turn = 0; turn < 20 && segment.control.history.at(-1)?.epoch !== 3n; turn++) await Promise.resolve();
    expect(segment.control.history.at(-1)?.epoch).toBe(3n);
    segment.noteVdl(writer.end.lsn + 80n, 3n);
    segment.noteReadFloor('w/3', writer.end.lsn + 80n, 3n);
    await installed;
    segment.pages?.expediteTo(agreed);
    await segment.until(() => segment.state().appliedLsn >= agreed, systemClock().now() + 30_000);
    expect(segment.state()).toMatchObject({ phase: 'READY', scl: agreed, appliedLsn: agreed, vdl: agreed });
  });

  it('takes what it lost for never durable only on the word of three that follow a later writer', async () => {
    await writer.append([imageRecord(REL, 0, 60)], ALL);
    const segment = await segmentOf(0);
    const source = new PeerClient(cluster.list[1]?.address ?? '', systemClock());
    try {
      const lost = writer.end.lsn + 80n;
      const terms = { recoverToLsn: lost, epoch: 0n, history: [] };
      await copyFromPeer(segment, { role: 'FULL', id: 'd1', client: source }, terms, systemClock(), new AbortController().signal);
      await cluster.until(0, (state) => state.scl === writer.end.lsn);
      // All of them lack it, and may have it yet: its writer lives, and counts what was acknowledged here.
      const { gossip } = cluster.daemon(0).peers;
      await gossip.askAll(segment);
      await gossip.askAll(segment);
      expect(segment.mustRecover).toBe(true);
      for (const i of [1, 2, 3]) await (await segmentOf(i)).openEpoch(9n, 'w/9');
      await gossip.askAll(segment);
      await cluster.until(0, () => !segment.mustRecover);
    } finally {
      source.close();
    }
  });

  it('bring back two lost disks only on the word of three, with what those hold to recover', async () => {
    await writer.append([imageRecord(REL, 0, 60)], ALL);
    for (const i of [2, 3]) await cluster.stopDaemon(i);
    for (let i = 1; i < 6; i++) await writer.append([imageRecord(REL, i, 60 + i)], [0, 1, 4, 5]);
    writer.points([0, 1, 4, 5]);
    // Acknowledged on d0, d1, d4, d5. d4 and d5 lose their disks, d0 and d1 are away: only two that are behind are
    // left.
    for (const i of [4, 5]) await loseDisk(i);
    for (const i of [0, 1]) await cluster.stopDaemon(i);
    for (const i of [2, 3, 4, 5]) await cluster.startDaemon(i);
    // They hear of the volume from d2 and d3, and ask those; with the two of them nothing is proven.
    const waitsForThree = (i: number): boolean =>
      [...cluster.daemon(i).segments].some((segment) => /needs 3/.test(cluster.daemon(i).peers.waitingFor(segment)));
    for (const i of [4, 5]) await cluster.until(i, (state) => waitsForThree(i) && state.phase === 'EMPTY');
    await cluster.startDaemon(0);
    const { lsn } = writer.end;
    for (const i of [4, 5]) {
      await cluster.until(i, (state) => state.phase === 'READY' && state.scl === lsn && state.fault === undefined);
      expect((await segmentOf(i)).control.recoverToLsn).toBe(lsn);
      expect(await cluster.page(i, page(5), lsn, 2n)).toBe(65);
    }
  });

  it('start a copy over that died half way, or was damaged on the way; the segment is as before meanwhile', async () => {
    for (let i = 0; i < 60; i++) await writer.append([imageRecord(REL, i, 100 + i)], ALL);
    const { lsn } = writer.end;
    writer.points(ALL);
    await cluster.until(0, (state) => state.vdl === lsn);
    await cluster.checkpointAt([0], writer.end);
    await writer.append([imageRecord(REL, 60, 160)], ALL);
    const source = new PeerClient(cluster.list[0]?.address ?? '', systemClock());
    let relayed: 'half' | 'damaged' = 'half';
    const relay = createServer();
    addPeerService(
      relay,
      {
        gossip: (request) => source.gossip(request, DEADLINE),
        fetchRedo: (request) => source.fetchRedo(request, DEADLINE),
        getPeerPage: (request) => source.getPeerPage(request, DEADLINE),
        async *copySegment(request) {
          for await (const chunk of source.copySegment(request, DEADLINE)) {
            if (relayed === 'damaged') chunk.values[3]?.value.fill(1, 100, 101);
            yield chunk;
            if (relayed === 'half') throw new AuroraRpcError('INTERNAL', 'the relay died');
          }
        },
      },
      systemClock(),
    );
    const client = new PeerClient(`127.0.0.1:${await listen(relay, '127.0.0.1:0')}`, systemClock());
    const other = await TestCluster.start(1);
    try {
      const segment = await other.daemon(0).segment(VOLUME, 0);
      const copy = (from: PeerClient): Promise<number> =>
        copyFromPeer(
          segment,
          { role: 'FULL', id: 'x', client: from },
          { recoverToLsn: writer.end.lsn, epoch: 0n, history: [] },
          systemClock(),
          new AbortController().signal,
        );
      await expect(copy(client)).rejects.toThrow('the relay died');
      expect(segment.phase).toBe('EMPTY');
      relayed = 'damaged';
      await expect(copy(client)).rejects.toBeInstanceOf(StoredValueError);
      expect(segment.phase).toBe('EMPTY');
      expect(await copy(source)).toBeGreaterThan(50 * 8192);
      expect(segment.phase).toBe('READY');
      expect(segment.control.history).toEqual(writer.history);
      // It stands at the checkpoint, and promises nothing before it has what it lost.
      await expect(segment.openEpoch(9n, 'w/9')).rejects.toMatchObject({ code: 'NOT_READY' });
      await fetchMissingRedo(segment, { role: 'FULL', id: 'x', client: source }, systemClock(), new AbortController().signal);
      expect(segment.scl).toBe(writer.end.lsn);
      expect(segment.mustRecover).toBe(false);
      expect(await other.page(0, page(60), writer.end.lsn, 2n)).toBe(160);
    } finally {
      client.close();
      source.close();
      relay.forceShutdown();
      await other.stop();
    }
  });

  it('a promise that was given while a copy came is kept', async () => {
    await writer.append([imageRecord(REL, 1, 101)], ALL);
    const source = new PeerClient(cluster.list[0]?.address ?? '', systemClock());
    const other = await TestCluster.start(1);
    try {
      const segment = await other.daemon(0).segment(VOLUME, 0);
      const slow: PeerApi = {
        gossip: (...call) => source.gossip(...call),
        fetchRedo: (...call) => source.fetchRedo(...call),
        getPeerPage: (...call) => source.getPeerPage(...call),
        async *copySegment(...call) {
          for await (const chunk of source.copySegment(...call)) {
            yield chunk;
            await segment.openEpoch(7n, 'w/7');
          }
        },
        close: () => undefined,
      };
      await copyFromPeer(
        segment,
        { role: 'FULL', id: 'x', client: slow },
        { recoverToLsn: 0n, epoch: 0n, history: [] },
        systemClock(),
        new AbortController().signal,
      );
      expect(segment.phase).toBe('READY');
      expect(segment.control).toMatchObject({ epoch: 7n, writerId: 'w/7', history: writer.history });
      await expect(segment.openEpoch(7n, 'w/8')).rejects.toMatchObject({ code: 'EPOCH_TAKEN' });
      await expect(segment.openEpoch(6n, 'w/6')).rejects.toMatchObject({ code: 'FENCED' });
    } finally {
      source.close();
      await other.stop();
    }
  });

  it('a writer whose epoch is over by what a copy brought is told so, and has nothing more acknowledged', async () => {
    await writer.append([imageRecord(REL, 1, 101)], ALL);
    const source = new PeerClient(cluster.list[0]?.address ?? '', systemClock());
    const other = await TestCluster.start(1);
    try {
      const segment = await other.daemon(0).segment(VOLUME, 0);
      const copy = (epoch: bigint): Promise<unknown> =>
        copyFromPeer(
          segment,
          { role: 'FULL', id: 'x', client: source },
          { recoverToLsn: 0n, epoch, history: [] },
          systemClock(),
          new AbortController().signal,
        );
      await copy(0n);
      const told: string[] = [];
      const session = {
        epoch: segment.control.epoch,
        acknowledge: (scl: bigint) => told.push(`acknowledged ${scl}`),
        fence: (epoch: bigint) => told.push(`fenced by ${epoch}`),
        close: () => undefined,
      };
      await segment.attach(session, segment.control.writerId, writer.history);
      told.length = 0;
      await copy(9n);
      expect(segment.control.epoch).toBe(9n);
      expect(told).toEqual(['fenced by 9']);
    } finally {
      source.close();
      await other.stop();
    }
  });

  it('copy a segment that fell behind what its peers keep', async () => {
    await cluster.stopDaemon(5);
    writer.drop(5);
    for (let i = 0; i < 12; i++) await writer.append([imageRecord(REL, i, 70 + i)], [0, 1, 2, 3, 4]);
    writer.points([0, 1, 2, 3, 4]);
    // Nothing is kept for a peer that is behind by more than the retention.
    await cluster.checkpointAt([0, 1, 2, 3, 4], writer.end);
    for (const i of [0, 1, 2, 3, 4]) await cluster.until(i, (state) => state.logStartLsn > base.lsn);
    await cluster.startDaemon(5);
    const { lsn } = writer.end;
    await cluster.until(5, (state) => state.phase === 'READY' && state.scl === lsn);
    expect(await cluster.page(5, page(11), lsn, 2n)).toBe(81);
    expect(await cluster.daemon(5).metrics.registry.metrics()).toContain('aurora_storage_repairs_total{kind="copy"} 1');
  });

  it('refuse redo at the wrong epoch, redo that is gone, redo that is not there yet', async () => {
    await writer.append([syntheticRecord(8)], ALL);
    const client = new PeerClient(cluster.list[0]?.address ?? '', systemClock());
    const fetch = async (fromLsn: bigint, fromEpoch: bigint): Promise<number> => {
      let bytes = 0;
      for await (const { batches } of client.fetchRedo({ segment: SEGMENT, fromLsn, fromEpoch, toLsn: 0n }, DEADLINE))
        bytes += batches.length;
      return bytes;
    };
    expect(await fetch(base.lsn, 1n)).toBeGreaterThan(64);
    expect(await fetch(writer.end.lsn, 2n)).toBe(0);
    await expect(fetch(base.lsn, 2n)).rejects.toMatchObject({ code: 'INVALID' });
    await expect(fetch(base.lsn - 8n, 1n)).rejects.toMatchObject({ code: 'TOO_OLD' });
    await expect(fetch(writer.end.lsn + 8n, 2n)).rejects.toMatchObject({ code: 'BEHIND' });
    await expect(client.getPeerPage({ segment: SEGMENT, key: Buffer.alloc(3), lsn: 1n }, DEADLINE)).rejects.toMatchObject({
      code: 'INVALID',
    });
    client.close();
  });

  it('talk little when nothing happens', async () => {
    const { lsn } = writer.end;
    for (const i of ALL) await cluster.until(i, (state: SegmentState) => state.scl === lsn);
    await pause(2000);
    const from = performance.now();
    const before = ALL.map((i) => cluster.daemon(i).peers.gossip.calls);
    await pause(3000);
    const seconds = (performance.now() - from) / 1000;
    const calls = ALL.reduce((sum, i) => sum + cluster.daemon(i).peers.gossip.calls - (before[i] ?? 0), 0);
    // Fifteen pairs, a call every five seconds or so each; three seconds are more where a process waits for its turn.
    expect(calls).toBeLessThanOrEqual((20 / 3) * seconds);
  });
});
