/**
 * `node test/bench/checkpoint-speed.ts --rows 60000`: what a daemon pays to turn redo into stored pages, and to give
 * pages without redo on them away. Each stream is WAL of a real PostgreSQL 18 (wal-streams.ts), in a segment's real log
 * and page store.
 *
 *   checkpoint everything indexed and applied, then one checkpoint: CPU of the process (all threads), and of its main
 *   thread longest the longest stretch meanwhile in which the event loop did not turn: for so long an acknowledgement
 *   may wait cold reads the pages of the volume in requests of 16 blocks, after the checkpoint: no redo is on them
 */
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { decodeRecord } from '@kube-aurora/pg-format';
import { SLRU_FORK, touchedPages, type TouchedPage } from '@kube-aurora/redo';
import { keyText, type PageKey } from '@kube-aurora/redo-engine';
import { decodeRedoBatchHeader, recordsOf } from '@kube-aurora/volume';
import { PageRooms } from '../../storage-daemon/src/pages/page-rooms.ts';
import { DEFAULT_LIMITS } from '../../storage-daemon/src/segment/limits.ts';
import type { SegmentStorage } from '../../storage-daemon/src/segment/segment-storage.ts';
import { openBenchSegment } from './bench-segment.ts';
import { measured } from './own-cpu.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, shown } from './table.ts';
import { STREAMS, writeStream, type WalStream } from './wal-streams.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '60000' },
    passes: { type: 'string', default: '3' },
    only: { type: 'string' },
  },
});
const PAGES_A_REQUEST = 16;
/** One checkpoint, when it is asked for. */
const LIMITS = { ...DEFAULT_LIMITS, checkpointBytes: 4096 * MIB, checkpointRefs: 1e9, chainMax: 1e9 };

async function take(storage: SegmentStorage, stream: WalStream): Promise<void> {
  for (const batch of stream.batches) storage.append(decodeRedoBatchHeader(batch), batch);
  const end = storage.tail.lsn;
  while (storage.durable.lsn < end) await delay(5);
  storage.noteVdl(end);
  while (storage.appliedLsn < end) await delay(5);
}

/** The pages that the stream's redo changes. */
function touchedIn(stream: WalStream): TouchedPage[] {
  const found = new Map<string, TouchedPage>();
  for (const batch of stream.batches) {
    for (const { lsn, raw } of recordsOf(batch))
      for (const page of touchedPages(decodeRecord(raw, lsn), true)) found.set(keyText(page), page);
  }
  return [...found.values()];
}

async function readAll(storage: SegmentStorage, ids: readonly PageKey[]): Promise<number> {
  const { lsn } = storage.tail;
  // As the service has them: used again when an answer is sent.
  const room = new PageRooms().take(PAGES_A_REQUEST * storage.engine.pageBytes);
  let pages = 0;
  for (const id of ids) {
    if (id.block % PAGES_A_REQUEST !== 0) continue;
    const run = Array.from({ length: PAGES_A_REQUEST }, (_, at) => ({ space: id.space, block: id.block + at }));
    const answer = await storage.readPages(run, lsn, room);
    for (const one of answer.present) pages += one;
  }
  return pages;
}

const rowsOut: string[][] = [];
for (const name of values.only?.split(',') ?? Object.keys(STREAMS)) {
  const stream = await writeStream(name, Number(values.rows));
  for (let pass = 0; pass < Number(values.passes); pass++) {
    const directory = fs.mkdtempSync(join(tmpdir(), 'aurora-checkpoint-'));
    const storage = await openBenchSegment(directory, stream, LIMITS);
    try {
      await take(storage, stream);
      const { indexRefs } = storage.stats();
      const touched = touchedIn(stream);
      const ids = touched.filter((id) => id.fork !== SLRU_FORK);
      storage.notePgmrpl(storage.tail.lsn);
      const checkpoint = await measured(async () => {
        storage.requestCheckpoint();
        while (storage.stats().checkpoints === 0) await delay(1);
      });
      let read = 0;
      const cold = await measured(async () => {
        for (let turn = 0; turn < 3; turn++) read += await readAll(storage, ids);
      });
      rowsOut.push([
        `${name}: ${stream.mix}`,
        `${shown(stream.records / 1000)} k, ${shown(stream.walBytes / MIB)} MiB, ${indexRefs} refs, ${touched.length} pages`,
        `${shown(checkpoint.cpu)} / ${shown(checkpoint.main)}`,
        shown(checkpoint.longest, 1),
        `${shown(read)} pages, ${shown(read / (cold.cpu / 1000))} / ${shown(read / (cold.main / 1000))}`,
      ]);
      print(rowsOut.at(-1)?.join('  ') ?? '');
    } finally {
      await storage.close();
      fs.rmSync(directory, { recursive: true, force: true });
    }
  }
}
print(`\n${machineLoad()}\n`);
const head = ['stream', 'redo', 'checkpoint: CPU / main thread, ms', 'longest turn, ms', 'cold reads: pages per s of CPU / of main thread'];
print(markdownTable(head, rowsOut));
