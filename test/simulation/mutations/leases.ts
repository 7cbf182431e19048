import type { Mutation } from './mutation.ts';

/** Who may answer clients, and for how long. */
export const LEASES: readonly Mutation[] = [
  {
    name: 'earlier-lease-not-awaited',
    rule: 'a writer answers nobody while an earlier writer’s lease may be live',
    mixture: 'leases',
    edits: [
      { file: 'packages/volume/src/lease.ts', find: 'const isOver = one.untilMs <= now ||', replace: 'const isOver = one.untilMs > 0 ||' },
    ],
  },
  {
    name: 'last-lease-remembered-alone',
    rule: 'a segment remembers the leases of all writers that may be live, not of the last alone',
    mixture: 'leases',
    edits: [
      {
        file: 'packages/volume/src/lease.ts',
        find: 'return bounded([...others, { epoch: holder.epoch, writerId: holder.writerId, untilMs, isGivenBack: false }]);',
        replace:
          'return bounded([{ epoch: holder.epoch, writerId: holder.writerId, untilMs, isGivenBack: false }].concat(others.slice(1e9)));',
      },
    ],
  },
  {
    name: 'lease-counted-from-the-answer',
    rule: 'a writer counts its lease from before it asked',
    mixture: 'leases',
    edits: [
      {
        file: 'compute-node/src/lease/writer-lease.ts',
        find: 'this.#askedAtMs[index] = askedAtMs;',
        replace: 'this.#askedAtMs[index] = clock.now();',
      },
    ],
  },
  {
    name: 'lease-of-few',
    rule: 'a lease holds only as far as a write quorum granted it',
    mixture: 'leases',
    edits: [
      { file: 'packages/volume/src/lease.ts', find: 'if (quorums.isWrite(granted)) latest', replace: 'if (granted.length >= 2) latest' },
    ],
  },
  {
    name: 'leases-asked-of-few',
    rule: 'a new writer asks a promise quorum which leases may be live',
    mixture: 'leases',
    edits: [
      {
        file: 'packages/volume/src/lease.ts',
        find: 'if (!this.#quorums.isPromise(heard)) return',
        replace: 'if (heard.length < 1) return',
      },
    ],
  },
  {
    name: 'overtaken-writer-granted',
    rule: 'a segment grants a lease only to the writer that it obeys',
    mixture: 'leases',
    edits: [
      {
        file: 'storage-daemon/src/segment/leases.ts',
        find: 'if (epoch === promised && writerId === promisedTo) return;',
        replace: 'return;',
      },
      {
        file: 'storage-daemon/src/segment/leases.ts',
        find: `    refuseLower(epoch);
`,
        replace: '',
      },
    ],
  },
  {
    name: 'leases-forgotten-at-restart',
    rule: 'a daemon that starts takes every lease that was noted for granted just before',
    mixture: 'leases',
    edits: [
      {
        file: 'storage-daemon/src/segment/leases.ts',
        find: 'untilMs: now + storageLeaseMs(leaseMs),',
        replace: 'untilMs: now + 0 * leaseMs,',
      },
    ],
  },
  {
    name: 'given-back-while-alive',
    rule: 'a lease is given back only when the database is dead',
    mixture: 'leases',
    edits: [
      {
        file: 'compute-node/src/session/session-machine.ts',
        find: `    await database.kill();
    // Not before`,
        replace: `    void release(end);
    await database.kill();
    // Not before`,
      },
    ],
  },
  {
    name: 'clocks-taken-for-true',
    rule: 'storage takes a lease for live for longer than its writer does, by what their clocks may differ',
    mixture: 'leases',
    edits: [
      {
        file: 'packages/volume/src/lease.ts',
        find: 'return Math.ceil((leaseMs * (1 + CLOCK_DRIFT)) / (1 - CLOCK_DRIFT));',
        replace: 'return leaseMs;',
      },
    ],
  },
];
