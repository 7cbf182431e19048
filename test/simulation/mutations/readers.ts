import type { Mutation } from './mutation.ts';

/** What readers are given. */
export const READERS: readonly Mutation[] = [
  {
    name: 'readers-sent-past-vdl',
    rule: 'a reader is sent what is durable and nothing else',
    mixture: 'readers',
    edits: [
      {
        file: 'storage-daemon/src/segment/redo-storage.ts',
        find: 'return this.vdl < lsn ? this.vdl : lsn;',
        replace: 'return lsn;',
      },
      {
        file: 'compute-node/src/reader/redo-feed.ts',
        find: 'if (batch.header.endLsn > vdl)',
        replace: 'if (vdl < 0n)',
      },
    ],
  },
  {
    name: 'reader-goes-on-anywhere',
    rule: 'redo of another segment is given only from where that of the one before ended',
    mixture: 'readers',
    edits: [
      {
        file: 'compute-node/src/reader/redo-feed.ts',
        find: '  if (header.backlink > position || header.endLsn <= position) throw wrong();',
        replace: '  return { startLsn: position, endLsn: header.endLsn, records };',
      },
      {
        file: 'compute-node/src/reader/redo-feed.ts',
        find: `    // What waits came from the source before: this one sends it again.
    this.#waiting = [];`,
        replace: '',
      },
    ],
  },
  {
    name: 'reader-begins-with-a-whole-batch',
    rule: 'a batch that begins before what is wanted is cut where that begins',
    mixture: 'readers',
    edits: [
      {
        file: 'compute-node/src/reader/redo-feed.ts',
        find: 'records: records.subarray(skipped) };',
        replace: 'records };',
      },
    ],
  },
];
