import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import {
  RMGR,
  WAL_SEGMENT_BYTES,
  WalPageWriter,
  buildRecord,
  lsn,
  offsetInSegment,
  walSegmentFileName,
  type Lsn,
  type StreamRecord,
} from '@kube-aurora/pg-format';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { PLAIN_TEXT } from '@kube-aurora/rpc';
import { recordsOf } from '@kube-aurora/volume';
import { openVolume, type OpenOutcome, type OpenedVolume } from './open/open-volume.ts';
import { HOME_GROUP, SINGLE_GROUP, homeSegment } from './placement.ts';
import { PageReader } from './read-path/page-reader.ts';
import { connectSegments, type SegmentEndpoint, type WriterIdentity } from './segments.ts';
import { startFakeSegments, type FakeSegment } from './testing/fake-segment.ts';
import { LocalWal } from './write-path/local-wal.ts';
import { WritePath } from './write-path/write-path.ts';

const BASE = lsn(WAL_SEGMENT_BYTES + 8192 * 3 + 1024);
const SYSTEM = 42n;
const VOLUME = 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11';

/** What PostgreSQL does: records into WAL pages, pages into a file, whole pages at a time. */
class FakePostgres {
  readonly directory = mkdtempSync(join(tmpdir(), 'ka-wal-'));
  readonly writer: WalPageWriter;
  prev: Lsn;

  constructor(startLsn: Lsn, prev: Lsn) {
    this.writer = new WalPageWriter({ systemIdentifier: SYSTEM, timeline: 1, startLsn });
    this.prev = prev;
  }

  insert(bytes = 40): StreamRecord {
    const raw = buildRecord({ rmid: RMGR.XLOG, info: 0x20, xid: 0, prev: this.prev, mainData: Buffer.alloc(bytes, 7) });
    const place = this.writer.append(raw);
    this.prev = place.lsn;
    return { ...place, raw };
  }

  /** Writes what was inserted; gives writtenLsn as the shim reports it. */
  write(): bigint {
    const file = Buffer.alloc(WAL_SEGMENT_BYTES);
    let written = 0n;
    for (const page of this.writer.pages()) {
      page.bytes.copy(file, offsetInSegment(page.lsn));
      written = page.lsn + 8192n;
    }
    writeFileSync(join(this.directory, walSegmentFileName(1, BASE)), file);
    return written;
  }
}

let fakes: FakeSegment[];
/** LSN of a page read under way, as the write path hears of it. */
let oldestRead: bigint | undefined;
let endpoints: SegmentEndpoint[];
const cleanups: (() => void)[] = [];
const identity = (writerId: string): WriterIdentity => ({ segment: homeSegment(VOLUME), writerId });

beforeEach(async () => {
  oldestRead = undefined;
  fakes = await startFakeSegments(BASE);
  const list = fakes.map(({ id, address }, index) => ({ id, zone: `z${index >> 1}`, address }));
  endpoints = connectSegments(list, PLAIN_TEXT);
});
afterEach(() => {
  for (const cleanup of cleanups.splice(0).toReversed()) cleanup();
  for (const { client } of endpoints) client.close();
  for (const fake of fakes) fake.stop();
});

function open(
  writerId = 'w',
  heldEpoch?: bigint,
  signal = AbortSignal.timeout(5000),
  newness: { volumeExists?: boolean; doubtMs?: number; onWaiting?: (reason: string) => void } = {},
): Promise<OpenOutcome> {
  return openVolume({
    segments: endpoints,
    identity: identity(writerId),
    heldEpoch,
    clock: systemClock(),
    logger: silentLogger(),
    signal,
    volumeExists: false,
    onWaiting: () => undefined,
    ...newness,
  });
}

async function opened(writerId = 'w'): Promise<OpenedVolume> {
  const outcome = await open(writerId);
  if (outcome.kind !== 'opened') throw new Error(`not opened: ${outcome.kind}`);
  return outcome;
}

/** A write path on an opened volume, with its first batch durable, fed by a pretended PostgreSQL. */
async function startWriter(writerId = 'w', ringBytesMax = 8 * 1024 * 1024) {
  const volume = await opened(writerId);
  const onFenced = vi.fn();
  const onDamagedWal = vi.fn();
  const writePath = new WritePath({
    segments: endpoints,
    identity: identity(writerId),
    epoch: volume.epoch,
    history: volume.history,
    startLsn: volume.startLsn,
    previousEpoch: volume.previousEpoch,
    ringBytesMax,
    placement: SINGLE_GROUP,
    oldestRead: () => oldestRead,
    onFenced,
    onDamagedWal,
    onFlushed: () => undefined,
    clock: systemClock(),
    logger: silentLogger(),
  });
  const postgres = new FakePostgres(lsn(volume.startLsn), lsn(BASE - 1000n));
  const wal = new LocalWal(postgres.directory, 1);
  cleanups.push(() => {
    writePath.stop();
    wal.close();
    rmSync(postgres.directory, { recursive: true, force: true });
  });
  writePath.start();
  const first = postgres.insert();
  expect(await writePath.appendFirst([first])).toMatchObject({ kind: 'durable' });
  writePath.follow(wal, first.lsn, SYSTEM);
  return { volume, writePath, postgres, onFenced, onDamagedWal };
}

const settled = async (promise: Promise<unknown>, ms: number): Promise<boolean> => {
  let done = false;
  void promise.then(() => (done = true));
  await new Promise((resolve) => setTimeout(resolve, ms));
  return done;
};
const lsnsOf = (fake: FakeSegment): bigint[] => fake.batches.flatMap((batch) => [...recordsOf(batch)].map((record) => record.lsn));

describe('opening', () => {
  it('takes the next epoch at the highest LSN that counts', async () => {
    const volume = await opened();
    expect(volume).toMatchObject({ epoch: 2n, startLsn: BASE, previousEpoch: 1n });
    expect(fakes.every((fake) => fake.history.length === 2)).toBe(true);
  });

  it('works with a dead and a hanging daemon, without waiting long for either', async () => {
    fakes[0]?.stop();
    if (fakes[1] !== undefined) fakes[1].hung = true;
    const startedAt = performance.now();
    expect((await opened()).upToDate).toHaveLength(4);
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  it('waits while three are down, and goes on when one is back', async () => {
    for (const fake of fakes.slice(0, 3)) fake.stop();
    const opening = opened();
    expect(await settled(opening, 300)).toBe(false);
    await fakes[2]?.start();
    expect((await opening).startLsn).toBe(BASE);
  });

  it('says bootstrap when all are empty, overtaken when another has a higher epoch than we ever held', async () => {
    for (const fake of fakes) {
      fake.phase = 'EMPTY';
      fake.history = [];
    }
    expect(await open()).toEqual({ kind: 'bootstrap', epoch: 2n });
    for (const fake of fakes) fake.phase = 'READY';
    expect((await open('other')).kind).toBe('opened');
    expect(await open('w', 2n)).toEqual({ kind: 'overtaken' });
  });

  describe('with two segments silent and the others empty', () => {
    beforeEach(() => {
      for (const fake of fakes.slice(0, 4)) {
        fake.phase = 'EMPTY';
        fake.history = [];
      }
      for (const fake of fakes.slice(4)) fake.stop();
    });

    it('waits for the two before it says bootstrap', async () => {
      const begun = performance.now();
      expect(await open('w', undefined, undefined, { doubtMs: 700 })).toMatchObject({ kind: 'bootstrap' });
      expect(performance.now() - begun).toBeGreaterThan(700);
    });

    it('finds the volume on one that comes back', async () => {
      const reasons: string[] = [];
      const opening = open('w', undefined, undefined, { doubtMs: 4000, onWaiting: (reason) => void reasons.push(reason) });
      await settled(opening, 500);
      expect(reasons.at(-1)).toContain('4 of 6 segments answered and are empty; the others may hold the volume');
      for (const fake of fakes.slice(4)) await fake.start();
      expect(await settled(opening, 500)).toBe(false);
      expect(reasons.at(-1)).toContain('hold the volume, 3 are needed');
      for (const fake of fakes.slice(0, 4)) {
        fake.phase = 'READY';
        fake.history = [{ epoch: 1n, startLsn: BASE }];
      }
      expect(await opening).toMatchObject({ kind: 'opened', startLsn: BASE });
    });

    it('never says bootstrap for a volume that exists, and says what to do', async () => {
      const reasons: string[] = [];
      const opening = open('w', undefined, undefined, {
        volumeExists: true,
        doubtMs: 100,
        onWaiting: (reason) => void reasons.push(reason),
      });
      expect(await settled(opening, 1000)).toBe(false);
      expect(reasons.at(-1)).toMatch(
        /segments answered and all of them are empty, but this volume held a database.*Bring back.*AURORA_VOLUME_EXISTS=false/,
      );
      for (const fake of fakes.slice(0, 4)) {
        fake.phase = 'READY';
        fake.history = [{ epoch: 1n, startLsn: BASE }];
      }
      expect(await opening).toMatchObject({ kind: 'opened' });
    });
  });
});

describe('the write path', () => {
  it('makes flushed WAL durable on four segments and tells them the VDL', async () => {
    const { writePath, postgres } = await startWriter();
    const records = [postgres.insert(), postgres.insert(20_000), postgres.insert()];
    const outcome = await writePath.flush(postgres.write());
    const end = records.at(-1)?.endLsn;
    expect(outcome).toEqual({ kind: 'durable', durableLsn: end });
    expect(writePath.vdl).toBe(end);
    await vi.waitFor(() => expect(fakes.map((fake) => fake.scl)).toEqual(fakes.map(() => end)));
    for (const fake of fakes) expect(lsnsOf(fake).slice(1)).toEqual(records.map((record) => record.lsn));
    await vi.waitFor(() => expect(fakes.map((fake) => fake.highestVdl)).toEqual(fakes.map(() => end)));
  });

  it('acknowledges nothing with three down, and all of it when one is back', async () => {
    const { writePath, postgres } = await startWriter();
    for (const fake of fakes.slice(0, 3)) fake.stop();
    postgres.insert();
    const flush = writePath.flush(postgres.write());
    expect(await settled(flush, 300)).toBe(false);
    await fakes[1]?.start();
    expect(await flush).toEqual({ kind: 'durable', durableLsn: postgres.writer.position });
  });

  it('goes on without those that hang: all are sent what the quorum is late with', async () => {
    const { writePath, postgres } = await startWriter();
    // Two of the four that are sent redo first.
    for (const index of [0, 2]) if (fakes[index] !== undefined) fakes[index].hung = true;
    for (let round = 0; round < 5; round++) {
      postgres.insert();
      expect(await writePath.flush(postgres.write())).toEqual({ kind: 'durable', durableLsn: postgres.writer.position });
    }
    for (const index of [0, 2]) fakes[index]?.wake();
    await vi.waitFor(() => expect(fakes.map((fake) => fake.scl)).toEqual(fakes.map(() => postgres.writer.position)));
  });

  it('leaves out a record that is still being copied into the last page', async () => {
    const { writePath, postgres } = await startWriter();
    const whole = postgres.insert();
    const written = postgres.write();
    const torn = postgres.insert(60);
    const page = postgres.writer.pages().at(-1);
    if (page === undefined) throw new Error('no page');
    const at = Number(torn.lsn % 8192n) + 50;
    const kept = Buffer.from(page.bytes.subarray(at, at + 8));
    page.bytes.fill(0, at, at + 8);
    expect(await writePath.flush(postgres.write())).toEqual({ kind: 'durable', durableLsn: whole.endLsn });
    kept.copy(page.bytes, at);
    expect(written).toBe(postgres.write());
    expect(await writePath.flush(postgres.write())).toEqual({ kind: 'durable', durableLsn: torn.endLsn });
  });

  it('bounds its memory: a segment that fell off the ring comes back through its peers', async () => {
    const { writePath, postgres } = await startWriter('w', 4 * 1024 * 1024);
    const behind = fakes[5];
    if (behind === undefined) throw new Error('no segment');
    behind.stop();
    for (let round = 0; round < 12; round++) {
      for (let count = 0; count < 20; count++) postgres.insert(40_000);
      await writePath.flush(postgres.write());
      expect(writePath.ringBytes).toBeLessThan(6 * 1024 * 1024);
    }
    await behind.start();
    await vi.waitFor(() => expect(writePath.segment(HOME_GROUP, 5).phase).toBe('lagging'), 5000);
    behind.batches = [...(fakes[0]?.batches ?? [])];
    await vi.waitFor(() => expect(writePath.segment(HOME_GROUP, 5).phase).toBe('streaming'), 3000);
    postgres.insert();
    await writePath.flush(postgres.write());
    await vi.waitFor(() => expect(behind.scl).toBe(postgres.writer.position));
  });

  it('fails everything that waits when another writer opens the volume', async () => {
    const { writePath, postgres, onFenced } = await startWriter('first');
    const second = await opened('second');
    expect(second.epoch).toBe(3n);
    postgres.insert();
    expect(await writePath.flush(postgres.write())).toEqual({ kind: 'fenced' });
    expect(onFenced).toHaveBeenCalled();
    expect(await writePath.flush(postgres.write())).toEqual({ kind: 'fenced' });
  });

  it('never acknowledges WAL that is not what PostgreSQL said it wrote', async () => {
    const { writePath, postgres, onDamagedWal } = await startWriter();
    postgres.insert(30_000);
    postgres.insert(30_000);
    const written = postgres.write();
    const file = join(postgres.directory, walSegmentFileName(1, BASE));
    const bytes = Buffer.alloc(WAL_SEGMENT_BYTES);
    writeFileSync(file, bytes);
    expect(await writePath.flush(written)).toEqual({ kind: 'damaged' });
    expect(onDamagedWal).toHaveBeenCalled();
    // What came first stays the reason.
    writePath.stop();
    expect(await writePath.flush(written)).toEqual({ kind: 'damaged' });
    expect(await writePath.appendFirst([])).toEqual({ kind: 'damaged' });
  });
});

it('a write path that is stopped says so to those who wait, and is not fenced', async () => {
  const { writePath, postgres, onFenced, onDamagedWal } = await startWriter();
  for (const fake of fakes.slice(0, 3)) fake.stop();
  postgres.insert();
  const flush = writePath.flush(postgres.write());
  writePath.stop();
  expect(await flush).toEqual({ kind: 'stopped' });
  expect(onFenced).not.toHaveBeenCalled();
  expect(onDamagedWal).not.toHaveBeenCalled();
});

describe('PGMRPL', () => {
  it('told to a segment that is connected again is one that later reads keep to', async () => {
    const { writePath, postgres } = await startWriter();
    // Held down by a read until nothing more is to be announced.
    oldestRead = BASE;
    postgres.insert();
    expect(await writePath.flush(postgres.write())).toMatchObject({ kind: 'durable' });
    await vi.waitFor(() => expect(fakes.map((fake) => fake.highestVdl)).toEqual(fakes.map(() => writePath.vdl)));
    expect(writePath.readFloor).toBeLessThan(writePath.vdl);
    oldestRead = undefined;
    const [fake] = fakes;
    fake?.stop();
    await fake?.start();
    await vi.waitFor(() => expect(fake?.highestPgmrpl).toBe(writePath.vdl), 5000);
    expect(writePath.readFloor).toBe(writePath.vdl);
  });
});

describe('the read path', () => {
  const range = { spcOid: 1663, dbOid: 5, relNumber: 16384, fork: 0, block: 0, count: 2 };
  const reader = (onFenced = vi.fn(), lowestLsn = 0n) =>
    new PageReader({
      segments: endpoints,
      identity: identity('w'),
      epoch: 1n,
      zone: 'z1',
      volume: { vdl: BASE, scl: () => BASE, readFloor: lowestLsn },
      placement: SINGLE_GROUP,
      onFenced,
      onRead: () => undefined,
      onError: () => undefined,
      clock: systemClock(),
      logger: silentLogger(),
    });

  it('asks its own zone first', async () => {
    const asked: string[] = [];
    for (const fake of fakes) {
      fake.onGetPages = (count) => {
        asked.push(fake.id);
        return Promise.resolve(Buffer.alloc(count * 8192));
      };
    }
    expect(await reader().read(range, BASE)).toHaveLength(2 * 8192);
    // On a busy machine others may have been asked too, as a hedge, but later.
    expect(['s2', 's3']).toContain(asked[0]);
  });

  it('hedges a slow segment, passes over dead ones and over pages from the future', async () => {
    const [s0, s1, s2, s3, s4, s5] = fakes;
    s0?.stop();
    if (s1 !== undefined) s1.onGetPages = (count) => Promise.resolve(Buffer.alloc(count * 8192, 1));
    for (const fake of [s2, s3]) if (fake !== undefined) fake.onGetPages = () => new Promise(() => undefined);
    if (s4 !== undefined) s4.onGetPages = () => Promise.reject(new Error('broken'));
    if (s5 !== undefined) s5.onGetPages = (count) => Promise.resolve(Buffer.alloc(count * 8192));
    const startedAt = performance.now();
    expect((await reader().read(range, BASE)).equals(Buffer.alloc(2 * 8192))).toBe(true);
    expect(performance.now() - startedAt).toBeLessThan(1500);
  });

  it('reads no lower than storage was told it must serve, whatever LSN the request came with', async () => {
    const request = { ...range, lsn: BASE };
    await reader(vi.fn(), BASE + 800n).read(request, request.lsn);
    expect(fakes.map((fake) => fake.lastReadLsn).filter((lsn) => lsn !== 0n)).not.toContain(BASE);
    expect(fakes.map((fake) => fake.lastReadLsn)).toContain(BASE + 800n);
  });

  it('lets go of reads that nobody waits for, in the queue too, and serves those behind them', async () => {
    const { promise: held, resolve: open } = Promise.withResolvers<void>();
    for (const fake of fakes) fake.onGetPages = (count) => held.then(() => Buffer.alloc(count * 8192));
    const one = reader();
    const givenUp = Array.from({ length: 100 }, () => {
      const over = new AbortController();
      return { over, read: one.read(range, BASE, over.signal).catch((error: unknown) => error) };
    });
    const kept = Array.from({ length: 5 }, () => one.read(range, BASE + 1n));
    expect(one.oldestRead()).toBe(BASE);
    for (const { over } of givenUp) over.abort();
    for (const { read } of givenUp) expect(await read).toBeInstanceOf(Error);
    expect(one.oldestRead()).toBe(BASE + 1n);
    await expect(one.read(range, BASE, AbortSignal.abort())).rejects.toThrow(/nobody waits/);
    open();
    for (const read of kept) expect(await read).toHaveLength(2 * 8192);
    const last = new AbortController();
    for (const fake of fakes) fake.onGetPages = () => new Promise(() => undefined);
    const stopped = one.read(range, BASE, last.signal).catch((error: unknown) => error);
    one.stop();
    expect(await stopped).toBeInstanceOf(Error);
    expect(one.oldestRead()).toBeUndefined();
  });

  it('reports fencing', async () => {
    const onFenced = vi.fn();
    for (const fake of fakes) fake.epoch = 9n;
    await expect(reader(onFenced).read(range, BASE)).rejects.toThrow(/older epoch/);
    expect(onFenced).toHaveBeenCalledOnce();
  });
});
