import { describe, expect, it } from 'vitest';
import { importVolume } from '../../compute-node/src/bootstrap/import-volume.ts';
import { syntheticVolume } from '../simulation/synthetic-volume.ts';
import { DriverWorld } from './driver-world.ts';
import { ALL, commit, readPages, runningMixed, zoneOf } from './mixed-world.ts';

/** A volume with mixed copies: 0, 2 and 4 are full segments, 1, 3 and 5 the tails of their zones. */

const FULL = [0, 2, 4];
const TAILS = [1, 3, 5];

describe('mixed copies', () => {
  it('a tail is imported after a full segment', async () => {
    const world = new DriverWorld(1, 'Mixed');
    const compute = world.compute();
    const outcome = await world.until(compute.open());
    if (outcome.kind !== 'bootstrap') throw new Error(`not to be bootstrapped: ${outcome.kind}`);
    const { segments, identity, machine } = compute;
    const { clock, logger } = machine;
    // The full ones take all of it and never say so.
    const deaf = segments.map((endpoint) => {
      const { client } = endpoint;
      const importBase: typeof client.importBase = (options) => ({
        ...client.importBase(options),
        answer: Promise.reject(new Error('lost')),
      });
      return endpoint.role === 'TAIL' ? endpoint : { ...endpoint, client: { ...client, importBase } };
    });
    const importing = importVolume({ segments: deaf, identity, epoch: outcome.epoch, content: syntheticVolume(), clock, logger });
    await expect(world.until(importing)).rejects.toThrow('segments');
    for (const index of TAILS) expect(world.state(index)?.phase).toBe('EMPTY');
  });

  it('pages are asked of full segments alone', async () => {
    const volume = await runningMixed();
    const { world, compute, writer } = volume;
    writer.insert();
    await world.until(writer.flush());
    world.stop(0, 2);
    await readPages(volume);
    expect(new Set(compute.asked.map(({ id }) => id))).not.toContain('d1');
    expect(compute.asked.at(-1)?.id).toBe('d4');
  });

  it('commits go on with the three full ones, with one of them and the tails, and not with three tails', async () => {
    const volume = await runningMixed();
    const { world, writer } = volume;
    world.stop(...TAILS);
    await commit(volume);
    world.start(...TAILS);
    world.stop(0, 2);
    await commit(volume);
    world.stop(4);
    writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 20_000)).toBe(false);
    world.start(2);
    expect(await world.until(flush)).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
  });

  it('no writer opens the volume with one full segment and three tails; one does with two and two', async () => {
    const { world, writer } = await runningMixed();
    writer.insert();
    await world.until(writer.flush());
    world.stop(0, 2);
    const opening = world.compute().opened();
    expect(await world.hasSettled(opening, 20_000)).toBe(false);
    world.start(0);
    world.stop(1);
    expect((await world.until(opening)).startLsn).toBe(writer.wal.endLsn);
  });
});

/** Who had the last commit when it was acknowledged: a write quorum, and no more. */
const ACKNOWLEDGED = [
  ['the three full segments', FULL],
  ['full 0 and the tails', [0, ...TAILS]],
  ['two of each', [0, 1, 2, 3]],
] as const;
const LOSSES = [0, 1, 2].flatMap((zone) => ALL.filter((one) => zoneOf(one) !== zone).map((one) => ({ zone, one })));

describe.each(ACKNOWLEDGED)('a commit that %s have', (_who, quorum) => {
  it.each(LOSSES)('outlives the disks of zone $zone and of $one', async ({ zone, one }) => {
    const volume = await runningMixed();
    const { world, writer } = volume;
    const others = ALL.filter((index) => !quorum.some((member) => member === index));
    world.stop(...others);
    writer.insert();
    await world.until(writer.flush());
    const acknowledged = writer.writePath.vdl;
    const lost = ALL.filter((index) => zoneOf(index) === zone || index === one);
    world.lose(...lost);
    world.start(...others.filter((index) => !lost.includes(index)));
    // Three are left: pages can be read, with redo from tails where the full one lacks it; no commit is acknowledged,
    // and nobody opens.
    await readPages(volume);
    writer.insert();
    expect(await world.hasSettled(writer.flush(), 5000)).toBe(false);
    const opening = world.compute().opened();
    expect(await world.hasSettled(opening, 5000)).toBe(false);
    // Empty disks in their place: they are copied, and the next writer goes on from there.
    world.start(...lost);
    expect((await world.until(opening)).startLsn).toBeGreaterThanOrEqual(acknowledged);
    await world.holds(() => world.states().every((state) => state?.phase === 'READY' && state.scl >= acknowledged));
  });
});

it.each([0, 1, 2])('commits go on, and a writer opens, without zone %i', async (zone) => {
  const volume = await runningMixed();
  const { world, writer } = volume;
  world.stop(2 * zone, 2 * zone + 1);
  await commit(volume);
  expect((await world.until(world.compute().opened())).startLsn).toBe(writer.wal.endLsn);
});
