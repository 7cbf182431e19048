import { systemClock, type Clock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { AuroraRpcError, NO_XMINS, type SegmentApi, type StandbyXmins } from '@kube-aurora/rpc';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { homeSegment } from '../placement.ts';
import { WriterLease } from './writer-lease.ts';

/** What each segment has heard of readers; undefined: it does not answer. */
let heard: (StandbyXmins | undefined)[];
let now: number;
let asleep: (() => void)[];
let lease: WriterLease;

const clock: Clock = {
  ...systemClock(),
  now: () => now,
  after: () => ({ cancel: () => undefined }),
  sleep: () => new Promise((resolve) => asleep.push(resolve)),
};

beforeEach(() => {
  heard = Array.from({ length: 6 }, () => NO_XMINS);
  now = 1000;
  asleep = [];
  const segments = heard.map((_, index) => ({
    index,
    id: `d${index}`,
    zone: 'a',
    role: 'FULL' as const,
    client: {
      renewLease: () => {
        const xmins = heard[index];
        if (xmins === undefined) return Promise.reject(new AuroraRpcError('UNREACHABLE', 'away'));
        return Promise.resolve({ others: [], readersXmin: xmins.xmin, readersCatalogXmin: xmins.catalogXmin });
      },
    } as unknown as SegmentApi,
  }));
  const identity = { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'demo-1/x' };
  const options = { segments, identity, epoch: 3n, leaseMs: 2000, isDead: () => false, clock, logger: silentLogger() };
  lease = new WriterLease(options, { onPermit: () => undefined });
  lease.start();
});
afterEach(() => lease.stop());

/** Every segment is asked once more, so many milliseconds later. */
async function later(ms: number): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  now += ms;
  for (const wake of asleep.splice(0)) wake();
  await new Promise((resolve) => setImmediate(resolve));
}

it('has the lowest of what any segment says that readers may need, and forgets one that says nothing any more', async () => {
  await later(0);
  expect(lease.standbyXmins).toEqual(NO_XMINS);
  heard[2] = { xmin: 700n, catalogXmin: 0n };
  heard[4] = { xmin: 0x1_0000_0003n, catalogXmin: 650n };
  await later(500);
  expect(lease.standbyXmins).toEqual({ xmin: 700n, catalogXmin: 650n });
  // It is away, and with it what it alone has heard; not at once, for it may only be slow.
  heard[2] = undefined;
  await later(9_000);
  expect(lease.standbyXmins).toEqual({ xmin: 700n, catalogXmin: 650n });
  await later(2_000);
  expect(lease.standbyXmins).toEqual({ xmin: 0x1_0000_0003n, catalogXmin: 650n });
  heard[4] = NO_XMINS;
  await later(500);
  expect(lease.standbyXmins).toEqual(NO_XMINS);
});
