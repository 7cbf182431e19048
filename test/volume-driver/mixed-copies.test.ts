import { describe, expect, it } from 'vitest';
import { importVolume } from '../../compute-node/src/bootstrap/import-volume.ts';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import { PageReader } from '../../compute-node/src/read-path/page-reader.ts';
import { RELATION, syntheticVolume } from '../simulation/synthetic-volume.ts';
import { DriverWorld, type Compute, type Writing } from './driver-world.ts';

/** A volume with mixed copies: 0, 2 and 4 are full segments, 1, 3 and 5 the tails of their zones. */

const ALL = [0, 1, 2, 3, 4, 5];
const FULL = [0, 2, 4];
const TAILS = [1, 3, 5];
const zoneOf = (index: number): number => index >> 1;

interface Running {
  readonly world: DriverWorld;
  readonly compute: Compute;
  readonly writer: Writing;
}

async function running(): Promise<Running> {
  const world = new DriverWorld(1, 'Mixed');
  await world.importVolume();
  const compute = world.compute();
  return { world, compute, writer: await world.until(compute.write()) };
}

/** Can pages be read as of all that was acknowledged? */
function read({ world, compute, writer }: Running): Promise<readonly Buffer[]> {
  const { clock, logger, zone } = compute.machine;
  const { vdl } = writer.writePath;
  const reader = new PageReader({
    segments: compute.segments,
    identity: compute.identity,
    epoch: writer.opened.epoch,
    zone,
    volume: { vdl, scl: () => vdl, readFloor: vdl },
    placement: SINGLE_GROUP,
    onFenced: () => undefined,
    onRead: () => undefined,
    onError: () => undefined,
    clock,
    logger,
  });
  return world.until(reader.read({ ...RELATION, block: 1, count: 2 }, vdl));
}

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
    const volume = await running();
    const { world, compute, writer } = volume;
    writer.insert();
    await world.until(writer.flush());
    world.stop(0, 2);
    await read(volume);
    expect(new Set(compute.asked.map(({ id }) => id))).not.toContain('d1');
    expect(compute.asked.at(-1)?.id).toBe('d4');
  });

  it('commits go on with the three full ones, with one of them and the tails, and not with three tails', async () => {
    const { world, writer } = await running();
    world.stop(...TAILS);
    writer.insert();
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
    world.start(...TAILS);
    world.stop(0, 2);
    writer.insert();
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
    world.stop(4);
    writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 20_000)).toBe(false);
    world.start(2);
    expect(await world.until(flush)).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
  });

  it('no writer opens the volume with one full segment and three tails; one does with two and two', async () => {
    const { world, writer } = await running();
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
    const volume = await running();
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
    await read(volume);
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
  const { world, writer } = await running();
  world.stop(2 * zone, 2 * zone + 1);
  writer.insert();
  expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
  expect((await world.until(world.compute().opened())).startLsn).toBe(writer.wal.endLsn);
});
