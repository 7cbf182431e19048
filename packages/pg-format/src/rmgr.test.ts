import { expect, it } from 'vitest';
import { OPCODE, RMGR, resourceManagers } from './rmgr.ts';

it('are a table for each major version; one that is not known is named', () => {
  expect(() => resourceManagers(19)).toThrow('the resource managers of PostgreSQL 19 are not known here');
  expect(resourceManagers(18).nameOf(RMGR.HEAP2)).toBe('Heap2');
  expect(resourceManagers(18).nameOf(150)).toBe('custom150');
});

it('know their records, with and without the flag that some have beside the opcode', () => {
  const managers = resourceManagers(18);
  const visible = { rmid: RMGR.HEAP2, info: OPCODE.HEAP2.VISIBLE };
  expect([managers.has(visible), managers.recordName(visible)]).toEqual([true, 'Heap2/VISIBLE']);
  const made = { rmid: RMGR.HEAP, info: OPCODE.HEAP.INSERT | 0x80 };
  expect([managers.has(made), managers.recordName(made)]).toEqual([true, 'Heap/INSERT+INIT']);
  const withInfo = { rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT | 0x80 };
  expect([managers.has(withInfo), managers.recordName(withInfo)]).toEqual([true, 'Transaction/COMMIT']);
  const unknown = { rmid: RMGR.XLOG, info: 0xc0 };
  expect([managers.has(unknown), managers.recordName(unknown)]).toEqual([false, 'XLOG/UNKNOWN (c0)']);
  expect(managers.opcodeOf(RMGR.BTREE, 0xc5)).toBe(OPCODE.BTREE.VACUUM);
});
