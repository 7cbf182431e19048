import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { buildRecord, recordCrcIsValid } from './build-record.ts';
import { buildCheckpointRecord, CHECKPOINT_BYTES, decodeCheckpoint } from './checkpoint.ts';
import { lsn } from './lsn.ts';
import { recordOnTimeline } from './record-timeline.ts';
import { OPCODE, RMGR } from './rmgr.ts';

const prev = lsn(0x200_0000n);
const u32 = fc.nat(0xffff_ffff);

function endOfRecovery(timeline: number, prevTimeline: number, walLevel: number): Buffer {
  const mainData = Buffer.alloc(24);
  mainData.writeBigInt64LE(790_000_000_000_000n, 0);
  mainData.writeUInt32LE(timeline, 8);
  mainData.writeUInt32LE(prevTimeline, 12);
  mainData.writeInt32LE(walLevel, 16);
  return buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.END_OF_RECOVERY, xid: 0, prev, mainData });
}

/** In the middle of other bytes, as records stand in WAL. */
function inPlace(raw: Buffer): { bytes: Buffer; start: number } {
  return { bytes: Buffer.concat([Buffer.alloc(16, 0xee), raw, Buffer.alloc(8, 0xee)]), start: 16 };
}

function onTimeline(raw: Buffer, timeline: number): Buffer | undefined {
  const { bytes, start } = inPlace(raw);
  const before = Buffer.from(bytes);
  const changed = recordOnTimeline(bytes, start, raw.length, timeline);
  expect(bytes).toEqual(before);
  return changed;
}

describe('a record of another timeline', () => {
  it('is a checkpoint: it names the one that is asked for, twice, and all else of it is as it was', () => {
    const checkpoint = decodeCheckpoint(Buffer.alloc(CHECKPOINT_BYTES, 7));
    fc.assert(
      fc.property(fc.boolean(), u32, u32, u32, (shutdown, timeline, prevTimeline, wanted) => {
        const raw = buildCheckpointRecord({ checkpoint: { ...checkpoint, timeline, prevTimeline }, shutdown, prev });
        const changed = onTimeline(raw, wanted);
        if (timeline === wanted && prevTimeline === wanted) expect(changed).toBeUndefined();
        else {
          expect(changed).toEqual(
            buildCheckpointRecord({ checkpoint: { ...checkpoint, timeline: wanted, prevTimeline: wanted }, shutdown, prev }),
          );
          expect(changed !== undefined && recordCrcIsValid(changed)).toBe(true);
          expect(changed?.length).toBe(raw.length);
        }
      }),
    );
  });

  it('is the end of a recovery: likewise', () => {
    fc.assert(
      fc.property(u32, u32, fc.nat(2), u32, (timeline, prevTimeline, walLevel, wanted) => {
        const changed = onTimeline(endOfRecovery(timeline, prevTimeline, walLevel), wanted);
        if (timeline === wanted && prevTimeline === wanted) expect(changed).toBeUndefined();
        else expect(changed).toEqual(endOfRecovery(wanted, wanted, walLevel));
      }),
    );
    expect(onTimeline(endOfRecovery(2, 1, 1), 1)).toEqual(endOfRecovery(1, 1, 1));
  });

  it('is no other: records that name none stay as they are', () => {
    const others = Object.entries(OPCODE.XLOG).filter(([name]) => !name.startsWith('CHECKPOINT_') && name !== 'END_OF_RECOVERY');
    for (const [, info] of [...others, ['redo', OPCODE.XLOG.CHECKPOINT_REDO] as const]) {
      expect(onTimeline(buildRecord({ rmid: RMGR.XLOG, info, xid: 0, prev, mainData: Buffer.alloc(88, 3) }), 1)).toBeUndefined();
    }
    expect(onTimeline(buildRecord({ rmid: RMGR.XACT, info: 0, xid: 7, prev, mainData: Buffer.alloc(88, 3) }), 1)).toBeUndefined();
  });

  it('of a length that it cannot have is refused', () => {
    const raw = buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.END_OF_RECOVERY, xid: 0, prev, mainData: Buffer.alloc(20) });
    expect(() => onTimeline(raw, 1)).toThrow('a record that names a timeline has 46 bytes, 50 are due');
  });
});
