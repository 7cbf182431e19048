import type { Mutation } from './mutation.ts';

/** Copies between peers, tails, and the quorums of mixed copies. */
export const COPIES: readonly Mutation[] = [
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
    name: 'copy-knows-its-source-only',
    rule: 'a copied segment knows the newest history and the highest epoch that its peers were heard with',
    mixture: 'quorums',
    edits: [
      {
        file: 'storage-daemon/src/peers/copy-segment.ts',
        find: 'const source = underTerms(state, terms);',
        replace: 'const source = underTerms(state, { ...terms, epoch: 0n, history: [] });',
      },
      {
        file: 'storage-daemon/src/peers/copy-segment.ts',
        find: 'const source = underTerms(peer, terms);',
        replace: 'const source = underTerms(peer, { ...terms, epoch: 0n, history: [] });',
      },
    ],
  },
  {
    name: 'tail-drops-early',
    rule: 'a tail’s redo goes only once the stored pages of every full segment have it',
    edits: [
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'await this.log.dropBelow(this.#options.dropLimit(this.#vdl < kept ? this.#vdl : kept));',
        replace: 'await this.log.dropBelow(this.#vdl < kept ? this.#vdl : kept);',
      },
    ],
  },
  {
    name: 'tail-drops-past-vdl',
    rule: 'of a tail’s redo nothing past VDL goes: a later history may annul it',
    mixture: 'tails',
    edits: [
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'this.#options.dropLimit(this.#vdl < kept ? this.#vdl : kept)',
        replace: 'this.#options.dropLimit(kept)',
      },
    ],
  },
  {
    name: 'tail-drops-its-last-batch',
    rule: 'a tail’s log keeps the batch that ends where it is durable',
    mixture: 'tails',
    edits: [
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'const kept = this.durable.lsn - 1n;',
        replace: 'const kept = this.tail.lsn;',
      },
    ],
  },
  {
    name: 'tail-start-not-noted',
    rule: 'where a tail’s log starts is noted before all of it may be annulled',
    mixture: 'tails',
    edits: [
      {
        file: 'storage-daemon/src/segment/epochs.ts',
        find: "...(before.role === 'TAIL' ? { logStart: storage.start } : {}),",
        replace: '',
      },
      {
        file: 'storage-daemon/src/segment/tail-storage.ts',
        find: 'if (start.lsn > logStart.lsn) await options.onStart(start);',
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
    name: 'stand-in-gives-up-early',
    rule: 'a tail that stands in gives its pages up only once the full segment has stored all that is in them',
    mixture: 'stand-ins',
    edits: [
      {
        file: 'storage-daemon/src/peers/stand-in-plan.ts',
        find: 'full.checkpointLsn >= own.checkpointLsn;',
        replace: 'full.checkpointLsn >= 0n;',
      },
    ],
  },
  {
    name: 'stand-in-of-another-zone',
    rule: 'tails drop redo on the word of who stands in for that very full segment',
    mixture: 'stand-ins',
    edits: [
      {
        file: 'storage-daemon/src/peers/peer-table.ts',
        find: 'told.standsInFor === peerId)',
        replace: 'told.standsInFor !== undefined)',
      },
    ],
  },
  {
    name: 'stand-in-begins-its-log-anew',
    rule: 'a tail whose log ends before the pages that it holds lets go of the pages, not of the log',
    mixture: 'stand-ins',
    edits: [
      {
        file: 'storage-daemon/src/segment/open-storage.ts',
        find: "if (control.role === 'TAIL' && log.tail.lsn < checkpoint.lsn)",
        replace: 'if (log.tail.lsn < 0n)',
      },
    ],
  },
];
