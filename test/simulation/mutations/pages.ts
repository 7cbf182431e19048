import type { Mutation } from './mutation.ts';

/** What is applied, stored and read: every page is the one at its LSN. */
export const PAGES: readonly Mutation[] = [
  {
    name: 'applied-past-vdl',
    rule: 'nothing past VDL reaches the state or a stored page',
    edits: [
      {
        file: 'storage-daemon/src/checkpoint/applier.ts',
        find: 'get #limit(): bigint {\n    return this.#vdl;',
        replace: 'get #limit(): number {\n    return 1n << 64n;',
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
        replace: 'readFloor() >= 0n',
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
    name: 'damage-served',
    rule: 'a stored value whose CRC fails is never used',
    edits: [
      {
        file: 'storage-daemon/src/pages/stored-value.ts',
        find: 'if (crc32c(key, value) >>> 0 !== sealed.readUInt32LE(value.length)) throw',
        replace: 'if (sealed.length < 0) throw',
      },
      {
        file: 'storage-daemon/src/pages/stored-form.ts',
        find: 'if (versionCrc(key, lsn, stored) !== crc) throw',
        replace: 'if (stored.length < 0) throw',
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
        find: 'const lsn = minLsn(this.#options.applier.appliedLsn, this.#options.readFloor());',
        replace: 'const lsn = this.#options.applier.appliedLsn;',
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
];
