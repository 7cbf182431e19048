import { beforeEach, describe, expect, it } from 'vitest';
import type { SegmentState } from '@kube-aurora/rpc';
import type { OpenHindrance } from '../../compute-node/src/open/open-volume.ts';
import { syntheticVolume } from '../simulation/synthetic-volume.ts';
import { DriverWorld } from './driver-world.ts';

const { baseLsn } = syntheticVolume();
let world: DriverWorld;

describe('opening a volume', () => {
  beforeEach(async () => {
    world = new DriverWorld();
    await world.importVolume();
  });

  it('takes the next epoch at the highest LSN that counts, and tells all six', async () => {
    const volume = await world.until(world.compute().opened());
    expect(volume).toMatchObject({ epoch: 2n, startLsn: baseLsn, previousEpoch: 1n });
    await world.holds(() => world.states().every((state) => state?.history.length === 2));
  });

  it('works with a dead and a hanging daemon, without waiting long for either', async () => {
    world.stop(0);
    world.hang(600_000, 1);
    const { now } = world.world;
    expect((await world.until(world.compute().opened())).upToDate).toHaveLength(4);
    expect(world.world.now - now).toBeLessThan(1000);
  });

  it('waits while three are down, and goes on when one is back', async () => {
    world.stop(0, 1, 2);
    const opening = world.compute().opened();
    expect(await world.hasSettled(opening, 20_000)).toBe(false);
    world.start(2);
    expect((await world.until(opening)).startLsn).toBe(baseLsn);
  });

  it('says overtaken when another has a higher epoch than we ever held', async () => {
    expect((await world.until(world.compute().opened())).epoch).toBe(2n);
    expect(await world.until(world.compute().open({ heldEpoch: 1n }))).toEqual({ kind: 'overtaken' });
  });
});

describe('a compute that is not of this volume', () => {
  const table = [
    [
      'another engine',
      { engine: { engine: 'postgres', major: 19 } },
      'engineMismatch',
      'the volume is of PostgreSQL 19, and this compute runs PostgreSQL 18: ' +
        'start the compute of a release that runs PostgreSQL 19, or restore the data into a new volume',
    ],
    [
      'other copies',
      { role: 'TAIL' },
      'rolesMismatch',
      'd0 says that it is TAIL, and AURORA_STORAGE has it as FULL; roles never change: give the list that the volume was made with',
    ],
  ] as const;

  it.each(table)('leaves a volume of %s alone, and says what is wrong and what to do', async (_what, change, kind, message) => {
    world = new DriverWorld();
    await world.importVolume();
    const compute = world.compute();
    let says: Partial<SegmentState> = change;
    const segments = compute.segments.map((endpoint) => ({
      ...endpoint,
      client: {
        ...endpoint.client,
        status: async (...call: Parameters<typeof endpoint.client.status>) => ({ ...(await endpoint.client.status(...call)), ...says }),
      },
    }));
    const hindrances: (OpenHindrance | undefined)[] = [];
    const opening = compute.open({ segments, onWaiting: (hindrance) => void hindrances.push(hindrance) });
    expect(await world.hasSettled(opening, 20_000)).toBe(false);
    expect(hindrances.at(-1)).toEqual({ kind, message });
    // Whoever runs it is not fenced.
    expect(world.states().map((state) => state?.epoch)).toEqual([1n, 1n, 1n, 1n, 1n, 1n]);
    says = {};
    expect(await world.until(opening)).toMatchObject({ kind: 'opened' });
    expect(hindrances.at(-1)).toBeUndefined();
  });
});

it('says bootstrap when all are empty, and never again once the volume is there', async () => {
  world = new DriverWorld();
  expect(await world.until(world.compute().open())).toEqual({ kind: 'bootstrap', epoch: 1n });
  await world.importVolume();
  expect((await world.until(world.compute().opened())).epoch).toBeGreaterThan(1n);
});

describe('with two segments silent and the others empty', () => {
  beforeEach(async () => {
    world = new DriverWorld();
    await world.importVolume();
    world.stop(4, 5);
    world.wipe(0, 1, 2, 3);
    await world.pass(500);
  });

  it('waits for the two before it says bootstrap', async () => {
    const { now } = world.world;
    expect(await world.until(world.compute().open({ doubtMs: 700 }))).toMatchObject({ kind: 'bootstrap' });
    expect(world.world.now - now).toBeGreaterThan(700);
  });

  it('finds the volume when the two come back, of whom the others copy it', async () => {
    const reasons: string[] = [];
    const opening = world.compute().open({ doubtMs: 400_000, onWaiting: (hindrance) => void reasons.push(hindrance?.message ?? '') });
    await world.pass(500);
    expect(reasons.at(-1)).toContain('4 of 6 segments answered and are empty; the others may hold the volume');
    world.cutPeers();
    world.start(4, 5);
    await world.holds(() => reasons.some((reason) => reason.includes('hold the volume, 3 are needed')));
    world.network.heal();
    expect(await world.until(opening)).toMatchObject({ kind: 'opened', startLsn: baseLsn });
  });

  it('never says bootstrap for a volume that exists, and says what to do', async () => {
    const hindrances: (OpenHindrance | undefined)[] = [];
    const opening = world.compute().open({ volumeExists: true, doubtMs: 100, onWaiting: (hindrance) => void hindrances.push(hindrance) });
    expect(await world.hasSettled(opening, 20_000)).toBe(false);
    expect(hindrances.at(-1)?.kind).toBe('volumeMissing');
    expect(hindrances.at(-1)?.message).toMatch(
      /segments answered and all of them are empty, but this volume held a database.*Bring back.*AURORA_VOLUME_EXISTS=false/,
    );
    world.start(4, 5);
    expect(await world.until(opening)).toMatchObject({ kind: 'opened' });
  });
});
