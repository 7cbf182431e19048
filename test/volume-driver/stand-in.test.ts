import { describe, expect, it } from 'vitest';
import { ALL, commit, readPages, runningMixed, zoneOf, type Running } from './mixed-world.ts';

/** Mixed copies: 0, 2 and 4 are full segments, 1, 3 and 5 the tails of their zones. 0 is away for long, and 1 stands in for it. */

const AFTER_MS = 5000;

/** With redo before, while and after it begins to stand in. */
async function stoodIn(): Promise<Running> {
  const running = await runningMixed(AFTER_MS);
  const { world } = running;
  await commit(running);
  world.stop(0);
  await commit(running);
  await world.pass(AFTER_MS / 2);
  expect(world.state(1)?.standIn).toBeUndefined();
  await world.holds(() => world.state(1)?.standIn?.of === 'd0' && world.state(1)?.phase === 'READY');
  await commit(running);
  return running;
}

/** No tail but the one that stands in is asked, and that one has pages. */
function read(running: Running): Promise<readonly Buffer[]> {
  return readPages(running, (_segment, code) => expect(code).not.toBe('NO_PAGES'));
}

describe('a tail that stands in', () => {
  it('counts as a tail: commits take four, and no writer opens with one full segment', async () => {
    const running = await stoodIn();
    const { world, writer } = running;
    world.stop(3);
    await commit(running);
    // Two full ones, and the one that stands in for the third: were it counted as that, they would be enough.
    world.stop(5);
    writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 10_000)).toBe(false);
    world.start(3, 5);
    await world.until(flush);
    world.stop(2);
    await commit(running);
    const opening = world.compute().opened();
    expect(await world.hasSettled(opening, 10_000)).toBe(false);
    world.start(2);
    expect((await world.until(opening)).startLsn).toBe(writer.wal.endLsn);
  });

  it('is asked for pages only when no full segment gives them', async () => {
    const running = await stoodIn();
    const { world, compute } = running;
    await read(running);
    expect(new Set(compute.asked.map(({ id }) => id))).not.toContain('d1');
    world.stop(2, 4);
    await read(running);
    expect(compute.asked.at(-1)?.id).toBe('d1');
  });

  it('is a tail alone again once the full segment is back, with its disk or an empty one', async () => {
    for (const wiped of [false, true]) {
      const running = await stoodIn();
      const { world } = running;
      if (wiped) world.wipe(0);
      else world.start(0);
      await world.holds(() => world.states().every((state) => state?.phase === 'READY' && state.standIn === undefined));
      await commit(running);
      await world.holds(() => world.states().every((state) => state?.scl === running.writer.wal.endLsn));
      expect(world.states().map((state) => state?.role)).toEqual(['FULL', 'TAIL', 'FULL', 'TAIL', 'FULL', 'TAIL']);
    }
  });

  it('holds pages still when both come back', async () => {
    const running = await stoodIn();
    const { world } = running;
    world.stop(1);
    await world.pass(1000);
    world.start(0, 1);
    await world.holds(() => world.states().every((state) => state?.phase === 'READY' && state.standIn === undefined));
    await commit(running);
  });
});

/** A zone and one more, of which the full segment that is away is none: it may never come back with what it had. */
const LOSSES = [0, 1, 2].flatMap((zone) => ALL.filter((one) => zoneOf(one) !== zone && one !== 0).map((one) => ({ zone, one })));

describe('a full segment that was stood in for is lost for good', () => {
  it.each(LOSSES)('and with it the disks of zone $zone and of $one: nothing acknowledged is', async ({ zone, one }) => {
    const running = await stoodIn();
    const { world, writer } = running;
    const acknowledged = writer.writePath.vdl;
    const lost = ALL.filter((index) => index === 0 || zoneOf(index) === zone || index === one);
    world.lose(...lost);
    if (world.states().some((state) => state?.role === 'FULL' || state?.standIn !== undefined)) await read(running);
    world.start(...lost);
    expect((await world.until(world.compute().opened())).startLsn).toBeGreaterThanOrEqual(acknowledged);
    await world.holds(() => world.states().every((state) => state?.phase === 'READY' && state.scl >= acknowledged));
  });
});
