import { OPCODE, RMGR } from '@kube-aurora/pg-format';
import { expect, test } from 'vitest';
import { addItem, initPage, PAGE_SIZE } from '../page/index.ts';
import { gistAfterImage, gistRedo } from './gist.ts';
import { testRecord, touchedBy } from './record-for-tests.ts';

const FLAGS_AT = PAGE_SIZE - 4;
const F_LEAF = 0x01;
const F_FOLLOW_RIGHT = 0x08;

function leftChild(): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initPage(page, 16);
  page.writeUInt16LE(F_LEAF | F_FOLLOW_RIGHT, FLAGS_AT);
  addItem(page, Buffer.alloc(16, 7), 1, 'shuffle');
  return page;
}

// A checkpoint must fall between a split and its downlink for the child to come as an image; too rare to wait for.
test.each([
  { name: 'PAGE_UPDATE', info: OPCODE.GIST.PAGE_UPDATE, childId: 1, mainData: Buffer.from([1, 0, 2, 0]) },
  { name: 'PAGE_SPLIT', info: OPCODE.GIST.PAGE_SPLIT, childId: 0, mainData: Buffer.alloc(24) },
])('$name gives the left child its own LSN as sequence number, in a restored page as in another', ({ info, childId, mainData }) => {
  const record = testRecord(RMGR.GIST, info, mainData, [
    { id: 0, blockNumber: 3 },
    { id: 1, blockNumber: 4 },
  ]);
  const replayed = leftChild();
  gistRedo(replayed, record, touchedBy(record, childId));
  const restored = leftChild();
  gistAfterImage(restored, record, touchedBy(record, childId));
  expect(restored).toEqual(replayed);
  expect(restored.readUInt16LE(FLAGS_AT)).toBe(F_LEAF);
  expect(restored.readUInt32LE(PAGE_SIZE - 16)).toBe(Number(record.endLsn >> 32n));
  expect(restored.readUInt32LE(PAGE_SIZE - 12)).toBe(Number(record.endLsn & 0xffff_ffffn));
});

test('another page of the record is left as its image has it', () => {
  const record = testRecord(RMGR.GIST, OPCODE.GIST.PAGE_UPDATE, Buffer.from([1, 0, 2, 0]), [{ id: 0 }, { id: 1 }]);
  const page = leftChild();
  gistAfterImage(page, record, touchedBy(record, 0));
  expect(page).toEqual(leftChild());
});
