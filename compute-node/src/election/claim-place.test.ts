import { expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import type { SegmentApi, SegmentState, WriterSeen } from '@kube-aurora/rpc';
import type { SegmentEndpoint } from '../segments.ts';
import { claimPlace, type Claim } from './claim-place.ts';

/** What each segment says of its writer; undefined: nothing yet. 'away' does not answer. */
function claim(seen: readonly (WriterSeen | undefined | 'away')[], instance = 'demo-2'): Promise<Claim> {
  const segments: SegmentEndpoint[] = seen.map((writer, index) => ({
    index,
    id: `d${index}`,
    zone: `zone-${index >> 1}`,
    role: 'FULL',
    client: {
      status: () =>
        writer === 'away'
          ? Promise.reject(new Error('away'))
          : Promise.resolve({ epoch: writer?.epoch ?? 0n, writer, followers: [] } as unknown as SegmentState),
    } as unknown as SegmentApi,
  }));
  const segment = { volumeId: 'v', pg: 0 };
  const options = { segments, segment, place: { tier: 1, failoverAfterMs: 2000 }, instance, clock: systemClock(), logger: silentLogger() };
  return claimPlace(options, new AbortController().signal);
}

const heard = (silentMs: number, more: Partial<WriterSeen> = {}): WriterSeen => ({
  epoch: 4n,
  writerId: 'demo-1/a',
  silentMs,
  promisedMs: 60_000,
  leaseGivenBack: false,
  ...more,
});
const six = <T>(what: T): T[] => Array.from({ length: 6 }, () => what);

it('is of a writer that lives, and of one that is gone', async () => {
  const from = { epoch: 4n, writerId: 'demo-1/a', instance: 'demo-1' };
  expect(await claim(six(heard(10)))).toEqual({ kind: 'open', why: 'switchover', heldEpoch: 4n, from, goneForMs: 0 });
  expect(await claim(six(heard(9000)))).toEqual({ kind: 'open', why: 'silent', heldEpoch: 4n, from, goneForMs: 9000 });
  expect(await claim(six(heard(10, { leaseGivenBack: true })))).toMatchObject({ why: 'postgresDied' });
});

it('is refused, in words, where there is nothing to take or too few answer', async () => {
  const message = async (claimed: Promise<Claim>): Promise<string> => {
    const answer = await claimed;
    return answer.kind === 'refused' ? answer.message : 'not refused';
  };
  expect(await message(claim(six(heard(10)), 'demo-1'))).toBe('demo-1 is the writer, as storage has it');
  expect(await message(claim(six(undefined)))).toMatch(/has no writer yet/);
  expect(await message(claim([heard(10), heard(10), 'away', 'away', 'away', 'away']))).toBe(
    '2 of 6 storage daemons say who the writer is, 4 are needed to open the volume',
  );
  expect(
    await message(claim([heard(10), heard(10, { epoch: 5n, writerId: 'demo-3/b', promisedMs: 10 }), ...six(heard(9000)).slice(2)])),
  ).toMatch(/about to open the volume/);
});
