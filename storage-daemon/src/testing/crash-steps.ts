import fs from 'node:fs';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { CHAIN_MAX, COPY, DATABASE, INDEX, TABLE, type CrashScenario } from './crash-scenario.ts';
import { batchAfter, copyDatabaseRecord, deltaRecord, dropDatabaseRecord, imageRecord, truncateRecord } from './synthetic-records.ts';

/**
 * The life of one segment, as steps that bring about every kind of write to its log, its store and its control file.
 * Each can be taken again after a crash in the middle of it.
 */

const PD_LOWER = 12;

/** No hole in the page: its redo would fill it with zeros. */
const whole = (fork: typeof TABLE, block: number): Buffer => deltaRecord(fork, block, PD_LOWER, Buffer.from([0x00, 0x20]));
const chain = (fork: typeof TABLE, block: number, value: number): Buffer[] =>
  Array.from({ length: CHAIN_MAX * 2 }, (_, i) => deltaRecord(fork, block, 100 + i, Buffer.from([value + i])));

export interface ScenarioStep {
  readonly name: string;
  /** What the writer adds to the volume's log; once. */
  readonly prepare?: (scenario: CrashScenario) => void;
  /** May be begun anew. */
  readonly take: (scenario: CrashScenario) => Promise<void>;
}

function flipByte(path: string, offset: number): void {
  const bytes = fs.readFileSync(path);
  bytes[offset] = (bytes[offset] ?? 0) ^ 0x40;
  fs.writeFileSync(path, bytes);
}

const feedApplyMerge = async (scenario: CrashScenario): Promise<void> => {
  await scenario.feed();
  await scenario.apply();
  await scenario.checkpoint();
};

export const STEPS: readonly ScenarioStep[] = [
  { name: 'import', take: (scenario) => scenario.import() },
  { name: 'open an epoch', take: (scenario) => scenario.openEpoch(2n) },
  {
    name: 'store a long chain ahead of the checkpoint',
    prepare: (scenario) => scenario.write([whole(INDEX, 5), ...chain(INDEX, 5, 20), whole(TABLE, 0), imageRecord(TABLE, 1, 31)]),
    take: async (scenario) => {
      await scenario.feed();
      await scenario.apply();
      const { storage } = scenario;
      await scenario.until(() => storage.takeLongestChain() <= 1);
    },
  },
  {
    name: 'drop what is stored ahead of the checkpoint, and checkpoint',
    prepare: (scenario) => scenario.write([truncateRecord(INDEX, 2), imageRecord(TABLE, 2, 32)]),
    take: feedApplyMerge,
  },
  {
    name: 'go through log files, checkpoint, and drop them',
    prepare: (scenario) => {
      for (let i = 0; i < 6; i++) scenario.write([imageRecord(TABLE, i % 5, 40 + i)]);
      scenario.write([whole(TABLE, 0), ...chain(TABLE, 0, 60)]);
    },
    take: feedApplyMerge,
  },
  {
    name: 'copy a database',
    prepare: (scenario) => {
      scenario.write([copyDatabaseRecord(DATABASE, COPY), deltaRecord(TABLE, 0, 100, Buffer.from([77]))]);
      scenario.write([imageRecord({ ...TABLE, ...COPY }, 5, 55)]);
    },
    take: feedApplyMerge,
  },
  {
    name: 'drop a database that was just copied again',
    prepare: (scenario) => {
      scenario.write([dropDatabaseRecord(COPY), imageRecord(TABLE, 4, 71)]);
      scenario.write([copyDatabaseRecord(DATABASE, COPY), truncateRecord(TABLE, 4)]);
    },
    take: feedApplyMerge,
  },
  {
    name: 'annul what only this segment has, over two log files',
    take: async (scenario) => {
      if (scenario.said.epoch < 3n) {
        const { segment, storage, end, epoch } = scenario;
        let link = end;
        for (let i = 0; i < 4; i++) {
          const made = batchAfter(link, epoch, [imageRecord(TABLE, 1, 90 + i)]);
          if (made.end.lsn > storage.tail.lsn) segment.append(decodeRedoBatchHeader(made.batch), made.batch);
          link = made.end;
        }
        await scenario.until(() => segment.scl >= link.lsn);
      }
      await scenario.openEpoch(3n);
    },
  },
  {
    name: 'go on in the new epoch',
    prepare: (scenario) => {
      for (let i = 0; i < 4; i++) scenario.write([imageRecord(TABLE, i, 100 + i), deltaRecord(TABLE, i, 100, Buffer.from([i]))]);
    },
    take: (scenario) => scenario.feed(),
  },
  {
    name: 'lose the middle of the log to damage, and get it again',
    take: async (scenario) => {
      if (!scenario.isDamaged) {
        await scenario.feed();
        const at = scenario.logFileOf(scenario.written.at(-4)?.end.lsn ?? 0n);
        await scenario.close();
        scenario.isDamaged = true;
        flipByte(at.path, at.offset + 200);
        await scenario.open();
      }
      await feedApplyMerge(scenario);
    },
  },
  {
    name: 'be replaced by a copy',
    prepare: (scenario) => scenario.write([imageRecord(TABLE, 0, 120)]),
    take: async (scenario) => {
      await scenario.feed();
      await scenario.copyItself();
      await feedApplyMerge(scenario);
    },
  },
  {
    name: 'raise the last checkpoint',
    prepare: (scenario) => scenario.write([imageRecord(TABLE, 3, 121), truncateRecord(INDEX, 1)]),
    take: feedApplyMerge,
  },
];
