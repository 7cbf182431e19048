/**
 * `node test/bench/sealed-reads.ts`: what it costs a daemon to read records back from a log that is not in memory, as merging does, in µs of its
 * main thread a record: each, or one of ten, in the order of the log, of batches as single commits and as loads make them.
 */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { systemClock } from '@kube-aurora/clock';
import { checkRedoBatch, recordsOf } from '@kube-aurora/volume';
import { systemDisk } from '../../storage-daemon/src/disk/system-disk.ts';
import type { BatchForm } from '../../storage-daemon/src/redo-log/batch-form.ts';
import { DurableEvent } from '../../storage-daemon/src/redo-log/durable-event.ts';
import { RecordWindow } from '../../storage-daemon/src/redo-log/record-window.ts';
import { RedoLog } from '../../storage-daemon/src/redo-log/redo-log.ts';
import { PLAIN_FORMS } from '../../storage-daemon/src/segment/segment-key.ts';
import { batchAfter, syntheticRecord } from '../../storage-daemon/src/testing/synthetic-records.ts';
import { testForms } from '../../storage-daemon/src/testing/test-keys.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({ options: { passes: { type: 'string', default: '15' } } });
const LOG_BYTES = 4 * 1024 * 1024;
const RECORD_BYTES = 100;
/** Records further apart are not read in one stretch (storage-daemon/src/pages/redo-run.ts). */
const GAP_BYTES = 8 * 1024;

interface Placed {
  readonly position: number;
  readonly lsn: bigint;
  readonly bytes: number;
}

async function costs(form: BatchForm, recordsInBatch: number): Promise<readonly string[]> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'aurora-sealed-'));
  const start = { lsn: 1000n, epoch: 1n };
  const log = await RedoLog.open(
    directory,
    {
      fileBytes: 2 * LOG_BYTES,
      tailCacheBytes: 1024,
      disk: systemDisk(),
      clock: systemClock(),
      form,
      durable: new DurableEvent(),
      onFailure: () => undefined,
      isRecordSound: () => true,
    },
    start,
    () => Promise.resolve(),
    () => Promise.resolve(),
  );
  try {
    const placed: Placed[] = [];
    let position = 0;
    while (position < LOG_BYTES) {
      const { batch } = batchAfter(
        log.tail,
        1n,
        Array.from({ length: recordsInBatch }, () => syntheticRecord(RECORD_BYTES)),
      );
      log.append(checkRedoBatch(batch), batch);
      let at = position + 64;
      for (const { lsn, raw } of recordsOf(batch)) {
        placed.push({ position: at, lsn, bytes: raw.length });
        at += (8 + raw.length + 7) & ~7;
      }
      position += batch.length + form.extraBytes;
    }
    await log.flushed();
    return [1, 10, 40].map((every) =>
      shown(
        costOf(
          log,
          placed.filter((_, nth) => nth % every === 0),
        ),
        2,
      ),
    );
  } finally {
    await log.close();
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** The least of some passes: others use the machine too. */
function costOf(log: RedoLog, placed: readonly Placed[]): number {
  let least = Infinity;
  for (let pass = 0; pass < Number(values.passes); pass++) {
    const before = process.threadCpuUsage();
    const window = new RecordWindow(log.reader, false);
    for (const [nth, { position, lsn, bytes }] of placed.entries()) window.record(position, bytes, lsn, () => reach(placed, nth));
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / placed.length);
  }
  return least;
}

function reach(placed: readonly Placed[], from: number): number {
  const limit = (placed[from]?.position ?? 0) + RecordWindow.reach;
  let end = 0;
  for (let nth = from; nth < placed.length; nth++) {
    const { position, bytes } = placed[nth] ?? { position: Infinity, bytes: 0 };
    if (nth > from && (position - end > GAP_BYTES || position > limit)) break;
    end = Math.max(end, position + 8 + bytes);
  }
  return end;
}

const rows: string[][] = [];
for (const [batches, records] of [
  ['700 bytes', 5],
  ['64 KiB', 570],
] as const)
  for (const [name, form] of [
    ['as it is', PLAIN_FORMS.batches],
    ['encrypted', testForms().batches],
  ] as const)
    rows.push([batches, name, ...(await costs(form, records))]);
print(`${machineLoad()}; µs of CPU a record\n`);
print(markdownTable(['batches of', 'log', 'each', 'one of 10', 'one of 40'], rows));
