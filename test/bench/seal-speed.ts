/**
 * `node test/bench/seal-speed.ts`: what encryption at rest costs a daemon, in µs of its main thread: sealing a batch as it is appended,
 * and a page as it is stored; opening each as it is read back. Beside it what is done with a batch anyway before it is written: its
 * check.
 */
import { parseArgs } from 'node:util';
import { syntheticRecord, batchAfter } from '../../storage-daemon/src/testing/synthetic-records.ts';
import { PLAIN_FORMS, type SegmentForms } from '../../storage-daemon/src/segment/segment-key.ts';
import { testForms } from '../../storage-daemon/src/testing/test-keys.ts';
import { machineLoad } from './process-usage.ts';
import { markdownTable, print, shown } from './table.ts';

const { values } = parseArgs({ options: { times: { type: 'string', default: '20000' }, passes: { type: 'string', default: '5' } } });
const KEY = Buffer.from('a page’s key');
const PAGE = Buffer.alloc(8192, 7);

/** µs of CPU of one call, the least of some passes: others use the machine too. */
function costOf(times: number, work: () => unknown): number {
  let least = Infinity;
  for (let pass = 0; pass < Number(values.passes); pass++) {
    const before = process.threadCpuUsage();
    for (let nth = 0; nth < times; nth++) work();
    const { user, system } = process.threadCpuUsage(before);
    least = Math.min(least, (user + system) / times);
  }
  return least;
}

function rowOf(what: string, { batches, pages }: SegmentForms): string[] {
  const times = Number(values.times);
  const batch = batchAfter({ lsn: 1000n, epoch: 1n }, 1n, [syntheticRecord(600)]).batch;
  const large = batchAfter({ lsn: 1000n, epoch: 1n }, 1n, [syntheticRecord(256 * 1024)]).batch;
  const [stored, storedLarge] = [batches.toDisk(batch), batches.toDisk(large)];
  const page = pages.pageToDisk(KEY, 5n, PAGE);
  const place = { lsn: 5n, slot: 0, crc: page.crc, seal: page.seal };
  return [
    what,
    `${shown(
      costOf(times, () => batches.toDisk(batch)),
      1,
    )} / ${shown(
      costOf(times, () => batches.fromDisk(stored, 0)),
      1,
    )}`,
    `${shown(
      costOf(times / 50, () => batches.toDisk(large)),
      0,
    )} / ${shown(
      costOf(times / 50, () => batches.fromDisk(storedLarge, 0)),
      0,
    )}`,
    `${shown(
      costOf(times, () => pages.pageToDisk(KEY, 5n, PAGE)),
      1,
    )} / ${shown(
      costOf(times, () => pages.pageFromDisk(KEY, place, page.bytes)),
      1,
    )}`,
  ];
}

print(`${machineLoad()}; µs of CPU, to the disk / from it\n`);
print(
  markdownTable(
    ['', 'a batch of 700 bytes', 'one of 256 KiB', 'a page'],
    [rowOf('as it is', PLAIN_FORMS), rowOf('encrypted', testForms())],
  ),
);
