import { afterEach, beforeEach, expect, it } from 'vitest';
import { LEASE_MS_MAX, storageLeaseMs } from '@kube-aurora/volume';
import { DEADLINE, SEGMENT, TestCluster } from '../testing/test-cluster.ts';

let cluster: TestCluster;
beforeEach(async () => {
  cluster = await TestCluster.start(1);
});
afterEach(() => cluster.stop());

/** The longest there is: nothing here waits for its end, and it must not come meanwhile. */
const LEASE_MS = LEASE_MS_MAX;

async function promised(epoch: bigint): Promise<{ readonly segment: typeof SEGMENT; readonly epoch: bigint; readonly writerId: string }> {
  const writerId = `w/${epoch}`;
  await cluster.client(0).openEpoch({ role: 'FULL', segment: SEGMENT, epoch, writerId, leaseMs: LEASE_MS }, DEADLINE);
  return { segment: SEGMENT, epoch, writerId };
}

/** Which leases a writer is told of, given one itself. */
async function others(writer: Awaited<ReturnType<typeof promised>>) {
  return (await cluster.client(0).renewLease({ ...writer, leaseMs: LEASE_MS }, DEADLINE)).others;
}

it('grants a lease to the writer that the segment obeys, and to no earlier one', async () => {
  const first = await promised(1n);
  await others(first);
  const second = await promised(2n);
  await expect(others(first)).rejects.toMatchObject({ code: 'FENCED' });
  await expect(others({ ...second, writerId: 'w/other' })).rejects.toMatchObject({ code: 'NOT_READY' });
  await expect(others({ ...second, epoch: 3n })).rejects.toMatchObject({ code: 'NOT_READY' });
  expect((await others(second)).filter(({ writerId }) => writerId === 'w/1')).toHaveLength(1);
});

it('tells the third writer of the first one’s lease too, and of what was given back', async () => {
  const first = await promised(1n);
  await others(first);
  const second = await promised(2n);
  await others(second);
  const third = await promised(3n);
  const named = async () => (await others(third)).filter(({ writerId }) => writerId !== '');
  expect((await named()).map(({ writerId, isGivenBack }) => [writerId, isGivenBack])).toEqual([
    ['w/1', false],
    ['w/2', false],
  ]);
  await cluster.client(0).giveBackLease({ ...first, reopens: false }, DEADLINE);
  expect(await named()).toMatchObject([
    { writerId: 'w/2', isGivenBack: false },
    { writerId: 'w/1', isGivenBack: true, remainingMs: 0 },
  ]);
});

it('forgets none over a restart: all that were noted count from the start anew, but for those given back', async () => {
  const first = await promised(1n);
  await others(first);
  await promised(2n);
  await cluster.stopDaemon(0);
  await cluster.startDaemon(0);
  const third = await promised(3n);
  const told = new Map((await others(third)).map(({ writerId, remainingMs }) => [writerId, remainingMs]));
  for (const writerId of ['w/1', 'w/2']) {
    expect(told.get(writerId)).toBeGreaterThan(0);
    expect(told.get(writerId)).toBeLessThanOrEqual(storageLeaseMs(LEASE_MS));
  }
  await cluster.client(0).giveBackLease({ ...third, reopens: false }, DEADLINE);
  await cluster.stopDaemon(0);
  await cluster.startDaemon(0);
  expect((await others(await promised(4n))).map(({ writerId }) => writerId)).not.toContain('w/3');
});

it('says that somebody may have one when its disk is new and its daemon has just started', async () => {
  const unknown = (await others(await promised(1n))).find(({ writerId }) => writerId === '');
  expect(unknown?.remainingMs).toBeGreaterThan(0);
  expect(unknown?.remainingMs).toBeLessThanOrEqual(storageLeaseMs(LEASE_MS_MAX));
});
