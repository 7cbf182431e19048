import type { Mixture } from './mix.ts';

/**
 * One line for each rule of the protocol, and how to break it. The random runs must find every one of them: a rule
 * whose break nobody sees is either not needed or not tried. `npm run simulate:mutations` breaks them one at a time.
 */
export interface Mutation {
  readonly name: string;
  /** The rule that is broken. */
  readonly rule: string;
  /** One, unless a rule stands on several lines, each of which is enough. */
  readonly edits: readonly Edit[];
  /** Whose seeds are to find it; `any` unless given. */
  readonly mixture?: Mixture;
}

export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTATIONS: readonly Mutation[] = [
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
    ],
  },
  {
    name: 'promise-not-durable',
    rule: 'an epoch counts only once it is in the control file',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: `        await control.save({});
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
    name: 'applied-past-vdl',
    rule: 'nothing past VDL reaches the state or a stored page',
    edits: [
      {
        file: 'storage-daemon/src/checkpoint/applier.ts',
        find: 'get #limit(): number {\n    return this.#vdl;',
        replace: 'get #limit(): number {\n    return Infinity;',
      },
    ],
  },
  {
    name: 'vdl-of-another-history',
    rule: 'a VDL counts only from someone with the same history',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: 'return this.#annulling === undefined && epoch === lastEpoch(this.#parts.control.value.history);',
        replace: 'return epoch >= 0n;',
      },
    ],
  },
  {
    name: 'checkpoint-past-pgmrpl',
    rule: 'page versions that a compute may still read are not replaced',
    edits: [
      {
        file: 'storage-daemon/src/checkpoint/checkpointer.ts',
        find: 'readFloor() >= target.lsn',
        replace: 'readFloor() >= 0',
      },
    ],
  },
  {
    name: 'removed-before-checkpoint',
    rule: 'what was dropped shows no more once its removal is due',
    edits: [
      {
        file: 'storage-daemon/src/pages/tombstones.ts',
        find: 'if (this.#bySpace.size > 0) last =',
        replace: 'if (this.#bySpace.size > 1e9) last =',
      },
    ],
  },
  {
    name: 'checkpoint-not-durable',
    rule: 'the checkpoint is set only when every page before it is durable',
    edits: [
      {
        file: 'storage-daemon/src/pages/page-store.ts',
        find: 'return this.#exclusive(() => this.#flush(operations));',
        replace: 'return this.#exclusive(() => this.#flush(operations, new Map()));',
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
    name: 'damage-served',
    rule: 'a stored value whose CRC fails is never used',
    edits: [
      {
        file: 'storage-daemon/src/pages/stored-value.ts',
        find: 'if (crc32c(key, value) >>> 0 !== sealed.readUInt32LE(value.length)) throw',
        replace: 'if (sealed.length < 0) throw',
      },
      {
        file: 'storage-daemon/src/pages/page-store.ts',
        find: 'if (page !== undefined && versionCrc(key, place.lsn, page) === place.crc)',
        replace: 'if (page !== undefined)',
      },
    ],
  },
  {
    name: 'read-before-applied',
    rule: 'a page is served only when all redo below its LSN is applied',
    edits: [
      {
        file: 'storage-daemon/src/segment/readable-at.ts',
        find: 'if (storage.hasApplied(lsn)) return storage;',
        replace: 'if (lsn >= 0n) return storage;',
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
        file: 'storage-daemon/src/segment/segment.ts',
        find: 'if (!isBatchValid(this.control.history, header)) {',
        replace: 'if (header.epoch < 0n) {',
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
    name: 'page-of-before-drop',
    rule: 'a page that was dropped is made anew from what came after: no version of before counts',
    edits: [
      {
        file: 'storage-daemon/src/pages/page-plan.ts',
        find: 'if (version === undefined || version.lsn <= floor) return',
        replace: 'if (version === undefined) return',
      },
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
    name: 'copy-recovers-nothing',
    rule: 'a copied segment counts only once it has what its peers show to be acknowledged',
    edits: [
      {
        file: 'storage-daemon/src/peers/peer-plan.ts',
        find: 'const recoverToLsn = highest(members.map((peer) => countedScl(newest, peer.state)));',
        replace: 'const recoverToLsn = members.length < 0 ? countedScl(newest, own) : 0n;',
      },
    ],
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
    name: 'read-floor-past-reads',
    rule: 'the read floor is at or below every read under way',
    edits: [
      {
        file: 'compute-node/src/read-path/read-floor.ts',
        find: 'const floor = oldest !== undefined && oldest < vdl ? oldest : vdl;',
        replace: 'const floor = oldest === -1n ? oldest : vdl;',
      },
    ],
  },
  {
    name: 'long-chain-past-pgmrpl',
    rule: 'a page that is stored ahead of the checkpoint is not past what may still be read',
    edits: [
      {
        file: 'storage-daemon/src/checkpoint/long-chains.ts',
        find: 'const lsn = Math.min(this.#parts.applier.appliedLsn, this.#parts.readFloor());',
        replace: 'const lsn = this.#parts.applier.appliedLsn;',
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
    name: 'removals-not-durable',
    rule: 'the note of what is to be removed goes only once the removals are durable',
    edits: [
      {
        file: 'storage-daemon/src/pages/page-store.ts',
        find: "this.#flush([{ type: 'del', key: REMOVALS_KEY }])",
        replace: "this.#flush([{ type: 'del', key: REMOVALS_KEY }], new Map())",
      },
    ],
  },
  {
    name: 'tail-drops-early',
    rule: 'a tail’s redo goes only once the stored pages of every full segment have it',
    edits: [
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'await this.log.dropBelow(this.#parts.dropLimit(this.durable.lsn - 1n));',
        replace: 'await this.log.dropBelow(this.durable.lsn - 1n);',
      },
    ],
  },
  {
    name: 'tail-drops-its-last-batch',
    rule: 'a tail’s log keeps the batch that ends where it is durable',
    edits: [
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'this.#parts.dropLimit(this.durable.lsn - 1n)',
        replace: 'this.#parts.dropLimit(this.tail.lsn)',
      },
    ],
  },
  {
    name: 'tail-start-not-noted',
    rule: 'where a tail’s log starts is noted before all of it may be annulled',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: "...(before.role === 'TAIL' ? { logStart: storage.start } : {}),",
        replace: '',
      },
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'if (start.lsn > logStart.lsn) await parts.onStart(start);',
        replace: '',
      },
    ],
  },
  {
    name: 'two-full-ones-write',
    rule: 'of mixed copies, less than four are a write quorum only when all full ones are among them',
    edits: [
      {
        file: 'packages/volume/src/quorum.ts',
        find: '(this.#isMixed && full === this.#fulls);',
        replace: '(this.#isMixed && full >= 2);',
      },
    ],
  },
  {
    name: 'three-tails-read',
    rule: 'three segments hold what was durable only when one of them is full',
    mixture: 'quorums',
    edits: [
      {
        file: 'packages/volume/src/quorum.ts',
        find: 'return all >= READ_QUORUM && full >= 1;',
        replace: 'return all >= READ_QUORUM;',
      },
    ],
  },
  {
    name: 'write-quorum-promises',
    rule: 'a promise takes four segments with two full ones: two of every write quorum',
    mixture: 'quorums',
    edits: [
      {
        file: 'packages/volume/src/quorum.ts',
        find: 'return all >= WRITE_QUORUM && (!this.#isMixed || full >= FULL_PROMISES);',
        replace: 'return this.isWrite(members);',
      },
    ],
  },
  {
    name: 'copy-knows-its-source-only',
    rule: 'a copied segment knows the newest history and the highest epoch that its peers were heard with',
    mixture: 'quorums',
    edits: [
      {
        file: 'storage-daemon/src/peers/copy-segment.ts',
        find: 'source = underTerms(chunk.state, terms);',
        replace: 'source = underTerms(chunk.state, { ...terms, epoch: 0n, history: [] });',
      },
      {
        file: 'storage-daemon/src/peers/copy-segment.ts',
        find: 'const source = underTerms(peer, terms);',
        replace: 'const source = underTerms(peer, { ...terms, epoch: 0n, history: [] });',
      },
    ],
  },
];
