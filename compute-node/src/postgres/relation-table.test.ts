import { expect, it } from 'vitest';
import { encodeRelationTable, untouchedForks } from './relation-table.ts';

const LOCAL_AT = 12;
const [HEADER_BYTES, ENTRY_BYTES] = [16, 32];

it('names the forks of one database that nobody has named yet, without free-space maps', () => {
  const table = encodeRelationTable(
    Uint32Array.from([
      1663, 1, 1259, 0, 14, 1663, 5, 1259, 0, 14, 1663, 5, 1259, 1, 3, 1663, 5, 1259, 2, 1, 1663, 5, 2619, 0, 0, 1663, 5, 16_384, 0, 7,
      1664, 0, 1260, 0, 1,
    ]),
  );
  // The last of database 5 has its files.
  table.writeUInt32LE(1, HEADER_BYTES + 3 * ENTRY_BYTES + LOCAL_AT);
  expect(untouchedForks(table, 1663, 5)).toEqual([
    { relNumber: 1259, fork: 0, blocks: 14 },
    { relNumber: 1259, fork: 2, blocks: 1 },
    { relNumber: 2619, fork: 0, blocks: 0 },
  ]);
  expect(untouchedForks(table, 1664, 0)).toEqual([{ relNumber: 1260, fork: 0, blocks: 1 }]);
  expect(untouchedForks(table, 1663, 6)).toEqual([]);
  expect(untouchedForks(table.subarray(0, HEADER_BYTES + 5), 1663, 1)).toEqual([]);
});
