import type { Mutation } from './mutation.ts';

/** Redo on the disk of one segment: acknowledged, linked, annulled and dropped. */
export const REDO_LOG: readonly Mutation[] = [
  {
    name: 'acknowledged-before-sync',
    rule: 'a segment acknowledges redo only when it is on its disk',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/group-commit.ts',
        find: 'await file.sync();',
        replace: '',
      },
      {
        file: 'storage-daemon/src/redo-log/group-commit.ts',
        find: 'file.syncHere();',
        replace: '',
      },
      {
        file: 'storage-daemon/src/redo-log/group-commit.ts',
        find: 'file.syncTimed()',
        replace: '0',
      },
    ],
  },
  {
    name: 'next-file-before-seal',
    rule: 'a log file is sealed before the next one gets its first byte',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/group-commit.ts',
        find: 'if (before !== undefined) await before.seal();',
        replace: '',
      },
    ],
  },
  {
    name: 'log-file-not-in-directory',
    rule: 'a new log file’s directory entry is durable before its content is acknowledged',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/group-commit.ts',
        find: 'await disk.syncDirectory(directory);',
        replace: '',
      },
    ],
  },
  {
    name: 'unlinked-batch-taken',
    rule: 'a batch is taken only when it links to the end of the log, in place and in epoch',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/log-chain.ts',
        find: `  if (header.backlink > end.lsn) return 'gap';
  if (header.backlink < end.lsn || header.previousEpoch !== end.epoch) return 'forked';
`,
        replace: '',
      },
    ],
  },
  {
    name: 'ruled-out-redo-taken',
    rule: 'redo that the epoch history rules out is not taken, whoever it comes from',
    edits: [
      {
        file: 'storage-daemon/src/segment/batch-fit.ts',
        find: 'if (!isBatchValid(history, header)) {',
        replace: 'if (header.epoch < 0n) {',
      },
    ],
  },
  {
    name: 'redo-dropped-past-checkpoint',
    rule: 'redo is dropped only when stored pages have it',
    edits: [
      {
        file: 'storage-daemon/src/segment/retention.ts',
        find: 'let limit = checkpointLsn;',
        replace: 'let limit = 2n ** 62n + checkpointLsn;',
      },
    ],
  },
  {
    name: 'found-redo-not-synced',
    rule: 'what a dead process wrote counts as durable only once it was synced',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/log-recovery.ts',
        find: `  await chain.files.at(-1)?.sync();
`,
        replace: '',
      },
    ],
  },
  {
    name: 'changed-while-lent',
    rule: 'whatever changes a log that is lent takes it back first',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/redo-log.ts',
        find: `    const lent = this.#lent;
    this.#lent = undefined;
`,
        replace: `    const lent = this.#isClosed ? this.#lent : undefined;
`,
      },
    ],
  },
  {
    name: 'promise-while-lent',
    rule: 'a stream whose epoch is over takes nothing more, and all that it acknowledged counts in the promise',
    edits: [
      {
        file: 'storage-daemon/src/redo-log/redo-log.ts',
        find: `  flushed(): Promise<void> {
    this.takeBack();
`,
        replace: `  flushed(): Promise<void> {
`,
      },
      {
        file: 'storage-daemon/src/service/stream-lane.ts',
        find: `    this.#letGo();
    this.#takeBack();
`,
        replace: `    this.#letGo();
`,
      },
    ],
  },
];
