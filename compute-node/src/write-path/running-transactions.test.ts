import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildRecord, OPCODE, RMGR, type Lsn } from '@kube-aurora/pg-format';
import { RunningTransactions } from './running-transactions.ts';

const HAS_INFO = 0x80;
const HAS_SUBXACTS = 0x002;

function record(rmid: number, info: number, xid: number, mainData = Buffer.alloc(8)): Buffer {
  return buildRecord({ rmid, info, xid, prev: 0n as Lsn, mainData });
}
const change = (xid: number): Buffer => record(RMGR.HEAP, OPCODE.HEAP.INSERT, xid);
/** COMMIT or ABORT of a transaction, or ABORT of a subtransaction, with those below it. */
function end(opcode: number, xid: number, subxids: readonly number[]): Buffer {
  if (subxids.length === 0) return record(RMGR.XACT, opcode, xid);
  const data = Buffer.alloc(16 + 4 * subxids.length);
  data.writeUInt32LE(HAS_SUBXACTS, 8);
  data.writeInt32LE(subxids.length, 12);
  for (const [index, subxid] of subxids.entries()) data.writeUInt32LE(subxid, 16 + 4 * index);
  return record(RMGR.XACT, opcode | HAS_INFO, xid, data);
}
function prepare(xid: number, subxids: readonly number[]): Buffer {
  const gid = Buffer.from('some\0');
  const data = Buffer.alloc(72 + 8 + 4 * subxids.length);
  data.writeUInt32LE(xid, 8);
  data.writeInt32LE(subxids.length, 28);
  data.writeUInt16LE(gid.length, 54);
  gid.copy(data, 72);
  for (const [index, subxid] of subxids.entries()) data.writeUInt32LE(subxid, 80 + 4 * index);
  return record(RMGR.XACT, OPCODE.XACT.PREPARE, xid, data);
}
function runningXacts(oldest: number): Buffer {
  const data = Buffer.alloc(20);
  data.writeUInt32LE(oldest, 16);
  return record(RMGR.STANDBY, OPCODE.STANDBY.RUNNING_XACTS, 0, data);
}

/** Records, one at each LSN from 100 on; gives where the oldest transaction began. */
function after(...records: readonly Buffer[]): number | undefined {
  const running = new RunningTransactions();
  for (const [index, raw] of records.entries()) {
    // Within others' bytes, as in the WAL.
    running.note(100 + index, Buffer.concat([Buffer.alloc(8), raw]), 8, raw.length);
  }
  return running.oldestLsn;
}

const { COMMIT, ABORT, COMMIT_PREPARED } = OPCODE.XACT;

test.each([
  ['nobody', [change(0)], undefined],
  ['one that has changed something', [change(0), change(7), change(7)], 101],
  ['the older of two', [change(7), change(8)], 100],
  ['the younger, when the older has committed', [change(7), change(8), end(COMMIT, 7, [])], 101],
  ['nobody, when all have ended', [change(7), change(8), end(ABORT, 8, []), end(COMMIT, 7, [])], undefined],
  ['a transaction whose subtransaction was rolled back', [change(7), change(8), end(ABORT, 8, [])], 100],
  ['a subtransaction, until its transaction ends', [change(8), change(9)], 100],
  ['nobody, when a transaction ended with its subtransactions', [change(8), change(9), end(COMMIT, 7, [8, 9])], undefined],
  ['nobody, when it was prepared: it runs no commands any more', [change(7), change(8), prepare(7, [8])], undefined],
  ['nobody, when what was prepared is committed', [change(7), prepare(7, []), end(COMMIT_PREPARED, 0, [])], undefined],
  ['nobody that PostgreSQL does not list as running', [change(7), change(9), runningXacts(9)], 101],
  ['one that began after xids went round', [change(0xffff_fffe), change(5), runningXacts(5)], 101],
] as const)('the oldest is that of %s', (_, records, oldest) => {
  expect(after(...records)).toBe(oldest);
});

test('never goes back, and never passes a record of one that has not ended', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('change' as const), xid: fc.integer({ min: 3, max: 12 }) }),
    fc.record({ kind: fc.constant('end' as const), xid: fc.integer({ min: 3, max: 12 }), commits: fc.boolean() }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const running = new RunningTransactions();
      const first = new Map<number, number>();
      let nextXid = 100;
      const names = new Map<number, number>();
      let before = 0;
      for (const [index, { kind, xid: name, ...rest }] of steps.entries()) {
        const xid = names.get(name) ?? nextXid++;
        names.set(name, xid);
        const raw = kind === 'change' ? change(xid) : end('commits' in rest && rest.commits ? COMMIT : ABORT, xid, []);
        running.note(index + 1, raw, 0, raw.length);
        if (kind === 'change') {
          if (!first.has(xid)) first.set(xid, index + 1);
        } else {
          // An xid is used once.
          first.delete(xid);
          names.delete(name);
        }
        expect(running.oldestLsn).toBe(first.size === 0 ? undefined : Math.min(...first.values()));
        const now = running.oldestLsn ?? index + 1;
        expect(now).toBeGreaterThanOrEqual(before);
        before = now;
      }
    }),
  );
});
