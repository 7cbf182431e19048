/**
 * One line for each rule of the protocol, and how to break it. The random runs must find every one of them: a rule whose break
 * nobody sees is either not needed or not tried. `npm run simulate:mutations` breaks them one at a time.
 */
export interface Mutation {
  readonly name: string;
  /** The rule that is broken. */
  readonly rule: string;
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'acknowledged-before-sync',
    rule: 'a segment acknowledges redo only when it is on its disk',
    file: 'storage-daemon/src/redo-log/group-commit.ts',
    find: 'else await file.sync();',
    replace: '',
  },
  {
    name: 'promise-not-durable',
    rule: 'an epoch counts only once it is in the control file',
    file: 'storage-daemon/src/segment/epochs.ts',
    find: `        await control.save({});
        logger.info(`,
    replace: '        logger.info(',
  },
  {
    name: 'lower-epochs-served',
    rule: 'a segment refuses every epoch below the one it has promised',
    file: 'storage-daemon/src/segment/epochs.ts',
    find: 'if (epoch < promised) throw',
    replace: 'if (epoch < 0n) throw',
  },
  {
    name: 'two-writers-of-an-epoch',
    rule: 'an epoch has one writer',
    file: 'storage-daemon/src/segment/epochs.ts',
    find: "if (epoch === before.epoch && before.writerId !== '' && before.writerId !== writerId) {",
    replace: 'if (epoch < 0n) {',
  },
  {
    name: 'write-quorum-of-three',
    rule: 'redo is durable, and an epoch promised, on four of six',
    file: 'packages/volume/src/quorum.ts',
    find: 'export const WRITE_QUORUM = 4;',
    replace: 'export const WRITE_QUORUM = 3;',
  },
  {
    name: 'older-history-adopted',
    rule: 'a history counts over another only when its last epoch is the higher one, and not below the one promised',
    file: 'packages/volume/src/epoch-history.ts',
    find: 'const newer = lastEpoch(incoming) > lastEpoch(own) && lastEpoch(incoming) >= segmentEpoch;',
    replace: 'const newer = incoming.length > 0 && lastEpoch(incoming) !== lastEpoch(own);',
  },
  {
    name: 'annulled-redo-kept',
    rule: 'a new history annuls what it rules out',
    file: 'packages/volume/src/epoch-history.ts',
    find: 'if (limit === undefined || run.toLsn <= limit) continue;',
    replace: 'if (limit !== -2n) continue;',
  },
  {
    name: 'shortest-log-chosen',
    rule: 'an epoch starts at the end of the longest log among those that promised',
    file: 'packages/volume/src/open-protocol.ts',
    find: 'return scl > highest ? scl : highest;',
    replace: 'return highest === 0n || scl < highest ? scl : highest;',
  },
  {
    name: 'unlinked-batch-taken',
    rule: 'a batch is taken only when it links to the end of the log, in place and in epoch',
    file: 'storage-daemon/src/redo-log/log-chain.ts',
    find: "if (header.backlink < end.lsn || header.previousEpoch !== end.epoch) return 'forked';",
    replace: "if (header.backlink < end.lsn) return 'forked';",
  },
  {
    name: 'applied-past-vdl',
    rule: 'nothing past VDL reaches the state or a stored page',
    file: 'storage-daemon/src/checkpoint/applier.ts',
    find: `    const limit = Math.min(this.#vdl, this.#indexedLsn);
    let count = 0;`,
    replace: `    const limit = this.#indexedLsn;
    let count = 0;`,
  },
  {
    name: 'vdl-of-another-history',
    rule: 'a VDL counts only from someone with the same history',
    file: 'storage-daemon/src/segment/epochs.ts',
    find: 'return this.#annulling === undefined && epoch === lastEpoch(this.#parts.control.value.history);',
    replace: 'return epoch >= 0n;',
  },
  {
    name: 'checkpoint-past-pgmrpl',
    rule: 'page versions that a compute may still read are not replaced',
    file: 'storage-daemon/src/checkpoint/checkpointer.ts',
    find: 'readFloor() >= target.lsn',
    replace: 'readFloor() >= 0',
  },
  {
    name: 'redo-applied-twice',
    rule: 'redo that a stored page has already is not applied to it again',
    file: 'storage-daemon/src/pages/page-builder.ts',
    find: 'if (record.lsn < baseLsn) continue;',
    replace: '',
  },
  {
    name: 'removed-before-checkpoint',
    rule: 'what was dropped shows no more once its removal is due',
    file: 'storage-daemon/src/pages/tombstones.ts',
    find: 'return last;\n    }\n    if (this.#byRelation.size > 0) {',
    replace: 'return last;\n    }\n    if (this.#byRelation.size > 1e9) {',
  },
  {
    name: 'checkpoint-not-durable',
    rule: 'the checkpoint is set only when every page before it is durable',
    file: 'storage-daemon/src/pages/page-store.ts',
    find: 'await this.#store.makeDurable();',
    replace: '',
  },
  {
    name: 'recovering-segment-promises',
    rule: 'a segment that may have lost acknowledged redo promises nothing until it has it again',
    file: 'storage-daemon/src/segment/epochs.ts',
    find: 'if (lifecycle.mustRecover) {',
    replace: 'if (epoch < 0n) {',
  },
  {
    name: 'redo-of-another-log-fetched',
    rule: 'redo is fetched only from a log that has the same batch where ours ends',
    file: 'storage-daemon/src/segment/redo-from.ts',
    find: 'if (here !== epoch)',
    replace: 'if (epoch < 0n)',
  },
  {
    name: 'acknowledgement-of-another-epoch',
    rule: 'an SCL counts towards the quorum only with the writer’s own epoch',
    file: 'compute-node/src/write-path/segment-stream.ts',
    find: 'if (response.epoch !== epoch) return;',
    replace: '',
  },
  {
    name: 'overtaken-writer-goes-on',
    rule: 'a writer that hears of a later epoch acknowledges nothing more',
    file: 'compute-node/src/write-path/segment-stream.ts',
    find: 'if (response.epoch > epoch) {',
    replace: 'if (epoch < 0n) {',
  },
  {
    name: 'next-file-before-seal',
    rule: 'a log file is sealed before the next one gets its first byte',
    file: 'storage-daemon/src/redo-log/group-commit.ts',
    find: 'if (before !== undefined) await before.seal();',
    replace: '',
  },
  {
    name: 'log-file-not-in-directory',
    rule: 'a new log file’s directory entry is durable before its content is acknowledged',
    file: 'storage-daemon/src/redo-log/group-commit.ts',
    find: 'await disk.syncDirectory(directory);',
    replace: '',
  },
  {
    name: 'control-file-not-in-directory',
    rule: 'the control file is replaced durably',
    file: 'storage-daemon/src/segment/control-file.ts',
    find: 'await disk.syncDirectory(dirname(path));',
    replace: '',
  },
  {
    name: 'damage-served',
    rule: 'a stored value whose CRC fails is never used',
    file: 'storage-daemon/src/pages/stored-value.ts',
    find: 'if (crc32c(key, value) >>> 0 !== sealed.readUInt32LE(value.length)) throw',
    replace: 'if (sealed.length < 0) throw',
  },
  {
    name: 'read-before-applied',
    rule: 'a page is served only when all redo below its LSN is applied',
    file: 'storage-daemon/src/segment/readable-at.ts',
    find: 'if (storage.hasApplied(lsn)) return storage;',
    replace: 'if (lsn >= 0n) return storage;',
  },
];
