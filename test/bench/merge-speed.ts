/**
 * `node test/bench/merge-speed.ts --rows 300000`: what a daemon pays for redo from its arrival until it is in stored
 * pages and gone from the log, with the limits that it ships with. Each stream is WAL of a real PostgreSQL 18
 * (wal-streams.ts), in a segment's real log and page store, taken in as fast as the segment allows; every batch is
 * durable on a quorum, and read by nobody below it, when the next comes.
 *
 *   CPU        of the process (all threads), and of its main thread, a MB of redo
 *   written    bytes that went to the disk (write_bytes of /proc/self/io) a byte of redo, and without the redo log's
 *              own
 *   longest    the longest stretch meanwhile in which the event loop did not turn: for so long an acknowledgement may
 *              wait
 */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { DEFAULT_LIMITS } from '../../storage-daemon/src/segment/limits.ts';
import { PLAIN_FORMS } from '../../storage-daemon/src/segment/segment-key.ts';
import { testForms } from '../../storage-daemon/src/testing/test-keys.ts';
import { openBenchSegment } from './bench-segment.ts';
import { measured } from './own-cpu.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, shown } from './table.ts';
import { writeStream, type WalStream } from './wal-streams.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '300000' },
    passes: { type: 'string', default: '3' },
    only: { type: 'string', default: 'insert,copy,updates' },
    /** Of each batch, about: 1024 is that of single commits. */
    'batch-bytes': { type: 'string', default: '65536' },
    /** Redo and pages are sealed. */
    encrypted: { type: 'boolean', default: false },
    /** Where the segment is: on a real disk, or bytes written are not counted. */
    directory: { type: 'string', default: tmpdir() },
  },
});

function writtenBytes(): number {
  return Number(/^write_bytes: (\d+)$/m.exec(fs.readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

async function merge(stream: WalStream, directory: string): Promise<string[]> {
  const storage = await openBenchSegment(directory, stream, DEFAULT_LIMITS, values.encrypted ? testForms() : PLAIN_FORMS);
  try {
    const writtenBefore = writtenBytes();
    const startedAt = performance.now();
    let logBytes = 0;
    let pastMost = 0;
    const { cpu, main, longest } = await measured(async () => {
      for (const batch of stream.batches) {
        const header = decodeRedoBatchHeader(batch);
        storage.append(header, batch);
        logBytes += batch.length;
        storage.noteVdl(header.endLsn);
        storage.notePgmrpl(storage.appliedLsn);
        pastMost = Math.max(pastMost, storage.stats().indexRefs);
        while (storage.queuedBytes > DEFAULT_LIMITS.queueBytes) await delay(1);
      }
      const end = storage.tail.lsn;
      while (storage.appliedLsn < end) await delay(1);
      storage.notePgmrpl(end);
      storage.requestCheckpoint();
      while (storage.checkpointLsn < end) await delay(1);
    });
    const seconds = (performance.now() - startedAt) / 1000;
    const written = writtenBytes() - writtenBefore;
    const { checkpoints, pagesWritten, recordsAppliedToPages } = storage.stats();
    const mib = stream.walBytes / MIB;
    return [
      `${stream.name}: ${stream.mix}`,
      `${shown(stream.records / 1000)} k, ${shown(mib)} MiB`,
      `${shown(cpu / mib, 1)} / ${shown(main / mib, 1)}`,
      `${shown(written / stream.walBytes, 2)} / ${shown((written - logBytes) / stream.walBytes, 2)}`,
      shown(longest, 1),
      `${checkpoints}, ${pagesWritten} pages, ${shown(recordsAppliedToPages / 1000)} k records applied`,
      `${pastMost}`,
      shown(seconds, 1),
    ];
  } finally {
    await storage.close();
  }
}

const rowsOut: string[][] = [];
for (const name of values.only.split(',')) {
  const stream = await writeStream(name, Number(values.rows), Number(values['batch-bytes']));
  for (let pass = 0; pass < Number(values.passes); pass++) {
    const directory = fs.mkdtempSync(join(values.directory, 'aurora-merge-'));
    try {
      rowsOut.push(await merge(stream, directory));
      print(rowsOut.at(-1)?.join('  ') ?? '');
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}
print(`\n${machineLoad()}\n`);
const head = [
  'stream',
  'redo',
  'CPU / main thread, ms a MiB',
  'written a byte of redo, all / without the log',
  'longest turn, ms',
  'checkpoints',
  'most references',
  'seconds',
];
print(markdownTable(head, rowsOut));
