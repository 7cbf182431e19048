import { testForms } from '../testing/test-keys.ts';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { postgres18 } from '@kube-aurora/redo';
import { checkRedoBatch } from '@kube-aurora/volume';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemDisk } from '../disk/system-disk.ts';
import { DurableEvent } from '../redo-log/durable-event.ts';
import { batchAfter, syntheticRecord, type ChainEnd } from '../testing/synthetic-records.ts';
import { emptyControl } from './control-file.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { TailStorage } from './tail-storage.ts';

const START = { lsn: 1000n, epoch: 1n };
const HISTORY = [{ epoch: 1n, startLsn: START.lsn }];

let directory: string;
let tail: TailStorage;
/** Up to where the pages of every full segment have all redo. */
let inAllPages: bigint;

/** Batches of the epoch, each of which fills a log file. */
async function write(epoch: bigint, count: number): Promise<ChainEnd[]> {
  const ends: ChainEnd[] = [];
  for (let i = 0; i < count; i++) {
    const { batch, end } = batchAfter(tail.tail, epoch, [syntheticRecord(600)]);
    tail.append(checkRedoBatch(batch), batch);
    ends.push(end);
  }
  await tail.flushed();
  return ends;
}

const nobody = (): never => {
  throw new Error('a sound log was expected');
};

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tail-storage-'));
  inAllPages = 0n;
  const options = {
    engine: postgres18,
    disk: systemDisk(),
    forms: testForms(),
    directory,
    limits: { ...DEFAULT_LIMITS, logFileBytes: 512 },
    clock: systemClock(),
    durable: new DurableEvent(),
    onProgress: () => undefined,
    onLogDamage: nobody,
    onLogFailure: nobody,
    onDamage: nobody,
    fetchPage: nobody,
    dropLimit: (lsn: bigint) => (lsn < inAllPages ? lsn : inAllPages),
    onCorruption: nobody,
    onRepair: nobody,
    onStart: () => Promise.resolve(),
  };
  const control = { ...emptyControl('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10', 0, 'TAIL'), history: HISTORY, logStart: START };
  tail = await TailStorage.open(options, control, { durableLsn: 0n });
});
afterEach(async () => {
  await tail.close();
  rmSync(directory, { recursive: true, force: true });
});

describe('a tail’s log', () => {
  it('goes up to what every full segment has in its pages, but for the last batch', async () => {
    const ends = await write(1n, 4);
    const end = ends[3]?.lsn ?? 0n;
    tail.noteVdl(end);
    inAllPages = ends[1]?.lsn ?? 0n;
    await tail.dropRedo();
    expect(tail.startLsn).toBe(ends[1]?.lsn);
    inAllPages = end;
    await tail.dropRedo();
    expect(tail.startLsn).toBe(ends[2]?.lsn);
    expect(tail.tail.lsn).toBe(end);
  });

  it('goes no further than VDL, though those pages have another epoch’s redo up to further on', async () => {
    const ends = await write(1n, 4);
    // Two of them are durable. A later epoch starts there, which this tail has not heard of; the full segments have.
    const vdl = ends[1]?.lsn ?? 0n;
    tail.noteVdl(vdl);
    inAllPages = (ends[3]?.lsn ?? 0n) + 10_000n;
    await tail.dropRedo();
    expect(tail.startLsn).toBe(vdl);
    await tail.annul([...HISTORY, { epoch: 2n, startLsn: vdl }]);
    expect(tail.tail).toEqual({ lsn: vdl, epoch: 1n });
    const [end] = await write(2n, 1);
    expect(tail.runs.at(-1)).toEqual({ epoch: 2n, fromLsn: vdl, toLsn: end?.lsn });
  });
});
