import { NEVER_PROMOTED, type FollowedRedo, type FollowHello, type SegmentState } from '@kube-aurora/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from './disk/system-disk.ts';
import { DEADLINE, SEGMENT, TestCluster } from './testing/test-cluster.ts';

/** What a segment tells computes of its writer, and of those that would take its place. */

const POLL = { interval: 5 };
const LEASE_MS = 2000;

let cluster: TestCluster;
let writes = 0;
beforeEach(async () => {
  cluster = await TestCluster.start(1);
});
afterEach(() => cluster.stop());

interface Holder {
  readonly segment: typeof SEGMENT;
  readonly epoch: bigint;
  readonly writerId: string;
}

async function promised(epoch: bigint, writerId = `demo-${epoch}/a`): Promise<Holder> {
  await cluster.client(0).openEpoch({ role: 'FULL', segment: SEGMENT, epoch, writerId, leaseMs: LEASE_MS }, DEADLINE);
  return { segment: SEGMENT, epoch, writerId };
}
const renew = (holder: Holder) => cluster.client(0).renewLease({ ...holder, leaseMs: LEASE_MS }, DEADLINE);
const giveBack = (holder: Holder, reopens = false) => cluster.client(0).giveBackLease({ ...holder, reopens }, DEADLINE);
const seen = async (): Promise<SegmentState['writer']> => (await cluster.status(0)).writer;

function follow(
  readerId: string,
  hello: Partial<FollowHello> = {},
  takenLsn = 0n,
): { readonly heard: FollowedRedo[]; say(lsn: bigint): void; cancel(): void } {
  const heard: FollowedRedo[] = [];
  const stream = cluster.client(0).follow();
  stream.on('data', (message) => heard.push(message));
  stream.on('error', () => undefined);
  stream.write({ hello: { segment: SEGMENT, readerId, wants: 'FLOOR', promotionTier: 1, ...hello }, takenLsn, readFloor: 1n });
  return {
    heard,
    say: (lsn) => void stream.write({ hello: undefined, takenLsn: lsn, readFloor: 1n }),
    cancel: () => stream.cancel(),
  };
}

async function volume(): Promise<{ readonly end: bigint }> {
  const base = await cluster.import(1n, [0]);
  return { end: base.lsn };
}

const pass = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe('the writer, as its segment saw it last', () => {
  it('is nobody before a promise, and then whoever has the highest', async () => {
    expect(await seen()).toBeUndefined();
    await promised(1n);
    expect(await seen()).toMatchObject({ epoch: 1n, writerId: 'demo-1/a', leaseGivenBack: false });
    await promised(3n);
    expect(await seen()).toMatchObject({ epoch: 3n, writerId: 'demo-3/a' });
  });

  it('is heard by its promise, a repeated one, its lease and its redo; others’ words count for nothing', async () => {
    await volume();
    const first = await promised(2n);
    const writer = await promised(4n);
    const silentAfter = async (what: () => Promise<unknown>): Promise<number> => {
      await pass(60);
      await what().catch(() => undefined);
      return (await seen())?.silentMs ?? Infinity;
    };
    // Each of these comes 60 ms after the word before: what counts as none adds to the silence.
    const unheard = await silentAfter(() => renew(first));
    expect(unheard).toBeGreaterThanOrEqual(55);
    expect(await silentAfter(() => renew({ ...writer, writerId: 'demo-9/z' }))).toBeGreaterThanOrEqual(unheard + 50);
    const before = Date.now();
    await renew(writer);
    expect((await seen())?.silentMs).toBeLessThanOrEqual(Date.now() - before + 5);
    for (const word of [() => renew(writer), () => promised(4n)]) {
      const from = Date.now();
      const silent = await silentAfter(word);
      // Less than the pause before it, on a machine that gives turns; never more than since it was said.
      expect(silent).toBeLessThanOrEqual(Date.now() - from - 50);
    }
  });

  it('its redo is a sign of life too', async () => {
    const base = await cluster.import(1n, [0]);
    const writer = await cluster.open(2n, 'demo-1/w', base, [{ epoch: 1n, startLsn: base.lsn }], [0]);
    await writer.connected(0);
    await pass(300);
    await expect
      .poll(async () => {
        writer.points([0]);
        return (await seen())?.silentMs;
      }, POLL)
      .toBeLessThan(200);
    writer.close();
  });

  it('is gone once it gives its lease back, unless it opens anew by itself', async () => {
    const writer = await promised(1n);
    await renew(writer);
    await giveBack(writer, true);
    expect(await seen()).toMatchObject({ leaseGivenBack: false });
    await giveBack(writer);
    expect(await seen()).toMatchObject({ epoch: 1n, leaseGivenBack: true });
    const next = await promised(2n);
    expect(await seen()).toMatchObject({ epoch: 2n, leaseGivenBack: false });
    // What the one before says late is none of its business.
    await giveBack(writer);
    expect(await seen()).toMatchObject({ epoch: 2n, leaseGivenBack: false });
    await giveBack(next);
    expect(await seen()).toMatchObject({ epoch: 2n, leaseGivenBack: true });
  });

  it('over a restart of the daemon silence counts from its start, and a lease that was given back stays so', async () => {
    const writer = await promised(1n);
    await renew(writer);
    await pass(300);
    await cluster.stopDaemon(0);
    const startedAt = Date.now();
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    const after = await seen();
    expect(after).toMatchObject({ epoch: 1n, writerId: 'demo-1/a', leaseGivenBack: false });
    expect(after?.silentMs).toBeLessThanOrEqual(Date.now() - startedAt);
    await giveBack(writer);
    await cluster.stopDaemon(0);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    expect(await seen()).toMatchObject({ epoch: 1n, leaseGivenBack: true });
  });

  it('costs no write to the disk', async () => {
    const disk = systemDisk();
    cluster.disks.set(0, {
      ...disk,
      openFile: (path, mode) => {
        writes++;
        return disk.openFile(path, mode);
      },
    });
    await cluster.stopDaemon(0);
    await cluster.startDaemon(0);
    await cluster.reachable(0);
    const writer = await promised(1n);
    await renew(writer);
    const before = writes;
    for (let count = 0; count < 20; count++) {
      await renew(writer);
      await promised(1n);
      await seen();
    }
    expect(writes).toBe(before);
  });
});

describe('those that follow it', () => {
  it('hear at once of a lease that is given back, and of a higher promise', async () => {
    await volume();
    const writer = await promised(2n);
    await renew(writer);
    const readers = [follow('demo-2/a'), follow('demo-3/b', { promotionTier: NEVER_PROMOTED })];
    await expect.poll(() => readers.map(({ heard }) => heard.length), POLL).toEqual([1, 1]);
    expect(readers[0]?.heard[0]).toMatchObject({ writerEpoch: 2n, writerGaveBack: false });
    // Nobody has said anything since, and nothing was asked: what comes now is pushed.
    await giveBack(writer);
    await expect.poll(() => readers.map(({ heard }) => heard.length), POLL).toEqual([2, 2]);
    for (const { heard } of readers) expect(heard[1]).toMatchObject({ writerEpoch: 2n, writerGaveBack: true, batches: undefined });
    await promised(3n);
    await expect.poll(() => readers.map(({ heard }) => heard.length), POLL).toEqual([3, 3]);
    for (const { heard } of readers) expect(heard[2]).toMatchObject({ writerEpoch: 3n, writerGaveBack: false });
    // The same again is no news.
    await promised(3n);
    await giveBack(writer);
    readers[0]?.say(5n);
    await expect.poll(() => readers.map(({ heard }) => heard.length), POLL).toEqual([4, 3]);
    for (const one of readers) one.cancel();
  });

  it('are named once each, with their tier, what they have taken, and when they were heard', async () => {
    const { end } = await volume();
    const streams = [
      follow('demo-2/a', { promotionTier: 0 }, end),
      follow('demo-2/a', { promotionTier: 0, wants: 'VDL' }, end),
      follow('demo-3/b', { promotionTier: NEVER_PROMOTED }),
    ];
    await expect.poll(async () => (await cluster.status(0)).followers.length, POLL).toBe(2);
    const { followers } = await cluster.status(0);
    expect(followers.toSorted((a, b) => (a.computeId < b.computeId ? -1 : 1))).toMatchObject([
      { computeId: 'demo-2/a', promotionTier: 0, takenLsn: end },
      { computeId: 'demo-3/b', promotionTier: NEVER_PROMOTED, takenLsn: 0n },
    ]);
    streams[2]?.say(end + 8n);
    await expect
      .poll(async () => (await cluster.status(0)).followers.find(({ computeId }) => computeId === 'demo-3/b')?.takenLsn, POLL)
      .toBe(end + 8n);
    for (const one of streams) one.cancel();
    await expect.poll(async () => (await cluster.status(0)).followers, POLL).toEqual([]);
  });
});
