/**
 * `node test/bench/redo-speed.ts --rows 40000`: how fast redo goes on one core, over WAL that a real PostgreSQL 18
 * writes in this run with full_page_writes=off, as our writer does: one stream each that is mostly heap, B-tree and GIN
 * records.
 *
 * A stream lies in memory as redo batches of 64 KiB. Measured, with tinybench, as CPU time of the process (its garbage
 * collector's threads included), so that other work on the machine counts little:
 *   apply    what a daemon does with every record as it arrives: CRC of the batch, then its own applier: the record's place into the table, the
 *            pages that it changes into the index, and the volume's state brought forward by it
 *   pages    what it does later, page after page, for a read or a checkpoint: record read back with its CRC, decode,
 *            touchedPages, redo; every page of the stream is built, from an in-memory map of pages as they were before
 *            it
 *   both     the two after one another: all work on a record but disk, network and LevelDB
 *   in order one pass without an index, decode once, redo as the records come: what a verifier or a page server would
 *   do
 * Not included: the disk, gRPC and LevelDB; tinybench's own setup copies the pages before each pass, untimed.
 */
import { parseArgs } from 'node:util';
import { systemClock } from '@kube-aurora/clock';
import { decodeRecord, type Lsn } from '@kube-aurora/pg-format';
import { applyEffects, decodeVolumeState, pageIdOf, postgres18, redo, touchedPages } from '@kube-aurora/redo';
import { checkRedoBatch, recordsOf } from '@kube-aurora/volume';
import { Bench } from 'tinybench';
import { Applier } from '../../storage-daemon/src/checkpoint/applier.ts';
import { WorkPace } from '../../storage-daemon/src/checkpoint/work-pace.ts';
import { RecordTable } from '../../storage-daemon/src/pages/record-table.ts';
import { RedoIndex, refSeq } from '../../storage-daemon/src/pages/redo-index.ts';
import { Tombstones } from '../../storage-daemon/src/pages/tombstones.ts';
import type { RedoLog } from '../../storage-daemon/src/redo-log/redo-log.ts';
import { PageStore } from '../../packages/redo/src/verify/page-store.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, MIB, print, shown } from './table.ts';
import { STREAMS, writeStream, type WalStream } from './wal-streams.ts';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '40000' },
    passes: { type: 'string', default: '5' },
    only: { type: 'string' },
  },
});
const passes = Number(values.passes);

/** Everything that one pass works on; made anew for each. */
class Pass {
  readonly #stream: WalStream;
  readonly state;
  readonly pages = new PageStore();
  readonly index = new RedoIndex();
  readonly raws: readonly { readonly lsn: Lsn; readonly raw: Buffer }[];

  constructor(stream: WalStream) {
    this.#stream = stream;
    this.state = decodeVolumeState(stream.state);
    for (const { id, page } of stream.pages.pages()) this.pages.put(id, Buffer.from(page));
    this.raws = stream.batches.flatMap((batch) => [...recordsOf(batch)]);
  }

  apply(): void {
    const turns: (() => void)[] = [];
    let current: Buffer | undefined;
    const { index } = this;
    const applier = new Applier(
      {
        log: { reader: { recentBatch: () => current } } as unknown as RedoLog,
        table: new RecordTable(),
        index,
        tombstones: new Tombstones(),
        // Time stands still: it is not interrupted.
        clock: { ...systemClock(), now: () => 0, soon: (turn) => void turns.push(turn) },
        pace: new WorkPace(() => 1),
        chainMax: Infinity,
        onProgress: () => {},
        onLongChain: () => {},
        onFailure: (error) => {
          throw error;
        },
      },
      postgres18.decodeState(this.#stream.state),
      this.state.endLsn,
    );
    for (const batch of this.#stream.batches) {
      const header = checkRedoBatch(batch);
      current = batch;
      applier.add(header, 0);
      applier.noteVdl(header.endLsn);
      applier.want(header.endLsn);
      for (const turn of turns.splice(0)) turn();
    }
    applier.stop();
    if (applier.recordsApplied !== this.raws.length)
      throw new Error(`${applier.recordsApplied} records were applied of ${this.raws.length}`);
  }

  buildPages(): void {
    for (const key of this.index.pagesBelow(this.raws.length)) {
      const id = pageIdOf(key) ?? missing();
      let page = this.pages.get(id);
      for (const ref of this.index.refsOf(key) ?? []) {
        const { lsn, raw } = this.raws[refSeq(ref)] ?? missing();
        if (!postgres18.isRecordSound(raw)) throw new Error('a record failed its CRC');
        const record = postgres18.decode(raw, lsn);
        const touched = postgres18.touched(record).find((one) => one.block === key.block && one.space === key.space);
        page = postgres18.redo(page, record, touched ?? missing());
      }
      if (page !== undefined) this.pages.put(id, page);
    }
  }

  inOrder(): void {
    for (const batch of this.#stream.batches) {
      checkRedoBatch(batch);
      for (const { lsn, raw } of recordsOf(batch)) {
        const record = decodeRecord(raw, lsn);
        for (const touched of touchedPages(record, this.state.control.trackCommitTimestamp)) {
          this.pages.put(touched, redo(this.pages.get(touched), record, touched));
        }
        for (const effect of applyEffects(this.state, record)) this.pages.apply(effect);
      }
    }
  }
}

function missing(): never {
  throw new Error('the index names a record that is not there, or that does not change the page');
}

/**
 * The pages that a pass by index makes are those that a pass in order makes: otherwise the speed of nonsense is
 * measured.
 */
function checkPasses(stream: WalStream): void {
  const byIndex = new Pass(stream);
  byIndex.apply();
  byIndex.buildPages();
  const inOrder = new Pass(stream);
  inOrder.inOrder();
  for (const { id, page } of inOrder.pages.pages()) {
    if (byIndex.pages.get(id)?.equals(page) !== true) throw new Error(`page ${JSON.stringify(id)} differs between the two ways`);
  }
}

type Work = (pass: Pass) => void;

const TASKS: Readonly<Record<string, { readonly before?: Work; readonly timed: Work }>> = {
  apply: { timed: (pass) => pass.apply() },
  pages: { before: (pass) => pass.apply(), timed: (pass) => pass.buildPages() },
  both: {
    timed: (pass) => {
      pass.apply();
      pass.buildPages();
    },
  },
  'in order': { timed: (pass) => pass.inOrder() },
};

/** Milliseconds of CPU of each task's median pass. */
async function measure(stream: WalStream): Promise<Map<string, number>> {
  const bench = new Bench({ time: 0, iterations: passes, warmupTime: 0, warmupIterations: 1 });
  for (const [name, task] of Object.entries(TASKS)) {
    let pass: Pass | undefined;
    bench.add(
      name,
      () => {
        if (pass === undefined) throw new Error('the pass was not made');
        const before = process.cpuUsage();
        task.timed(pass);
        const { user, system } = process.cpuUsage(before);
        return { overriddenDuration: (user + system) / 1000 };
      },
      {
        async: false,
        beforeEach: () => {
          pass = new Pass(stream);
          task.before?.(pass);
        },
      },
    );
  }
  const medians = new Map<string, number>();
  for (const { name, result } of await bench.run()) {
    if (result.state === 'errored') throw result.error;
    if (result.state !== 'completed') throw new Error(`${name}: ${result.state}`);
    medians.set(name, result.latency.p50);
  }
  return medians;
}

const rowsOut: string[][] = [];
for (const name of values.only?.split(',') ?? Object.keys(STREAMS)) {
  const stream = await writeStream(name, Number(values.rows));
  checkPasses(stream);
  const figures = [...(await measure(stream)).values()].map((ms) => {
    const seconds = ms / 1000;
    return `${shown(stream.records / seconds / 1000)} k/s, ${shown(stream.walBytes / MIB / seconds)} MB/s`;
  });
  const row = [`${name}: ${stream.mix}`, `${shown(stream.records / 1000)} k, ${shown(stream.walBytes / MIB)} MB`, ...figures];
  rowsOut.push(row);
  print(row.join('  '));
}
print(`\nmedian of ${passes} passes, CPU time, ${machineLoad()}; k: 1000 records, MB: MiB of WAL\n`);
print(markdownTable(['stream', 'WAL', ...Object.keys(TASKS)], rowsOut));
