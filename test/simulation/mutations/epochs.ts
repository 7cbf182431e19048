import type { Mutation } from './mutation.ts';

/** Promises, histories, and where an epoch begins: one writer, and nothing acknowledged is lost. */
export const EPOCHS: readonly Mutation[] = [
  {
    name: 'promise-not-durable',
    rule: 'an epoch counts only once it is in the control file',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: `        await control.save({ leases: notedLeases({ epoch, writerId }, leaseMs) });
        logger.info(`,
        replace: '        logger.info(',
      },
    ],
  },
  {
    name: 'lower-epochs-served',
    rule: 'a segment refuses every epoch below the one it has promised',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: 'if (epoch < promised) throw',
        replace: 'if (epoch < 0n) throw',
      },
    ],
  },
  {
    name: 'two-writers-of-an-epoch',
    rule: 'an epoch has one writer',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: "if (epoch === before.epoch && before.writerId !== '' && before.writerId !== writerId) {",
        replace: 'if (epoch < 0n) {',
      },
    ],
  },
  {
    name: 'write-quorum-of-three',
    rule: 'redo is durable, and an epoch promised, on four of six',
    edits: [
      {
        file: 'packages/volume/src/quorum.ts',
        find: 'export const WRITE_QUORUM = 4;',
        replace: 'export const WRITE_QUORUM = 3;',
      },
    ],
  },
  {
    name: 'older-history-adopted',
    rule: 'a history counts over another only when its last epoch is the higher one, and not below the one promised',
    edits: [
      {
        file: 'packages/volume/src/epoch-history.ts',
        find: 'const newer = lastEpoch(incoming) > lastEpoch(own) && lastEpoch(incoming) >= segmentEpoch;',
        replace: 'const newer = incoming.length > 0 && lastEpoch(incoming) !== lastEpoch(own);',
      },
    ],
  },
  {
    name: 'annulled-redo-kept',
    rule: 'a new history annuls what it rules out',
    edits: [
      {
        file: 'packages/volume/src/epoch-history.ts',
        find: 'if (limit === undefined || run.toLsn <= limit) continue;',
        replace: 'if (limit !== -2n) continue;',
      },
    ],
  },
  {
    name: 'shortest-log-chosen',
    rule: 'an epoch starts at the end of the longest log among those that promised',
    edits: [
      {
        file: 'packages/volume/src/choose-start.ts',
        find: 'return scl > highest ? scl : highest;',
        replace: 'return highest === 0n || scl < highest ? scl : highest;',
      },
    ],
  },
  {
    name: 'promises-not-confirmed',
    rule: 'an opener chooses its start only from promises that were all held at one moment',
    mixture: 'quorums',
    edits: [
      {
        file: 'packages/volume/src/open-protocol.ts',
        find: "const isConfirmed = this.#step === 'confirm';",
        replace: "const isConfirmed = this.#step !== 'status';",
      },
    ],
  },
  {
    name: 'vdl-of-another-history',
    rule: 'a VDL counts only from someone with the same history',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: 'return this.#annulling === undefined && epoch === lastEpoch(this.#options.control.value.history);',
        replace: 'return epoch >= 0n;',
      },
    ],
  },
  {
    name: 'recovering-segment-promises',
    rule: 'a segment that may have lost acknowledged redo promises nothing until it has it again',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: 'if (lifecycle.mustRecover) {',
        replace: 'if (epoch < 0n) {',
      },
    ],
  },
  {
    name: 'control-file-not-in-directory',
    rule: 'the control file is replaced durably',
    edits: [
      {
        file: 'storage-daemon/src/segment/control-file.ts',
        find: 'await disk.syncDirectory(dirname(path));',
        replace: '',
      },
    ],
  },
  {
    name: 'overtaken-writer-acknowledged',
    rule: 'a writer that was overtaken is told so, and acknowledges nothing more',
    edits: [
      {
        file: 'storage-daemon/src/segment/writer-sessions.ts',
        find: 'if (session.epoch >= epoch) continue;',
        replace: 'if (session.epoch >= 0n) continue;',
      },
      { file: 'compute-node/src/write-path/segment-stream.ts', find: 'if (response.epoch !== epoch) return;', replace: '' },
      { file: 'compute-node/src/write-path/segment-stream.ts', find: 'if (response.epoch > epoch) {', replace: 'if (epoch < 0n) {' },
    ],
  },
  {
    name: 'durable-redo-annulled',
    rule: 'a history that annuls redo that is durable is refused',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: `    throwRefusal(this.#refusalOf(incoming), field);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'epoch-behind-history',
    rule: 'a segment’s epoch is never below the last one of its history',
    edits: [{ file: 'storage-daemon/src/segment/epochs.ts', find: "if (epoch > before.epoch) this.#raise(epoch, '');", replace: '' }],
  },
  {
    name: 'scl-without-history',
    rule: 'a segment’s SCL counts only once it has the writer’s history',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: "await this.#install(history, 'hello.history');",
        replace: '',
      },
    ],
  },
  {
    name: 'found-promise-not-synced',
    rule: 'what a dead process promised counts only once it is durable',
    edits: [
      {
        file: 'storage-daemon/src/segment/current-control.ts',
        find: 'if (!this.#isDurable) await this.#disk.syncDirectory(this.#directory);',
        replace: '',
      },
    ],
  },
  {
    name: 'promised-told-durable',
    rule: 'what flushes have returned for is told as durable only when a quorum holds it',
    edits: [
      {
        file: 'compute-node/src/write-path/write-path.ts',
        find: 'this.#watch?.({ durableLsn, promisedLsn: target });',
        replace: 'this.#watch?.({ durableLsn: target > durableLsn ? target : durableLsn, promisedLsn: target });',
      },
    ],
  },
  {
    name: 'returned-before-told',
    rule: 'how far flushes are promised is told before any of them returns',
    edits: [
      {
        file: 'compute-node/src/write-path/write-path.ts',
        find: 'if (target > this.#promisedLsn) {',
        replace: 'if (target < this.#promisedLsn) {',
      },
    ],
  },
];
