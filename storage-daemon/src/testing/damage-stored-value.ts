import { ClassicLevel } from 'classic-level';

/** Flips one bit of the value under `key` in a page store that is closed: damage that LevelDB itself cannot see. */
export async function damageStoredValue(pagesDirectory: string, key: Buffer): Promise<void> {
  const db = new ClassicLevel<Buffer, Buffer>(pagesDirectory, { createIfMissing: false, keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await db.open();
  try {
    const value = await db.get(key);
    if (value === undefined) throw new RangeError(`${pagesDirectory} has nothing under ${key.toString('hex')} to damage`);
    value[100] = (value[100] ?? 0) ^ 0x10;
    await db.put(key, value, { sync: true });
  } finally {
    await db.close();
  }
}
