import { beforeEach, describe, expect, it } from 'vitest';
import { HOME_GROUP } from '../../compute-node/src/placement.ts';
import { DriverWorld, type Compute, type Writing } from './driver-world.ts';

const ALL = [0, 1, 2, 3, 4, 5];
let world: DriverWorld;
let compute: Compute;
let writer: Writing;

beforeEach(async () => {
  world = new DriverWorld();
  await world.importVolume();
  compute = world.compute();
  writer = await world.until(compute.write());
});

const sclOf = (index: number): bigint | undefined => world.state(index)?.scl;

describe('the write path', () => {
  it('makes flushed WAL durable on four segments and tells them the VDL', async () => {
    const records = [writer.insert(), writer.insert(20_000), writer.insert()];
    const outcome = await world.until(writer.flush());
    const end = records.at(-1)?.endLsn;
    expect(outcome).toEqual({ kind: 'durable', durableLsn: end });
    expect(ALL.filter((index) => sclOf(index) === end).length).toBeGreaterThanOrEqual(4);
    expect(writer.writePath.vdl).toBe(end);
    await world.holds(() => world.states().every((state) => state?.scl === end && state?.vdl === end));
  });

  it('acknowledges nothing with three down, and all of it when one is back', async () => {
    world.stop(0, 1, 2);
    writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 20_000)).toBe(false);
    world.start(1);
    expect(await world.until(flush)).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
  });

  it('goes on without those that hang: all are sent what the quorum is late with', async () => {
    // Two of the four that are sent redo first.
    world.hang(3000, 0, 2);
    for (let round = 0; round < 5; round++) {
      writer.insert();
      expect(await world.until(writer.flush(), 500)).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
    }
    expect(sclOf(0)).toBeLessThan(writer.wal.endLsn);
    await world.holds(() => ALL.every((index) => sclOf(index) === writer.wal.endLsn));
  });

  it('sends what was written before anybody asks for a flush, which then has nothing to wait for', async () => {
    for (let count = 0; count < 40; count++) writer.insert(4000);
    writer.writePath.wrote(writer.wal.writtenLsn);
    await world.holds(() => writer.writePath.vdl === writer.wal.endLsn);
    const { ringBytes } = writer.writePath;
    world.stop(...ALL);
    expect(await writer.flush()).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
    expect(writer.writePath.ringBytes).toBe(ringBytes);
  });

  it('has many batches on their way at once', async () => {
    writer.insert();
    await world.until(writer.flush());
    world.hang(3000, ...ALL);
    const { vdl } = writer.writePath;
    for (let round = 0; round < 6; round++) {
      for (let count = 0; count < 4; count++) writer.insert(4000);
      writer.writePath.wrote(writer.wal.writtenLsn);
    }
    expect(writer.writePath.vdl).toBe(vdl);
    expect(writer.writePath.sentLsn).toBe(writer.wal.endLsn);
    await world.holds(() => writer.writePath.vdl === writer.wal.endLsn);
  });

  it('reads what a flush is for after the flush came, also amid a pass that has read the last page', async () => {
    // So that the pass fills the ring, and what is read after it is sent later.
    writer.writePath.stop();
    writer = await world.until(compute.write(96 * 1024));
    world.hang(3000, ...ALL);
    for (let count = 0; count < 17; count++) writer.insert(6000);
    const before = writer.insert();
    writer.writePath.wrote(writer.wal.writtenLsn);
    expect(writer.writePath.sentLsn).toBeLessThan(before.lsn);
    const late = writer.insert();
    expect(late.lsn / 8192n).toBe((before.endLsn - 1n) / 8192n);
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: late.endLsn });
  });

  it('takes a word that comes late, twice or not at all', async () => {
    writer.insert();
    const early = writer.wal.writtenLsn;
    for (let count = 0; count < 3; count++) writer.insert(9000);
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
    for (const lsn of [early, writer.wal.writtenLsn, writer.wal.writtenLsn]) writer.writePath.wrote(lsn);
    writer.insert();
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: writer.wal.endLsn });
  });

  it('leaves out a record that is still being copied into the last page', async () => {
    const whole = writer.insert();
    const torn = writer.insert(60);
    writer.hole = { from: torn.lsn + 50n, to: torn.lsn + 58n };
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: whole.endLsn });
    writer.hole = undefined;
    expect(await world.until(writer.flush())).toEqual({ kind: 'durable', durableLsn: torn.endLsn });
  });

  it('never acknowledges WAL that is not what PostgreSQL said it wrote', async () => {
    const { lsn } = writer.insert(30_000);
    writer.insert(30_000);
    writer.hole = { from: lsn, to: writer.wal.writtenLsn };
    const before = writer.writePath.vdl;
    expect(await world.until(writer.flush())).toEqual({ kind: 'damaged' });
    expect(writer.damages).toHaveLength(1);
    // What came first stays the reason.
    writer.writePath.stop();
    expect(await world.until(writer.flush())).toEqual({ kind: 'damaged' });
    expect(await world.until(writer.writePath.appendFirst([]))).toEqual({ kind: 'damaged' });
    await world.pass(1000);
    // Some may not even have got what came before.
    for (const index of ALL) expect(sclOf(index)).toBeLessThanOrEqual(before);
  });

  it('fails everything that waits when another writer opens the volume', async () => {
    const second = await world.until(world.compute().opened());
    expect(second.epoch).toBe(writer.opened.epoch + 1n);
    writer.insert();
    expect(await world.until(writer.flush())).toEqual({ kind: 'fenced' });
    expect(writer.fences).not.toEqual([]);
    expect(await world.until(writer.flush())).toEqual({ kind: 'fenced' });
    await world.pass(1000);
    expect(world.states().every((state) => state?.scl === second.startLsn)).toBe(true);
  });

  it('that is stopped says so to those who wait, and is not fenced', async () => {
    world.stop(0, 1, 2);
    writer.insert();
    const flush = writer.flush();
    writer.writePath.stop();
    expect(await world.until(flush)).toEqual({ kind: 'stopped' });
    expect(writer.fences).toEqual([]);
    expect(writer.damages).toEqual([]);
  });

  it('tells a segment that is connected again a PGMRPL that later reads keep to', async () => {
    // Held down by a read until nothing more is to be announced.
    writer.oldestRead = writer.opened.startLsn;
    writer.insert();
    expect(await world.until(writer.flush())).toMatchObject({ kind: 'durable' });
    await world.holds(() => world.states().every((state) => state?.vdl === writer.writePath.vdl));
    expect(writer.writePath.readFloor).toBeLessThan(writer.writePath.vdl);
    writer.oldestRead = undefined;
    world.stop(0);
    world.start(0);
    await world.holds(() => world.state(0)?.pgmrpl === writer.writePath.vdl);
    expect(writer.writePath.readFloor).toBe(writer.writePath.vdl);
  });
});

it('a write path bounds its memory: a segment that fell off the ring comes back through its peers', async () => {
  const ringBytesMax = 96 * 1024;
  writer.writePath.stop();
  writer = await world.until(compute.write(ringBytesMax));
  const stoppedAt = sclOf(5);
  world.stop(5);
  for (let round = 0; round < 12; round++) {
    for (let count = 0; count < 8; count++) writer.insert(3000);
    expect(await world.until(writer.flush())).toMatchObject({ kind: 'durable' });
    expect(writer.writePath.ringBytes).toBeLessThan(1.5 * ringBytesMax);
  }
  // More than the ring ever held: only peers can give it that.
  expect(writer.wal.endLsn - (stoppedAt ?? 0n)).toBeGreaterThan(1.5 * ringBytesMax);
  world.start(5);
  await world.holds(() => writer.writePath.segment(HOME_GROUP, 5).phase === 'streaming');
  writer.insert();
  await world.until(writer.flush());
  await world.holds(() => sclOf(5) === writer.wal.endLsn);
});

describe('a write path whose flushes return when they are sent', () => {
  it('says how far they are promised before each of them, and how far they are durable after it; durable stays what a quorum holds', async () => {
    const { writePath } = writer;
    expect(() => writePath.returnFlushes('sent')).toThrow(RangeError);
    const told: { readonly durableLsn: bigint; readonly promisedLsn: bigint }[] = [];
    writePath.watch((points) => void told.push(points));
    writePath.returnFlushes('sent');
    world.stop(0, 1, 2);
    const before = writePath.vdl;
    const { endLsn } = writer.insert();
    expect(await world.until(writer.flush())).toEqual({ kind: 'sent', sentLsn: endLsn });
    expect(told.at(-1)).toEqual({ durableLsn: before, promisedLsn: endLsn });
    expect([writePath.promisedLsn, writePath.vdl]).toEqual([endLsn, before]);
    const durable = writePath.durable(endLsn);
    expect(await world.hasSettled(durable, 3000)).toBe(false);
    // From here on they wait for the quorum again, and what was promised goes on to be told.
    writePath.returnFlushes('durable');
    const second = writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 3000)).toBe(false);
    expect(told.at(-1)?.promisedLsn).toBe(endLsn);
    world.start(0);
    expect(await world.until(flush)).toMatchObject({ kind: 'durable' });
    expect(await world.until(durable)).toMatchObject({ kind: 'durable' });
    expect(told.at(-1)).toEqual({ durableLsn: second.endLsn, promisedLsn: endLsn });
    expect(writePath.promisedLsn).toBe(second.endLsn);
  });

  it('one that waits is answered when that is chosen, and whoever waits for durability hears of an end', async () => {
    const { writePath } = writer;
    world.stop(0, 1, 2);
    const { endLsn } = writer.insert();
    const flush = writer.flush();
    expect(await world.hasSettled(flush, 1000)).toBe(false);
    writePath.watch(() => undefined);
    writePath.returnFlushes('sent');
    expect(await world.until(flush)).toEqual({ kind: 'sent', sentLsn: endLsn });
    const durable = writePath.durable(endLsn);
    writePath.stop();
    expect(await world.until(durable)).toEqual({ kind: 'stopped' });
    expect(await world.until(writer.flush())).toEqual({ kind: 'stopped' });
  });
});
