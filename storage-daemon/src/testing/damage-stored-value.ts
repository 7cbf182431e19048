import fs from 'node:fs';
import { join } from 'node:path';
import { ClassicLevel } from 'classic-level';
import { openDigest, openPlace } from '../pages/place-codec.ts';
import { DIGEST_KEY } from '../pages/place-index.ts';

/** Flips one bit of the page under `key` in a page store that is closed. */
export async function damageStoredValue(pagesDirectory: string, key: Buffer): Promise<void> {
  const db = new ClassicLevel<Buffer, Buffer>(pagesDirectory, { createIfMissing: false, keyEncoding: 'buffer', valueEncoding: 'buffer' });
  await db.open();
  try {
    const [place, digest] = await db.getMany([key, DIGEST_KEY]);
    if (place === undefined || digest === undefined)
      throw new RangeError(`${pagesDirectory} has nothing under ${key.toString('hex')} to damage`);
    const { pageBytes } = openDigest(DIGEST_KEY, digest);
    const file = fs.openSync(join(pagesDirectory, 'pages.slots'), 'r+');
    const at = openPlace(key, place).slot * pageBytes + 100;
    const byte = Buffer.alloc(1);
    fs.readSync(file, byte, 0, 1, at);
    byte[0] = (byte[0] ?? 0) ^ 0x10;
    fs.writeSync(file, byte, 0, 1, at);
    fs.closeSync(file);
  } finally {
    await db.close();
  }
}
