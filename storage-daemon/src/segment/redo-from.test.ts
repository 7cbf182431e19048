import { PLAIN_BATCHES } from '../redo-log/batch-form.ts';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { batchesIn, checkRedoBatch } from '@kube-aurora/volume';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { DurableEvent } from '../redo-log/durable-event.ts';
import { LogAheadError, LogForkedError, LogGoneError, LogReadError } from '../redo-log/log-errors.ts';
import { RedoLog } from '../redo-log/redo-log.ts';
import { batchAfter, syntheticRecord } from '../testing/synthetic-records.ts';
import { redoFrom } from './redo-from.ts';

const START = { lsn: 1000n, epoch: 1n };
const BATCH_BYTES = 200_000;
let directory: string;
let log: RedoLog;
/** Ends of the batches that were written. */
let ends: { lsn: bigint; epoch: bigint }[];

async function open(): Promise<RedoLog> {
  const options = {
    fileBytes: 1024 * 1024,
    tailCacheBytes: 2048,
    disk: systemDisk(),
    clock: systemClock(),
    durable: new DurableEvent(),
    onFailure: () => {},
    form: PLAIN_BATCHES,
    isRecordSound: () => true,
  };
  return RedoLog.open(
    directory,
    options,
    START,
    () => Promise.resolve(),
    () => Promise.resolve(),
  );
}

async function write(epoch: bigint, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { batch, end } = batchAfter(log.tail, epoch, [syntheticRecord(BATCH_BYTES)]);
    log.append(checkRedoBatch(batch), batch);
    ends.push(end);
  }
  await log.flushed();
}

async function endsFrom(...args: Parameters<typeof redoFrom> extends [RedoLog, ...infer Rest] ? Rest : never): Promise<bigint[]> {
  const found: bigint[] = [];
  for await (const batches of redoFrom(log, ...args)) for (const { header } of batchesIn(batches)) found.push(header.endLsn);
  return found;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'redo-from-'));
  log = await open();
  ends = [];
  await write(1n, 12);
});
afterEach(async () => {
  await log.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('redoFrom', () => {
  it('gives all batches after a place in the log, in order, up to what was on disk, or to the one that covers an LSN', async () => {
    const all = ends.map(({ lsn }) => lsn);
    expect(await endsFrom(START)).toEqual(all);
    expect(await endsFrom(ends[4] ?? START)).toEqual(all.slice(5));
    expect(await endsFrom(ends.at(-1) ?? START)).toEqual([]);
    const some = await endsFrom(START, (all[2] ?? 0n) + 8n);
    expect(some).toEqual(all.slice(0, some.length));
    expect(some.at(-1)).toBeGreaterThan((all[2] ?? 0n) + 8n);
    expect(some.length).toBeLessThan(all.length);
  });

  it('refuses a place that is not of this log, with the reason', async () => {
    const { lsn } = ends[4] ?? START;
    await expect(endsFrom({ lsn, epoch: 2n })).rejects.toBeInstanceOf(LogForkedError);
    await expect(endsFrom({ lsn: log.tail.lsn + 8n, epoch: 1n })).rejects.toBeInstanceOf(LogAheadError);
    await log.dropBelow(lsn);
    await expect(endsFrom(START)).rejects.toBeInstanceOf(LogGoneError);
  });

  it('ends early, without an error, where redo is annulled meanwhile', async () => {
    const found: bigint[] = [];
    for await (const batches of redoFrom(log, START)) {
      for (const { header } of batchesIn(batches)) found.push(header.endLsn);
      if (found.length < 4) continue;
      await log.annul(ends[1]?.lsn ?? 0n);
      // Another writer's, in its place and longer.
      if (log.tail.epoch === 1n) await write(2n, 14);
    }
    expect(found).toEqual(ends.slice(0, found.length).map(({ lsn }) => lsn));
    expect(found.length).toBeLessThan(12);
  });

  it('gives what is sound before damage, then throws', async () => {
    await log.close();
    const [first = ''] = readdirSync(directory).toSorted();
    const bytes = readFileSync(join(directory, first));
    log = await open();
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 50_000) ^ 1, bytes.length - 50_000);
    writeFileSync(join(directory, first), bytes);
    const found: bigint[] = [];
    const read = async (): Promise<void> => {
      for await (const batches of redoFrom(log, START)) for (const { header } of batchesIn(batches)) found.push(header.endLsn);
    };
    await expect(read()).rejects.toBeInstanceOf(LogReadError);
    expect(found.length).toBeGreaterThan(0);
    expect(found).toEqual(ends.slice(0, found.length).map(({ lsn }) => lsn));
  });

  it('ends when the log is closed', async () => {
    const reader = redoFrom(log, START);
    await reader.next();
    await log.close();
    expect(await reader.next()).toEqual({ done: true, value: undefined });
  });
});
