import { expect } from 'vitest';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import { PageReader, type PageReaderOptions } from '../../compute-node/src/read-path/page-reader.ts';
import { RELATION } from '../simulation/synthetic-volume.ts';
import { DriverWorld, type Compute, type Writing } from './driver-world.ts';

/** A volume with mixed copies: 0, 2 and 4 are full segments, 1, 3 and 5 the tails of their zones. */

export const ALL = [0, 1, 2, 3, 4, 5];
export const zoneOf = (index: number): number => index >> 1;

export interface Running {
  readonly world: DriverWorld;
  readonly compute: Compute;
  readonly writer: Writing;
}

/** `standInAfterMs`: when a tail stands in for its zone's full segment; never unless given. */
export async function runningMixed(standInAfterMs?: number): Promise<Running> {
  const world = new DriverWorld(1, 'Mixed', standInAfterMs);
  await world.importVolume();
  const compute = world.compute();
  return { world, compute, writer: await world.until(compute.write()) };
}

/** A commit, which is acknowledged. */
export async function commit({ world, writer }: Running): Promise<void> {
  writer.insert();
  expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
}

/** Can pages be read as of all that was acknowledged? */
export function readPages(
  { world, compute, writer }: Running,
  onError: PageReaderOptions['onError'] = () => undefined,
): Promise<readonly Buffer[]> {
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
    onError,
    clock,
    logger,
  });
  return world.until(reader.read({ ...RELATION, block: 1, count: 2 }, vdl));
}
