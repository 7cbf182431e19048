import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import type { SegmentApi, SegmentState, WriterSign } from '@kube-aurora/rpc';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { SegmentEndpoint } from '../segments.ts';
import type { WriterAddress } from '../postgres/lease-file.ts';
import { WriterFinder } from './writer-finder.ts';

/** What all segments say. */
let writer: { readonly epoch: bigint; readonly instance: string; readonly silentMs: number };
let asked: number;
let names: Map<string, string>;
let found: WriterAddress[];
let finder: WriterFinder;

beforeEach(() => {
  asked = 0;
  found = [];
  names = new Map([['demo-1.i', '10.0.0.1']]);
  writer = { epoch: 4n, instance: 'demo-1', silentMs: 10 };
  const segments: SegmentEndpoint[] = Array.from({ length: 6 }, (_, index) => ({
    index,
    id: `d${index}`,
    zone: `zone-${index >> 1}`,
    role: 'FULL',
    client: {
      status: () => {
        asked++;
        const { epoch, instance, silentMs } = writer;
        const seen = { epoch, writerId: `${instance}/a`, silentMs, promisedMs: 60_000, leaseGivenBack: false };
        return Promise.resolve({ epoch, writer: seen, followers: [] } as unknown as SegmentState);
      },
    } as unknown as SegmentApi,
  }));
  finder = new WriterFinder({
    segments,
    segment: { volumeId: 'v', pg: 0 },
    place: { tier: 1, failoverAfterMs: 2000 },
    addresses: { host: '*.i', port: 5432 },
    resolve: (name) => {
      const address = names.get(name);
      return address === undefined ? Promise.reject(new Error('no such name')) : Promise.resolve(address);
    },
    onFound: (address) => void found.push(address),
    clock: systemClock(),
    logger: silentLogger(),
  });
});
afterEach(() => finder.stop());

const note = (writerEpoch: bigint): void => finder.note({ writerEpoch, writerSilentMs: 0, writerGaveBack: false } satisfies WriterSign);

it('asks once for each epoch that a stream tells of, and tells each address once', async () => {
  note(4n);
  await expect.poll(() => found.length).toBe(1);
  note(4n);
  note(3n);
  expect(asked).toBe(6);
  writer = { epoch: 5n, instance: 'demo-2', silentMs: 10 };
  names.set('demo-2.i', '10.0.0.2');
  note(5n);
  await expect.poll(() => found.length).toBe(2);
  expect(found).toEqual([
    { host: '10.0.0.1', port: 5432 },
    { host: '10.0.0.2', port: 5432 },
  ]);
  // The same compute with another epoch is at the same place.
  writer = { ...writer, epoch: 6n };
  note(6n);
  await expect.poll(() => asked).toBe(18);
  expect(found).toHaveLength(2);
});

it('tells of nobody while the writer of that epoch is not heard, or its name has no address', async () => {
  writer = { ...writer, silentMs: 60_000 };
  note(4n);
  await expect.poll(() => asked).toBeGreaterThanOrEqual(12);
  expect(found).toEqual([]);
  names.delete('demo-1.i');
  writer = { ...writer, silentMs: 10 };
  const before = asked;
  await expect.poll(() => asked).toBeGreaterThan(before);
  expect(found).toEqual([]);
  names.set('demo-1.i', '10.0.0.9');
  await expect.poll(() => found.length).toBeGreaterThan(0);
  expect(found).toEqual([{ host: '10.0.0.9', port: 5432 }]);
});
