import {
  buildRecord,
  lsn,
  OPCODE,
  RMGR,
  recordEndLsn,
  recordStart,
  WAL_SEGMENT_BYTES,
  WalStreamDecoder,
  type Lsn,
} from '@kube-aurora/pg-format';
import { encodeRedoBatch, REDO_BATCH_HEADER_BYTES, type BatchRecord } from '@kube-aurora/volume';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { DurableRedo } from './durable-redo.ts';
import { HeldWal } from './held-wal.ts';

const PAGE = 8192n;

/** Records of so many bytes of data, one after another, after the record at `prev`; 'switch' fills up the segment. */
function redoOf(startLsn: Lsn, prev: Lsn, lengths: readonly (number | 'switch')[]): { redo: DurableRedo; last: Lsn } {
  const records: BatchRecord[] = [];
  let at = startLsn;
  for (const length of lengths) {
    const isSwitch = length === 'switch';
    const raw = buildRecord({
      rmid: RMGR.XLOG,
      info: isSwitch ? OPCODE.XLOG.SWITCH : OPCODE.XLOG.NOOP,
      xid: 0,
      prev: records.at(-1)?.lsn ?? prev,
      mainData: Buffer.alloc(isSwitch ? 0 : length, 7),
    });
    const start = recordStart(at);
    at = recordEndLsn(start, raw.length, isSwitch);
    records.push({ lsn: start, endLsn: at, raw });
  }
  const batch = encodeRedoBatch({ records, pg: 0, epoch: 1n, backlink: startLsn, previousEpoch: 1n });
  return { redo: { startLsn, endLsn: at, records: batch.subarray(REDO_BATCH_HEADER_BYTES) }, last: records.at(-1)?.lsn ?? prev };
}

const start = fc.bigInt({ min: 3n, max: (2n * BigInt(WAL_SEGMENT_BYTES)) / 8n }).map((at) => {
  const inPage = (at * 8n) % PAGE;
  return lsn(inPage < 40n ? at * 8n - inPage : at * 8n);
});
const length = fc.oneof(fc.nat(300), fc.nat(30_000), fc.constant('switch' as const), fc.constant(400_000));
const step = fc.record({
  lengths: fc.array(length, { minLength: 1, maxLength: 6 }),
  /** Of what was sent the standby has written out so much, in percent. */
  written: fc.nat(100),
  /** It comes anew. */
  resumes: fc.boolean(),
});

it('what is sent is the WAL of the records, each message ends at a record or a page, and what was not written is sent again', () => {
  fc.assert(
    fc.property(start, fc.array(step, { minLength: 1, maxLength: 8 }), (startLsn, steps) => {
      const held = new HeldWal({ systemIdentifier: 1n, timeline: 1, startLsn });
      const decoder = new WalStreamDecoder(startLsn);
      let prev = lsn(0);
      let sent: Lsn = startLsn;
      let decoded: bigint = startLsn;
      for (const { lengths, written, resumes } of steps) {
        const { redo, last } = redoOf(held.endLsn, prev, lengths);
        held.append(redo);
        prev = last;
        if (resumes) sent = held.resumeLsn;
        expect(sent).toBeGreaterThanOrEqual(startLsn);
        for (let message = held.messageFrom(sent); message !== undefined; message = held.messageFrom(sent)) {
          const end = (message.lsn + BigInt(message.bytes)) as Lsn;
          expect(message.bytes).toBeLessThanOrEqual(16 * Number(PAGE));
          expect(end % PAGE === 0n || end === held.endLsn).toBe(true);
          // What was decoded before comes again when it resumes; the rest is new.
          const bytes = Buffer.concat(message.pieces);
          if (end > decoded) {
            decoder.push(bytes.subarray(Number(decoded - message.lsn)));
            decoded = end;
            while (decoder.advance());
          }
          sent = end;
        }
        expect(sent).toBe(held.endLsn);
        expect(decoder.position).toBe(held.endLsn);
        held.written((held.writtenLsn + ((held.endLsn - held.writtenLsn) * BigInt(written)) / 100n) as Lsn);
      }
    }),
    { numRuns: 60 },
  );
});
