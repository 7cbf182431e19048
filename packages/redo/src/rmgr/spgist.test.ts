import { encodeStruct, OPCODE, RMGR } from '@kube-aurora/pg-format';
import { describe, expect, test } from 'vitest';
import { addItem, itemBytes, lineCount, PAGE_SIZE } from '../page/index.ts';
import { testRecord, touchedBy } from './record-for-tests.ts';
import { spgistRedo } from './spgist.ts';
import { ADD_NODE, ADD_NODE_TUPLE_AT, initSpgistPage, PLACEHOLDER, REDIRECT } from './spgist/layout.ts';

const OLD_BLOCK = 7;
const NEW_BLOCK = 9;

/** An inner tuple without prefix: header of 8 bytes, then nodes of 8 bytes each with their downlinks unset. */
function innerTuple(nodes: number): Buffer {
  const tuple = Buffer.alloc(8 + nodes * 8);
  tuple.writeUInt32LE(nodes << 3, 0);
  tuple.writeUInt16LE(tuple.length, 4);
  for (let i = 0; i < nodes; i++) tuple.writeUInt16LE(8, 8 + i * 8 + 6);
  return tuple;
}

function pageOf(...tuples: Buffer[]): Buffer {
  const page = Buffer.alloc(PAGE_SIZE);
  initSpgistPage(page, 0);
  for (const tuple of tuples) addItem(page, tuple, lineCount(page) + 1, 'shuffle');
  return page;
}

function addNode(parentBlock: number, isBuild: boolean) {
  const mainData = Buffer.concat([Buffer.alloc(ADD_NODE_TUPLE_AT), innerTuple(3)]);
  encodeStruct(
    ADD_NODE,
    { oldOffset: 1, newOffset: 2, newPage: false, parentBlock, parentOffset: 1, node: 1, redirectXid: 700, isBuild },
    mainData,
  );
  return testRecord(RMGR.SPGIST, OPCODE.SPGIST.ADD_NODE, mainData, [
    { id: 0, blockNumber: OLD_BLOCK },
    { id: 1, blockNumber: NEW_BLOCK },
  ]);
}

describe('an inner tuple that moves to the page of its parent', () => {
  // The parent is on that page by chance only: pages are chosen by the depth of what they hold.
  const record = addNode(1, false);

  test('is added there, and the parent points to it', () => {
    const page = pageOf(innerTuple(2));
    spgistRedo(page, record, touchedBy(record, 1));
    expect(itemBytes(page, 2)).toEqual(innerTuple(3));
    const link = itemBytes(page, 1).subarray(16, 22);
    expect([link.readUInt16LE(0), link.readUInt16LE(2), link.readUInt16LE(4)]).toEqual([0, NEW_BLOCK, 2]);
  });

  test('leaves a redirection behind, with the xid that made it', () => {
    const page = pageOf(innerTuple(2), innerTuple(1));
    spgistRedo(page, record, touchedBy(record, 0));
    const dead = itemBytes(page, 1);
    expect(dead.length).toBe(16);
    expect(dead.readUInt8(0) & 3).toBe(REDIRECT);
    expect(dead.readUInt32LE(12)).toBe(700);
    expect(itemBytes(page, 2)).toEqual(innerTuple(1));
    expect(page.readUInt16LE(PAGE_SIZE - 6)).toBe(1);
  });
});

test('in an index being built a placeholder is left behind', () => {
  const record = addNode(0xff, true);
  const page = pageOf(innerTuple(2));
  spgistRedo(page, record, touchedBy(record, 0));
  expect(itemBytes(page, 1).readUInt8(0) & 3).toBe(PLACEHOLDER);
  expect(page.readUInt16LE(PAGE_SIZE - 4)).toBe(1);
});

test('refuses to replace a live tuple, to link a node that is not there, and an unknown opcode', () => {
  const record = addNode(1, false);
  expect(() => spgistRedo(pageOf(innerTuple(2), innerTuple(2)), record, touchedBy(record, 1))).toThrow(/not a placeholder/);
  expect(() => spgistRedo(pageOf(innerTuple(1)), record, touchedBy(record, 1))).toThrow(/has 1 nodes, none is number 1/);
  const unknown = testRecord(RMGR.SPGIST, 0x90, Buffer.alloc(0), [{ id: 0 }]);
  expect(() => spgistRedo(pageOf(), unknown, touchedBy(unknown, 0))).toThrow(/no redo for info 0x90/);
});
