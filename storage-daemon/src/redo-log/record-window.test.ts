import { expect, it } from 'vitest';
import { LogReadError } from './log-errors.ts';
import type { LogReader } from './log-reader.ts';
import { RecordWindow, windowRoom } from './record-window.ts';

/** Where records of such lengths stand in a log, each behind its LSN; the bytes of each are its number, but for its length in front. */
function logOf(lengths: readonly number[]): { readonly log: Buffer; readonly at: readonly number[] } {
  const at: number[] = [];
  const parts = lengths.map((length, nth) => {
    const part = Buffer.alloc((8 + length + 7) & ~7, nth + 1);
    part.writeBigUInt64LE(BigInt(nth + 1), 0);
    part.writeUInt32LE(length, 8);
    at.push(at.length === 0 ? 0 : (at.at(-1) ?? 0) + ((8 + (lengths[nth - 1] ?? 0) + 7) & ~7));
    return part;
  });
  return { log: Buffer.concat(parts), at };
}

it('reads records of any length in their order, those that fit a stretch from one, in a room that grows with them', () => {
  const lengths = [100, 130_000, 40, 250_000, 7000, 511 * 1024, 600_000, 24];
  const { log, at } = logOf(lengths);
  let stretches = 0;
  let alone = 0;
  const reader: Pick<LogReader, 'readInto' | 'record' | 'isRecordSound' | 'recent'> = {
    readInto(into, position, until) {
      stretches++;
      return log.copy(into, 0, position, Math.min(until(), log.length));
    },
    record(position, bytes) {
      alone++;
      return Buffer.from(log.subarray(position + 8, position + 8 + bytes));
    },
    isRecordSound: (raw) => raw.subarray(4).every((byte) => byte === raw[4]),
    recent: () => undefined,
  };
  const room = windowRoom();
  const pass = (): void => {
    const window = new RecordWindow(reader as LogReader, false, room);
    for (const [nth, length] of lengths.entries()) {
      const position = at[nth] ?? 0;
      const record = window.record(position, length, BigInt(nth + 1), () => Math.min(log.length, position + RecordWindow.reach));
      expect(record.equals(log.subarray(position + 8, position + 8 + length))).toBe(true);
    }
  };
  pass();
  const { bytes } = room;
  expect(bytes.length).toBe(8 + 511 * 1024);
  pass();
  // The first three together, the next three and the last one each for itself; and one without a stretch.
  expect([room.bytes === bytes, stretches, alone]).toEqual([true, 2 * 5, 2]);
  log[(at[3] ?? 0) + 200_000]! ^= 1;
  expect(pass).toThrow(LogReadError);
});
