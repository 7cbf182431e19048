import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import { afterEach, beforeEach, expect, it } from 'vitest';
import fc from 'fast-check';
import { systemDisk } from '../disk/system-disk.ts';
import { ControlFileError, emptyControl, readControl, writeControl } from './control-file.ts';

const DISK = systemDisk();
const CONTROL = {
  ...emptyControl('7f4f1834-7325-4e48-917f-444731d53b89', 0, 'TAIL'),
  epoch: 2n ** 60n,
  writerId: 'demo-1/a',
  history: Array.from({ length: 120 }, (_, index) => ({ epoch: BigInt(index + 1), startLsn: 2n ** 40n + BigInt(index) })),
  ready: true,
};
let directory: string;
let path: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'control-'));
  path = join(directory, 'control');
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

it('is read as it was written', async () => {
  expect(readControl(DISK, path)).toBeUndefined();
  await writeControl(DISK, path, CONTROL);
  expect(readControl(DISK, path)).toEqual({ control: CONTROL, damage: undefined });
});

it('survives any damage to one of its copies, and says so', async () => {
  await writeControl(DISK, path, CONTROL);
  const sound = readFileSync(path);
  const half = sound.length / 2;
  fc.assert(
    fc.property(fc.boolean(), fc.array(fc.tuple(fc.nat(half - 1), fc.integer({ min: 1, max: 255 })), { minLength: 1 }), (second, flips) => {
      const bytes = Buffer.from(sound);
      for (const [at, bits] of flips) bytes[at + (second ? half : 0)] = (sound[at] ?? 0) ^ bits;
      writeFileSync(path, bytes);
      const read = readControl(DISK, path);
      expect(read?.control).toEqual(CONTROL);
      expect(read?.damage).toBeInstanceOf(ControlFileError);
    }),
  );
});

it('is refused when both copies are damaged, or it is cut', async () => {
  await writeControl(DISK, path, CONTROL);
  const bytes = readFileSync(path);
  const half = bytes.length / 2;
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  bytes[half + 200] = (bytes[half + 200] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  expect(() => readControl(DISK, path)).toThrow(/fails its CRC; move the segment's directory away/);
  for (const length of [0, 10, 4096]) {
    writeFileSync(path, bytes.subarray(0, length));
    expect(() => readControl(DISK, path)).toThrow(ControlFileError);
  }
});

/** Writes the file as another release would have: `change` makes its content of what this one writes. */
function writeOf(change: (stored: Record<string, unknown>) => Record<string, unknown>): void {
  const [, json = ''] = readFileSync(path, 'utf8').split('\n', 2);
  const body = `${JSON.stringify(change(JSON.parse(json) as Record<string, unknown>))}\n`;
  const copy = Buffer.alloc(12_288, '\n');
  copy.write(`aurora-segment-2 ${(crc32c(Buffer.from(body)) >>> 0).toString(16)}\n${body}`);
  writeFileSync(path, Buffer.concat([copy, copy]));
}

it('of before volumes had an engine is of PostgreSQL 18', async () => {
  await writeControl(DISK, path, { ...CONTROL, engine: { engine: 'postgres', major: 19 } });
  expect(readControl(DISK, path)?.control.engine).toEqual({ engine: 'postgres', major: 19 });
  writeOf(({ engine: _engine, ...before }) => before);
  expect(readControl(DISK, path)).toEqual({ control: { ...CONTROL, engine: { engine: 'postgres', major: 18 } }, damage: undefined });
});

it('is read by the name that what it must recover had before, and written by the one of today', async () => {
  const recovering = { ...CONTROL, recoverToLsn: 2n ** 40n };
  await writeControl(DISK, path, recovering);
  expect(readFileSync(path, 'utf8')).toContain('"recoverToLsn":"1099511627776"');
  writeOf(({ recoverToLsn, ...before }) => ({ ...before, owesLsn: recoverToLsn }));
  expect(readFileSync(path, 'utf8')).not.toContain('recoverToLsn');
  expect(readControl(DISK, path)).toEqual({ control: recovering, damage: undefined });
});
