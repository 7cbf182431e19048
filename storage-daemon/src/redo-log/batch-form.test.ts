import fs from 'node:fs';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import { recordCrcIsValid } from '@kube-aurora/pg-format';
import { checkRedoBatch, decodeRedoBatchHeader, recordsOf, RedoBatchError } from '@kube-aurora/volume';
import { systemDisk } from '../disk/system-disk.ts';
import { KeyUnusableError } from '../disk/key-unusable-error.ts';
import { batchAfter, syntheticRecord, type ChainEnd } from '../testing/synthetic-records.ts';
import { testForms } from '../testing/test-keys.ts';
import type { BatchForm } from './batch-form.ts';
import { DurableEvent } from './durable-event.ts';
import { LogReadError } from './log-errors.ts';
import type { LogDamage } from './log-recovery.ts';
import { RecordWindow } from './record-window.ts';
import { RedoLog } from './redo-log.ts';

const START: ChainEnd = { lsn: 1000n, epoch: 1n };
const SECRET = Buffer.from('a sentence that no disk may show');

/** A batch with the sentence in each of its records. */
function batch(end: ChainEnd, epoch: bigint, records: number): { readonly batch: Buffer; readonly end: ChainEnd } {
  return batchAfter(
    end,
    epoch,
    Array.from({ length: records }, (_, nth) => syntheticRecord(0, 0, Buffer.concat([SECRET, Buffer.alloc(8 + nth, nth)]))),
  );
}

describe('a sealed batch', () => {
  const { batches: form } = testForms();
  const made = batch(START, 2n, 3).batch;

  it('comes back as it came, from anywhere in a buffer, and shows its header alone', () => {
    fc.assert(
      fc.property(fc.nat(5), fc.nat(60), (records, offset) => {
        const plain = batch(START, 2n, records + 1).batch;
        const stored = form.toDisk(plain);
        expect(stored).toHaveLength(plain.length + form.extraBytes);
        expect(stored.includes(SECRET)).toBe(false);
        const { totalBytes, payloadCrc, ...rest } = decodeRedoBatchHeader(plain);
        expect(decodeRedoBatchHeader(stored)).toMatchObject({ ...rest, totalBytes: totalBytes + form.extraBytes });
        expect(decodeRedoBatchHeader(stored).payloadCrc).not.toBe(payloadCrc);
        const opened = form.fromDisk(Buffer.concat([Buffer.alloc(offset, 1), stored, Buffer.alloc(9, 2)]), offset);
        expect(opened.batch).toEqual(plain);
        expect(opened.header).toEqual(checkRedoBatch(plain));
      }),
    );
  });

  it('is refused with any flipped bit and any cut', () => {
    const stored = form.toDisk(made);
    fc.assert(
      fc.property(fc.nat(stored.length * 8 - 1), (at) => {
        const flipped = Buffer.from(stored);
        flipped.writeUInt8(flipped.readUInt8(at >>> 3) ^ (1 << (at & 7)), at >>> 3);
        expect(() => form.fromDisk(flipped, 0)).toThrow(RedoBatchError);
        expect(() => form.fromDisk(stored.subarray(0, at >>> 3), 0)).toThrow(RedoBatchError);
      }),
    );
  });

  /** As somebody leaves it who knows how checksums are made. */
  function forged(change: (bytes: Buffer) => void): Buffer {
    const bytes = Buffer.from(form.toDisk(made));
    change(bytes);
    bytes.writeUInt32LE(crc32c(bytes.subarray(64)), 56);
    bytes.writeUInt32LE(crc32c(bytes.subarray(0, 60)), 60);
    return bytes;
  }

  it('is told from damage where somebody changed it, or moved it to another place of the chain', () => {
    expect(
      form.fromDisk(
        forged(() => undefined),
        0,
      ).batch,
    ).toEqual(made);
    expect(() =>
      form.fromDisk(
        forged((bytes) => bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100)),
        0,
      ),
    ).toThrow(KeyUnusableError);
    // Its epoch, its end, its backlink.
    expect(() =>
      form.fromDisk(
        forged((bytes) => bytes.writeBigUInt64LE(3n, 8)),
        0,
      ),
    ).toThrow(KeyUnusableError);
    expect(() =>
      form.fromDisk(
        forged((bytes) => bytes.writeBigUInt64LE(9999n, 24)),
        0,
      ),
    ).toThrow(KeyUnusableError);
    expect(() =>
      form.fromDisk(
        forged((bytes) => bytes.writeBigUInt64LE(999n, 32)),
        0,
      ),
    ).toThrow(KeyUnusableError);
    // The seal of another batch.
    const other = form.toDisk(made);
    expect(() =>
      form.fromDisk(
        forged((bytes) => other.copy(bytes, bytes.length - 40, other.length - 40)),
        0,
      ),
    ).toThrow(KeyUnusableError);
  });

  it('does not open with another key', () => {
    expect(() => testForms(8).batches.fromDisk(form.toDisk(made), 0)).toThrow(KeyUnusableError);
  });
});

describe('a log of sealed batches', () => {
  let directory: string;
  let log: RedoLog;
  let damage: LogDamage | undefined;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sealed-log-'));
  });
  afterEach(async () => {
    await log.close();
    rmSync(directory, { recursive: true, force: true });
  });

  async function open(form: BatchForm): Promise<void> {
    damage = undefined;
    const opened = await RedoLog.open(
      directory,
      {
        fileBytes: 65_536,
        // So little that almost everything is read from the disk.
        tailCacheBytes: 512,
        disk: systemDisk(),
        clock: systemClock(),
        form,
        durable: new DurableEvent(),
        onFailure: () => undefined,
        isRecordSound: recordCrcIsValid,
      },
      START,
      () => Promise.resolve(),
      (found) => {
        damage = found;
        return Promise.resolve();
      },
    );
    log = opened;
  }

  async function write(count: number, epoch = 1n): Promise<Buffer[]> {
    const written: Buffer[] = [];
    for (let nth = 0; nth < count; nth++) {
      const made = batch(log.tail, epoch, 1 + (nth % 4));
      log.append(checkRedoBatch(made.batch), made.batch);
      written.push(made.batch);
    }
    await log.flushed();
    return written;
  }

  const bytesOnDisk = (): Buffer =>
    Buffer.concat(fs.readdirSync(directory, { recursive: true }).map((name) => fs.readFileSync(join(directory, String(name)))));

  it('gives back batches, records and stretches as they came, after a restart too, and shows nothing of them', async () => {
    await open(testForms().batches);
    const written = await write(60);
    for (const again of [false, true]) {
      if (again) {
        await log.close();
        await open(testForms().batches);
      }
      expect(damage).toBeUndefined();
      expect(log.reader.batchesFrom(START.lsn, 1 << 20).batches).toEqual(Buffer.concat(written));
      const first = written[7] ?? Buffer.alloc(0);
      const { backlink, totalBytes } = checkRedoBatch(first);
      expect(log.reader.batchesFrom(backlink, 1).batches).toEqual(first);
      // Every record by its place, and one in the window of another.
      let position = 0;
      for (const one of written.slice(0, 12)) {
        let at = position + 64;
        for (const { lsn, raw } of recordsOf(one)) {
          expect(log.reader.record(at, raw.length, lsn)).toEqual(raw);
          const into = Buffer.alloc(700);
          const got = log.reader.readInto(into, at, () => at + into.length, lsn);
          expect(into.subarray(8, Math.min(got, 8 + raw.length))).toEqual(raw.subarray(0, Math.min(got, 8 + raw.length) - 8));
          at += (8 + raw.length + 7) & ~7;
        }
        position += one.length + testForms().batches.extraBytes;
      }
      expect(totalBytes).toBe(first.length);
    }
    expect(bytesOnDisk().includes(SECRET)).toBe(false);
  });

  it('opens a batch when a record of it is asked for, and once in a pass, whatever the pass leaves out', async () => {
    const { batches: form } = testForms();
    let opened = 0;
    await open({
      ...form,
      fromDisk: (bytes, offset) => {
        opened++;
        return form.fromDisk(bytes, offset);
      },
    });
    const written = await write(150);
    const records: { readonly position: number; readonly lsn: bigint; readonly raw: Buffer; readonly nth: number }[] = [];
    let position = 0;
    for (const [nth, one] of written.entries()) {
      let at = position + 64;
      for (const { lsn, raw } of recordsOf(one)) {
        records.push({ position: at, lsn, raw, nth });
        at += (8 + raw.length + 7) & ~7;
      }
      position += one.length + form.extraBytes;
    }
    const end = position;
    fc.assert(
      fc.property(fc.subarray(records, { minLength: 1 }), fc.boolean(), fc.nat(4000), (some, inOrder, ahead) => {
        const asked = inOrder ? some : some.toReversed();
        const window = new RecordWindow(log.reader, false);
        opened = 0;
        for (const { position: at, lsn, raw } of asked)
          expect(window.record(at, raw.length, lsn, () => Math.min(end, at + ahead))).toEqual(raw);
        if (inOrder) expect(opened).toBeLessThanOrEqual(new Set(some.map(({ nth }) => nth)).size);
      }),
      { numRuns: 30 },
    );
  });

  it('shows what a cut and other redo put in the place of what was read', async () => {
    await open(testForms().batches);
    const written = await write(6);
    const [first = Buffer.alloc(0), second = Buffer.alloc(0)] = written;
    const at = first.length + testForms().batches.extraBytes + 64;
    const record = (): Buffer => {
      const [one] = recordsOf(second);
      if (one === undefined) throw new Error('a batch has records');
      return log.reader.record(at, one.raw.length, one.lsn);
    };
    const before = Buffer.from(record());
    await log.annul(checkRedoBatch(first).endLsn);
    expect(record).toThrow();
    const anew = batchAfter(log.tail, 2n, [syntheticRecord(0, 0, Buffer.concat([SECRET, Buffer.alloc(9, 7)]))]).batch;
    log.append(checkRedoBatch(anew), anew);
    await log.flushed();
    const [other] = recordsOf(anew);
    expect(log.reader.record(at, other?.raw.length ?? 0, other?.lsn ?? 0n)).toEqual(other?.raw);
    expect(other?.raw).not.toEqual(before);
  });

  it('goes on where a torn write left it, and writes other bytes there under another session', async () => {
    await open(testForms().batches);
    const written = await write(5);
    await log.close();
    const name = join(directory, fs.readdirSync(directory)[0] ?? '');
    const whole = fs.readFileSync(name);
    const end = written.reduce((sum, one) => sum + one.length + testForms().batches.extraBytes, 0);
    const last = (written[4]?.length ?? 0) + testForms().batches.extraBytes;
    fs.writeFileSync(name, Buffer.concat([whole.subarray(0, end - 20), Buffer.alloc(20), whole.subarray(end)]));
    await open(testForms().batches);
    expect(damage).toBeUndefined();
    const [anew = Buffer.alloc(0)] = await write(1, 2n);
    expect(log.reader.batchesFrom(START.lsn, 1 << 20).batches).toEqual(Buffer.concat([...written.slice(0, 4), anew]));
    // The session of the seal that stands there now is none that stood there before.
    await log.close();
    await open(testForms().batches);
    const stored = fs.readFileSync(name);
    const at = end - last;
    const sealAt = at + decodeRedoBatchHeader(stored, at).totalBytes - 40;
    expect(whole.includes(stored.subarray(sealAt, sealAt + 16))).toBe(false);
  });

  it('has a flipped byte replaced by a peer’s batch, sealed here', async () => {
    await open(testForms().batches);
    const written = await write(6);
    const name = join(directory, fs.readdirSync(directory)[0] ?? '');
    const at = (written[0]?.length ?? 0) + testForms().batches.extraBytes + 80;
    const file = fs.openSync(name, 'r+');
    fs.writeSync(file, Buffer.from([0xff, 0xfe]), 0, 2, at);
    fs.closeSync(file);
    const broken = written[1] ?? Buffer.alloc(0);
    const lsn = checkRedoBatch(broken).backlink;
    expect(() => log.reader.batchesFrom(lsn, 1)).toThrow(LogReadError);
    const [one] = recordsOf(broken);
    // Read before it was mended: what is held of it goes.
    const record = (): Buffer => log.reader.record(at - 16, one?.raw.length ?? 0, one?.lsn ?? 0n);
    expect(record).toThrow(LogReadError);
    expect(await log.replaceBatch(broken)).toBe(true);
    expect(record()).toEqual(one?.raw);
    expect(log.reader.batchesFrom(START.lsn, 1 << 20).batches).toEqual(Buffer.concat(written));
    expect(bytesOnDisk().includes(SECRET)).toBe(false);
  });

  it('is opened by no other key, and is whole afterwards', async () => {
    await open(testForms().batches);
    const written = await write(8);
    await log.close();
    const before = bytesOnDisk();
    await expect(open(testForms(8).batches)).rejects.toThrow(KeyUnusableError);
    expect(bytesOnDisk().equals(before)).toBe(true);
    await open(testForms().batches);
    expect(log.reader.batchesFrom(START.lsn, 1 << 20).batches).toEqual(Buffer.concat(written));
  });
});
