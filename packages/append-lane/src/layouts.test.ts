import { systemClock } from '@kube-aurora/clock';
import { LAYOUTS } from '@kube-aurora/frames';
import { beforeAll, expect, it } from 'vitest';
import { APPEND_RESULTS } from '../../rpc/src/hot-messages.ts';
import { DATA, FRAME_BYTES_MAX, MORE } from '../../frames/src/frame-types.ts';
import { RECORD_BYTES_MIN, RECORD_LSN_BYTES, REDO_BATCH_HEADER_BYTES, REDO_BATCH_MAGIC } from '../../volume/src/redo-batch-layout.ts';
import { AppendLanes } from './append-lanes.ts';
import { LANE_MESSAGE_BYTES_MAX, TAKEN } from './taken.ts';

/** What native/layout.h says is what the tables here say: neither is changed alone. */

let native: Readonly<Record<string, number>>;
beforeAll(async () => {
  native = (await AppendLanes.load(undefined, systemClock())).layouts;
});

it.each([
  ['frame', LAYOUTS.frame, ['length', 'stream', 'type', 'flags']],
  ['append', LAYOUTS.append, ['vdl', 'pgmrpl']],
  ['acknowledgement', LAYOUTS.acknowledgement, ['scl', 'epoch', 'result', 'followed']],
  ['taken', TAKEN, ['stream', 'vdl', 'pgmrpl', 'bytes', 'frame_bytes', 'sync_us', 'wait_us', 'errno', 'ahead_bytes', 'frames']],
])('the layout %s', (name, layout, fields) => {
  expect(layout.rows.map((row) => row.at)).toEqual(fields.map((field) => native[`${name}_${field}`]));
  expect(layout.size).toBe(native[`${name}_size`]);
});

it('the hello’s length, and constants', () => {
  expect(native).toMatchObject({
    hello_size: LAYOUTS.hello.size,
    FRAME_DATA: DATA,
    FRAME_MORE: MORE,
    FRAME_BYTES_MAX,
    RESULT_OK: APPEND_RESULTS.indexOf('OK'),
    REDO_BATCH_MAGIC,
    RECORD_LSN_BYTES,
    RECORD_BYTES_MIN,
    MESSAGE_BYTES_MAX: LANE_MESSAGE_BYTES_MAX,
  });
});

it('a redo batch, as packages/volume reads it', () => {
  // The table stands in a comment there (redo-batch-layout.ts).
  const at = { magic: 0, total: 4, epoch: 8, start: 16, end: 24, backlink: 32, previous_epoch: 40, group: 48, records: 52 };
  for (const [field, offset] of Object.entries(at)) expect(native[`batch_${field}`]).toBe(offset);
  expect(native).toMatchObject({
    batch_payload_crc: 56,
    batch_header_crc: 60,
    batch_size: REDO_BATCH_HEADER_BYTES,
    record_lsn: 0,
    record_length: 8,
  });
});
