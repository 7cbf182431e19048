import {
  decodeCheckpoint,
  decodeRecord,
  lsn,
  OPCODE,
  recordEndLsn,
  recordStart,
  RMGR,
  segmentStart,
  WAL_SEGMENT_BYTES,
  WalStreamDecoder,
  type Lsn,
  type StreamRecord,
} from '@kube-aurora/pg-format';
import type { VolumeState } from '@kube-aurora/redo';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { fixtureState } from '../postgres/fixture-state.ts';
import { makePrivateChain, type PrivateChain } from './private-chain.ts';

/** A state whose last record has so many bytes and begins at `at`, or past the header of the page that begins there. */
function stateAfter(at: bigint, bytes: number, isSwitch: boolean): VolumeState {
  const state = fixtureState();
  Object.assign(state.control, { maxConnections: 100 });
  const inPage = at % 8192n;
  state.lastRecordLsn = recordStart(lsn(inPage < 40n ? at - inPage : at));
  state.endLsn = recordEndLsn(state.lastRecordLsn, bytes, isSwitch);
  return state;
}

/** The chain's records, read as PostgreSQL reads them: from pg_control's checkpoint on, page by page. */
function read(chain: PrivateChain): StreamRecord[] {
  // The first record of a page comes after the page's header.
  const pageLsn = lsn(chain.checkpointLsn - (chain.checkpointLsn % 8192n));
  const start = recordStart(pageLsn) === chain.checkpointLsn ? pageLsn : chain.checkpointLsn;
  const decoder = new WalStreamDecoder(start);
  const records: StreamRecord[] = [];
  for (const { lsn: pageLsn, bytes } of chain.walPages) {
    const from = pageLsn < start ? Number(start - pageLsn) : 0;
    decoder.push(bytes.subarray(from, Math.min(bytes.length, Number(chain.endLsn - pageLsn))));
    for (let record = decoder.next(); record !== undefined; record = decoder.next()) {
      records.push({ ...record, raw: Buffer.from(record.raw) });
    }
  }
  return records;
}

const place = fc.bigInt({ min: BigInt(WAL_SEGMENT_BYTES) / 8n + 100n, max: (3n * BigInt(WAL_SEGMENT_BYTES)) / 8n }).map((at) => at * 8n);
/** Near the ends of pages and segments more often. */
const edges = fc
  .tuple(fc.integer({ min: 1, max: 4000 }), fc.integer({ min: -30, max: 30 }))
  .map(([page, by]) => BigInt(WAL_SEGMENT_BYTES) + BigInt(page) * 8192n + BigInt(by) * 8n);
const segmentEdge = fc.integer({ min: -300, max: 10 }).map((by) => 2n * BigInt(WAL_SEGMENT_BYTES) + BigInt(by) * 8n);
const length = fc.oneof(fc.integer({ min: 24, max: 400 }), fc.integer({ min: 400, max: 40_000 }));

it('ends at X with a record that begins where the volume’s last one does, each names the one before it', () => {
  fc.assert(
    fc.property(fc.oneof(place, edges, segmentEdge), length, fc.nat(20), fc.boolean(), (at, bytes, running, locked) => {
      const state = stateAfter(at, bytes, false);
      state.transactions.observe(750 + running);
      if (locked) state.locks.set(750, [{ dbOid: 5, relOid: 16_384 }]);
      const chain = makePrivateChain(state, 1_700_000_000_000);
      const records = read(chain);
      expect(records.map(({ raw }) => `${raw[17]}/${raw[16]}`)).toEqual([
        `${RMGR.XLOG}/${OPCODE.XLOG.CHECKPOINT_ONLINE}`,
        ...(locked ? [`${RMGR.STANDBY}/${OPCODE.STANDBY.LOCK}`] : []),
        `${RMGR.STANDBY}/${OPCODE.STANDBY.RUNNING_XACTS}`,
        `${RMGR.XLOG}/${OPCODE.XLOG.NOOP}`,
      ]);
      expect(records[0]?.lsn).toBe(chain.checkpointLsn);
      expect([records.at(-1)?.lsn, records.at(-1)?.endLsn]).toEqual([state.lastRecordLsn, state.endLsn]);
      let before: Lsn | undefined;
      for (const record of records) {
        const { prev } = decodeRecord(record.raw, record.lsn);
        if (before === undefined) expect(prev).toBeLessThan(record.lsn);
        else expect(prev).toBe(before);
        before = record.lsn;
      }
    }),
    { numRuns: 300 },
  );
});

it('tells every transaction that may run: also those whose xid no record has shown', () => {
  const state = stateAfter(0x300_4018n, 100, false);
  state.transactions.observe(760);
  for (const ended of [751, 752]) state.transactions.finish(ended);
  state.locks.set(755, [
    { dbOid: 5, relOid: 16_384 },
    { dbOid: 5, relOid: 16_385 },
  ]);
  const [checkpoint, locks, running] = read(makePrivateChain(state, 1_700_000_000_000)).map(
    ({ raw, lsn: at }) => decodeRecord(raw, at).mainData,
  );
  expect(decodeCheckpoint(checkpoint ?? Buffer.alloc(0))).toMatchObject({ nextXid: 761n, oldestActiveXid: 750, time: 1_700_000_000n });
  expect(locks?.length).toBe(4 + 2 * 12);
  const words = Array.from({ length: 15 }, (_, i) => running?.readUInt32LE(i * 4));
  // Count, subtransactions, overflowed, next xid, oldest, newest that ended; then they.
  expect(words).toEqual([9, 0, 0, 761, 750, 760, 750, 753, 754, 755, 756, 757, 758, 759, 760]);
});

it('stands in for an XLOG_SWITCH, which runs to its segment’s end', () => {
  const state = stateAfter(BigInt(WAL_SEGMENT_BYTES) + 0x4000n, 24, true);
  expect(state.endLsn).toBe(segmentStart(state.endLsn));
  expect(read(makePrivateChain(state, 0)).at(-1)).toMatchObject({ lsn: state.lastRecordLsn, endLsn: state.endLsn });
});

it('tells of no transactions where a standby could not keep them all: it waits for the writer to log them', () => {
  const state = stateAfter(0x300_4018n, 100, false);
  Object.assign(state.control, { maxConnections: 2 });
  state.transactions.observe(750 + 130);
  const chain = makePrivateChain(state, 0);
  expect(chain.namesRunning).toBe(false);
  expect(read(chain)).toHaveLength(2);
});
