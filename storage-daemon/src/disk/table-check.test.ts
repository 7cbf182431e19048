import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkTable, checkTableFile, TableDamageError, tableNames, uncompressSnappy } from './table-check.ts';

let directory: string;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-tables-'));
});
afterEach(() => fs.rmSync(directory, { recursive: true, force: true }));

/** Tables that LevelDB wrote: of pages that compress and pages that do not. */
async function writeTables(): Promise<void> {
  const db = new ClassicLevel<Buffer, Buffer>(directory, { keyEncoding: 'buffer', valueEncoding: 'buffer', writeBufferSize: 256 * 1024 });
  await db.open();
  for (let i = 0; i < 200; i++) {
    const value = Buffer.alloc(8204, i);
    if (i % 2 === 0) for (let at = 0; at < value.length; at++) value[at] = (at * 7919 + i * 104_729) >>> 5;
    await db.put(Buffer.from(`page ${String(i).padStart(6, '0')}`), value);
  }
  await db.compactRange(Buffer.from('a'), Buffer.from('z'));
  await db.close();
}

describe('tables of LevelDB', () => {
  it('pass their check as LevelDB wrote them', async () => {
    await writeTables();
    const names = tableNames(directory);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) expect(await checkTableFile(directory, name)).toBe(fs.statSync(join(directory, name)).size);
    expect(await checkTableFile(directory, '999999.ldb')).toBeUndefined();
  });

  it('fail it wherever a bit is flipped, and when they end early', async () => {
    await writeTables();
    const [name = ''] = tableNames(directory);
    const table = fs.readFileSync(join(directory, name));
    const places = [0, 1, 100, table.length - 1, table.length - 9, table.length - 40, table.length - 48, table.length - 60];
    for (let at = 0; at < table.length; at += 997) places.push(at);
    for (const at of places) {
      const byte = table[at] ?? 0;
      table[at] = byte ^ (1 << (at % 8));
      expect(() => checkTable(name, table), `byte ${at}`).toThrow(TableDamageError);
      table[at] = byte;
    }
    expect(() => checkTable(name, table)).not.toThrow();
    for (const length of [0, 47, 48, table.length - 1]) expect(() => checkTable(name, table.subarray(0, length))).toThrow(TableDamageError);
  });
});

it('snappy: literals and copies that overlap what they make', () => {
  // 'abc', then nine bytes from three back, then one byte from one back four times.
  const packed = Buffer.from([16, 0x08, 0x61, 0x62, 0x63, (8 << 2) | 2, 3, 0, 0x01, 1]);
  expect(uncompressSnappy(packed).toString()).toBe('abcabcabcabccccc');
  expect(() => uncompressSnappy(Buffer.from([16, 0x01, 9]))).toThrow(RangeError);
  expect(() => uncompressSnappy(Buffer.from([16, 0x08, 0x61, 0x62, 0x63]))).toThrow(RangeError);
});
