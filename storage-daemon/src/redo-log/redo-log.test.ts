import fs from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { systemClock } from '@kube-aurora/clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { recordCrcIsValid, type Lsn } from '@kube-aurora/pg-format';
import { batchesIn, checkRedoBatch, encodeRedoBatch, type RedoBatchHeader } from '@kube-aurora/volume';
import { systemDisk } from '../disk/system-disk.ts';
import { PLAIN_BATCHES } from './batch-form.ts';
import { DurableEvent } from './durable-event.ts';
import type { LogDamage } from './log-recovery.ts';
import { RedoLog } from './redo-log.ts';
import { diskError, FaultDisk } from '../testing/fault-disk.ts';
import { syntheticRecord } from '../testing/synthetic-records.ts';

const PARTS = {
  fileBytes: 4096,
  tailCacheBytes: 2048,
  disk: systemDisk(),
  clock: systemClock(),
  form: PLAIN_BATCHES,
  durable: new DurableEvent(),
  onFailure: () => {},
  isRecordSound: recordCrcIsValid,
};
const START = { lsn: 1000n, epoch: 1n };
let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'redo-log-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

function makeBatch(link: { lsn: bigint; epoch: bigint }, epoch: bigint, payload: number): Buffer {
  const lsn = link.lsn as Lsn;
  const raw = syntheticRecord(payload);
  const endLsn = (lsn + BigInt((raw.length + 7) & ~7)) as Lsn;
  return encodeRedoBatch({ pg: 0, epoch, backlink: link.lsn, previousEpoch: link.epoch, records: [{ lsn, endLsn, raw }] });
}

function append(log: RedoLog, epoch: bigint, payload: number): Buffer {
  const batch = makeBatch(log.tail, epoch, payload);
  log.append(checkRedoBatch(batch), batch);
  return batch;
}

async function reopen(): Promise<{ log: RedoLog; ends: bigint[]; damage: LogDamage | undefined }> {
  const ends: bigint[] = [];
  let damage: LogDamage | undefined;
  const onBatch = (header: RedoBatchHeader): Promise<void> => {
    ends.push(header.endLsn);
    return Promise.resolve();
  };
  const log = await RedoLog.open(directory, PARTS, START, onBatch, (found) => {
    damage = found;
    return Promise.resolve();
  });
  return { log, ends, damage };
}

describe('RedoLog', () => {
  it('holds what was appended over many files, and reads it back', async () => {
    const { log } = await reopen();
    const batches: Buffer[] = [];
    for (let i = 0; i < 60; i++) {
      batches.push(append(log, 1n, 10 + ((i * 37) % 900)));
      if (i % 7 === 0) await log.flushed();
    }
    await log.flushed();
    expect(log.durable).toEqual(log.tail);
    const end = log.tail;
    await log.close();
    const again = await reopen();
    expect(again.log.tail).toEqual(end);
    expect(again.ends.length).toBe(60);
    expect(again.damage).toBeUndefined();
    let from = START.lsn;
    const read: Buffer[] = [];
    for (;;) {
      const { batches: chunk, end: reached } = again.log.reader.batchesFrom(from, 3000);
      if (chunk.length === 0) break;
      read.push(Buffer.from(chunk));
      expect([...batchesIn(chunk)].at(-1)?.header.endLsn).toBe(reached.lsn);
      from = reached.lsn;
    }
    expect(Buffer.concat(read).equals(Buffer.concat(batches))).toBe(true);
    await again.log.close();
  });

  it('shares one sync between batches that wait', async () => {
    const { log } = await reopen();
    for (let i = 0; i < 20; i++) append(log, 1n, 20);
    await log.flushed();
    expect(log.syncs).toBeLessThanOrEqual(3);
    await log.close();
  });

  it('annuls durably at a batch boundary, in whatever file it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 1500 }), { minLength: 1, maxLength: 20 }), fc.nat(), async (sizes, pick) => {
        fs.rmSync(directory, { recursive: true, force: true });
        const { log } = await reopen();
        const ends = [START.lsn];
        for (const size of sizes) {
          append(log, 1n, size);
          ends.push(log.tail.lsn);
        }
        const cut = ends[pick % ends.length] ?? START.lsn;
        await log.annul(cut);
        expect(log.tail.lsn).toBe(cut);
        append(log, 2n, 33);
        await log.flushed();
        const { tail } = log;
        expect(log.runs.at(-1)).toEqual({ epoch: 2n, fromLsn: cut, toLsn: tail.lsn });
        await log.close();
        const again = await reopen();
        expect(again.log.tail).toEqual(tail);
        expect(again.damage).toBeUndefined();
        expect(again.log.epochAt(cut)).toBe(1n);
        await again.log.close();
      }),
      { numRuns: 25 },
    );
  });

  it('cuts a torn last write and says nothing of damage', async () => {
    const { log } = await reopen();
    for (let i = 0; i < 5; i++) append(log, 1n, 300);
    await log.flushed();
    const before = log.tail;
    const last = append(log, 1n, 500);
    await log.flushed();
    await log.close();
    const name = fs.readdirSync(directory).toSorted().at(-1) ?? '';
    const path = join(directory, name);
    const bytes = fs.readFileSync(path);
    const at = bytes.indexOf(last.subarray(0, 64));
    for (const keep of [1, 63, 64, 100, last.length - 9]) {
      const torn = Buffer.from(bytes);
      torn.fill(0, at + keep);
      fs.writeFileSync(path, torn);
      const again = await reopen();
      expect(again.log.tail).toEqual(before);
      expect(again.damage).toBeUndefined();
      await again.log.close();
    }
  });

  it('cuts nothing off before its damage is noted elsewhere: after a crash in between it is found again', async () => {
    const { log } = await reopen();
    for (let i = 0; i < 20; i++) append(log, 1n, 500);
    await log.flushed();
    await log.close();
    const [first = ''] = fs.readdirSync(directory).toSorted();
    const bytes = fs.readFileSync(join(directory, first));
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    fs.writeFileSync(join(directory, first), bytes);
    let noted: LogDamage | undefined;
    const dying = RedoLog.open(
      directory,
      PARTS,
      START,
      () => Promise.resolve(),
      (damage) => {
        noted = damage;
        return Promise.reject(new Error('died before it was noted'));
      },
    );
    await expect(dying).rejects.toThrow('died before it was noted');
    const again = await reopen();
    expect(noted).toBeDefined();
    expect(again.damage).toEqual(noted);
    await again.log.close();
    expect((await reopen()).damage).toBeUndefined();
  });

  it('takes what it finds for durable only once it was synced: a dead process may have written it and no more', async () => {
    const { log } = await reopen();
    for (let i = 0; i < 20; i++) append(log, 1n, 500);
    await log.flushed();
    await log.close();
    const newest = join(directory, fs.readdirSync(directory).toSorted().at(-1) ?? '');
    const synced: string[] = [];
    let isFailing = false;
    const disk = new FaultDisk(systemDisk(), ({ kind, path }) => {
      if (kind === 'sync' || kind === 'sync directory') synced.push(`${kind} ${path}`);
      return isFailing && kind === 'sync' ? { error: diskError('EIO') } : undefined;
    });
    const open = (): Promise<RedoLog> =>
      RedoLog.open(
        directory,
        { ...PARTS, disk },
        START,
        () => Promise.resolve(),
        () => Promise.resolve(),
      );
    const again = await open();
    expect(synced).toEqual([`sync ${newest}`, `sync directory ${directory}`]);
    expect(again.durable).toEqual(log.tail);
    await again.close();
    isFailing = true;
    await expect(open()).rejects.toThrow('EIO');
  });

  it('reports a flipped bit anywhere but in the last batch as damage, and keeps what is before it', async () => {
    const { log } = await reopen();
    const batches: Buffer[] = [];
    for (let i = 0; i < 12; i++) batches.push(append(log, 1n, 700));
    await log.flushed();
    const end = log.tail;
    await log.close();
    const names = fs.readdirSync(directory).toSorted();
    const original = names.map((name) => fs.readFileSync(join(directory, name)));
    for (const [index, batch] of batches.slice(0, -1).entries()) {
      names.forEach((name, i) => fs.writeFileSync(join(directory, name), original[i] ?? ''));
      const file = original.findIndex((bytes) => bytes.includes(batch.subarray(0, 64)));
      const flipped = Buffer.from(original[file] ?? Buffer.alloc(0));
      const at = flipped.indexOf(batch.subarray(0, 64)) + ((index * 101) % batch.length);
      flipped[at] = (flipped[at] ?? 0) ^ 4;
      fs.writeFileSync(join(directory, names[file] ?? ''), flipped);
      const again = await reopen();
      expect(again.log.tail.lsn).toBe(checkRedoBatch(batch).backlink);
      expect(again.damage?.claimedLsn).toBe(end.lsn);
      // It can be filled again from a copy.
      for (const later of batches.slice(index)) again.log.append(checkRedoBatch(later), later);
      await again.log.flushed();
      await again.log.close();
      const healed = await reopen();
      expect(healed.log.tail).toEqual(end);
      await healed.log.close();
    }
  });

  it('refuses a record that was damaged after it was indexed, and replaces its batch', async () => {
    const { log } = await reopen();
    const batches: Buffer[] = [];
    const positions: number[] = [];
    for (let i = 0; i < 12; i++) {
      const batch = makeBatch(log.tail, 1n, 700);
      positions.push(log.append(checkRedoBatch(batch), batch));
      batches.push(batch);
    }
    await log.flushed();
    const [batch, position] = [batches[1] ?? Buffer.alloc(0), positions[1] ?? 0];
    const header = checkRedoBatch(batch);
    const recordBytes = batch.readUInt32LE(72);
    expect(log.reader.record(position + 64, recordBytes, header.startLsn).length).toBe(recordBytes);
    const path = join(directory, fs.readdirSync(directory).toSorted()[0] ?? '');
    const bytes = fs.readFileSync(path);
    const at = bytes.indexOf(batch.subarray(0, 64)) + 200;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    fs.writeFileSync(path, bytes);
    expect(() => log.reader.record(position + 64, recordBytes, header.startLsn)).toThrow(/fails its CRC/);
    expect(() => log.reader.batchesFrom(header.backlink, 100)).toThrow(/payloadCrc/);
    expect(await log.replaceBatch(batch)).toBe(true);
    expect(log.reader.record(position + 64, recordBytes, header.startLsn).length).toBe(recordBytes);
    await log.close();
  });

  it('replaces a batch of a log that was opened again, and keeps what follows it', async () => {
    const { log } = await reopen();
    const batches: Buffer[] = [];
    for (let i = 0; i < 12; i++) batches.push(append(log, 1n, 700));
    await log.flushed();
    await log.close();
    const again = await reopen();
    const path = join(directory, fs.readdirSync(directory).toSorted()[0] ?? '');
    const bytes = fs.readFileSync(path);
    const damaged = batches[1] ?? Buffer.alloc(0);
    const at = bytes.indexOf(damaged.subarray(0, 64)) + 200;
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    fs.writeFileSync(path, bytes);
    expect(() => again.log.reader.batchesFrom(START.lsn, 100_000)).toThrow(/payloadCrc/);
    expect(await again.log.replaceBatch(damaged)).toBe(true);
    let from = START.lsn;
    for (const batch of batches) {
      expect(again.log.reader.batchesFrom(from, 64).batches).toEqual(batch);
      from = checkRedoBatch(batch).endLsn;
    }
    await again.log.close();
  });

  it('drops old files whole', async () => {
    const { log } = await reopen();
    for (let i = 0; i < 30; i++) append(log, 1n, 700);
    await log.flushed();
    const { tail } = log;
    expect(await log.dropBelow(tail.lsn)).toBeGreaterThan(0);
    expect(fs.readdirSync(directory).length).toBe(1);
    expect(() => log.reader.batchesFrom(START.lsn, 100)).toThrow(/dropped/);
    const { startLsn } = log;
    await log.close();
    const again = await reopen();
    expect(again.log.startLsn).toBe(startLsn);
    expect(again.log.tail).toEqual(tail);
    await again.log.close();
  });
});
