import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EPOCH_MAX, OpenProtocol } from '@kube-aurora/volume';
import { systemDisk } from '../disk/system-disk.ts';
import { emptyControl, readControl, writeControl } from '../segment/control-file.ts';
import { logDirectory } from '../segment/open-storage.ts';
import { batchAfter, imageRecord, type ChainEnd } from '../testing/synthetic-records.ts';
import { TestCluster, VOLUME, type TestWriter } from '../testing/test-cluster.ts';
import { repairedControl, repairSegment } from './repair-epoch.ts';

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ALL = [0, 1, 2, 3, 4, 5];
const HUGE = 2n ** 64n - 1n;
const MAIN = fileURLToPath(new URL('../main.ts', import.meta.url));

describe('repairedControl', () => {
  const control = { ...emptyControl(VOLUME, 0, 'FULL'), epoch: HUGE, writerId: 'x', history: [{ epoch: 1n, startLsn: 5n }], baseEpoch: 1n };

  it('promises one past every epoch that was at work, to nobody', () => {
    expect(repairedControl(control, 7n)?.control).toEqual({ ...control, epoch: 8n, writerId: '' });
    const history = [...control.history, { epoch: 9n, startLsn: 6n }, { epoch: HUGE, startLsn: 6n }];
    expect(repairedControl({ ...control, history }, 7n)?.control).toEqual({
      ...control,
      epoch: 10n,
      writerId: '',
      history: history.slice(0, 2),
    });
  });

  it('leaves every promise alone that an opener can follow', () => {
    expect(repairedControl({ ...control, epoch: EPOCH_MAX }, 7n)).toBeUndefined();
  });
});

describe('repairSegment', () => {
  let directory: string;
  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'repair-'));
    const control = { ...emptyControl(VOLUME, 0, 'FULL'), epoch: HUGE, writerId: 'x', ready: true, logGeneration: 1 };
    await writeControl(systemDisk(), join(directory, 'control'), control);
    mkdirSync(logDirectory(directory, 1));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** A log file with a batch of each epoch, the first of them damaged. */
  function log(...epochs: readonly bigint[]): void {
    let end = { lsn: 0x200_0028n, epoch: 1n };
    const batches = epochs.map((epoch) => {
      const made = batchAfter(end, epoch, [imageRecord(REL, 1, 7)]);
      ({ end } = made);
      return made.batch;
    });
    const bytes = Buffer.concat(batches);
    bytes[20] = (bytes[20] ?? 0) ^ 1;
    writeFileSync(join(logDirectory(directory, 1), '0000000002000028.redo'), bytes);
  }

  it('promises one past the epochs of stored redo, behind damage too', async () => {
    log(2n, 3n, 7n);
    expect(await repairSegment(systemDisk(), directory, true)).toEqual([`promised epoch ${HUGE} becomes 8`]);
  });

  it('refuses where a writer held such an epoch', async () => {
    log(2n, EPOCH_MAX + 1n);
    await expect(repairSegment(systemDisk(), directory, true)).rejects.toThrow(`redo of epoch ${EPOCH_MAX + 1n} is stored`);
    expect(readControl(systemDisk(), join(directory, 'control'))?.control.epoch).toBe(HUGE);
  });
});

describe('a volume that three made-up promises keep from being opened', () => {
  let cluster: TestCluster;
  let base: ChainEnd;
  let writer: TestWriter;

  beforeEach(async () => {
    cluster = await TestCluster.start(6);
    base = await cluster.import(1n, ALL);
    writer = await cluster.open(2n, 'w/1', base, [{ epoch: 1n, startLsn: base.lsn }], ALL);
    for (let i = 0; i < 5; i++) await writer.append([imageRecord(REL, i, i + 1)], ALL);
    writer.points(ALL);
    for (const i of ALL) await cluster.until(i, (state) => state.appliedLsn === writer.end.lsn);
  });
  afterEach(async () => {
    writer.close();
    await cluster.stop();
  });

  /** What a daemon of a release without bounds has on its disk after OpenEpoch(2^64 - 1). */
  async function brick(i: number): Promise<void> {
    await cluster.stopDaemon(i);
    writer.drop(i);
    const path = join(cluster.dataOf(i), VOLUME, '0', 'control');
    const read = readControl(systemDisk(), path);
    if (read === undefined) throw new Error(`d${i} has no control file`);
    await writeControl(systemDisk(), path, { ...read.control, epoch: HUGE, writerId: 'made up' });
  }

  async function openingStep(): Promise<OpenProtocol> {
    const protocol = new OpenProtocol();
    for (const i of ALL) {
      const request = protocol.wanted(i);
      if (request !== undefined) protocol.answer(i, request, await cluster.status(i));
    }
    return protocol;
  }

  it('is opened again after the command, with all that was acknowledged', async () => {
    for (const i of [0, 1, 2]) await brick(i);
    for (const i of [0, 1, 2]) await cluster.startDaemon(i);
    expect((await openingStep()).waitingFor).toMatch(/3 of 6 segments answered.*3 have promised an epoch past .*repair-epoch/);
    // The promise does not spread: the three others are where they were.
    for (const i of [3, 4, 5]) expect((await cluster.status(i)).epoch).toBe(2n);

    for (const i of [0, 1, 2]) {
      await cluster.stopDaemon(i);
      const command = (...more: string[]): Promise<{ stdout: string }> =>
        promisify(execFile)(process.execPath, [MAIN, 'repair-epoch', '--data-dir', cluster.dataOf(i), ...more]);
      expect((await command()).stdout).toContain(`promised epoch ${HUGE} becomes 3 (with --write)`);
      expect((await command('--write')).stdout).toContain(`promised epoch ${HUGE} becomes 3\n`);
      expect((await command()).stdout).toContain('nothing to repair');
      await cluster.startDaemon(i);
    }
    const protocol = await openingStep();
    expect(protocol).toMatchObject({ epoch: 4n });
    const next = await cluster.open(4n, 'w/2', writer.end, writer.history, ALL);
    const lsns = await next.append([imageRecord(REL, 9, 99)], ALL);
    next.points(ALL);
    for (const i of ALL) {
      for (let block = 0; block < 5; block++) expect(await cluster.page(i, { ...REL, block }, writer.end.lsn, 4n)).toBe(block + 1);
      expect(await cluster.page(i, { ...REL, block: 9 }, lsns.at(-1) ?? 0n, 4n)).toBe(99);
    }
    next.close();
  });
});
