import fs from 'node:fs';
import { join } from 'node:path';
import { crc32c } from '@kube-aurora/pg-format/crc32c';
import { ByteCursor, TableDamageError, unmaskedCrc } from './table-check.ts';

/**
 * Which table files are part of a LevelDB store, by its manifest. A process that dies, or closes, in the middle of a
 * compaction leaves tables half written that the store never had: LevelDB removes them when it next opens, and they are
 * no damage.
 *
 * CURRENT names the manifest, a log of version edits: blocks of 32 KiB with records of CRC32C (of type and payload,
 * masked), length (u16), type (1 full, 2 first, 3 middle, 4 last) and payload; what is torn off at its end was never
 * written. Source: LevelDB's doc/log_format.md and db/version_edit.cc.
 */
const BLOCK_BYTES = 32 * 1024;
const HEADER_BYTES = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;

/** Tags of a version edit, each followed by varints and length-prefixed strings. */
const COMPARATOR = 1;
const LOG_NUMBER = 2;
const NEXT_FILE = 3;
const LAST_SEQUENCE = 4;
const COMPACT_POINTER = 5;
const DELETED_FILE = 6;
const NEW_FILE = 7;
const PREVIOUS_LOG = 9;

/**
 * Numbers of the tables that the store has, ascending; none for a store that is yet to be made. Throws
 * TableDamageError.
 */
export function liveTables(directory: string): number[] {
  const current = readIfThere(join(directory, 'CURRENT'));
  if (current === undefined) return [];
  const name = current.toString('latin1').trim();
  const manifest = /^MANIFEST-\d+$/.test(name) ? readIfThere(join(directory, name)) : undefined;
  if (manifest === undefined) throw new TableDamageError('CURRENT', 'it names no manifest');
  const live = new Set<number>();
  for (const edit of manifestEdits(name, manifest)) {
    try {
      applyEdit(live, new ByteCursor(edit));
    } catch (error) {
      if (error instanceof RangeError) throw new TableDamageError(name, error.message);
      throw error;
    }
  }
  return [...live].toSorted((a, b) => a - b);
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return fs.readFileSync(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** The records of a manifest, up to where it ends or was torn. Throws TableDamageError where a CRC fails. */
function* manifestEdits(name: string, log: Buffer): Generator<Buffer> {
  let parts: Buffer[] = [];
  for (let at = 0; at + HEADER_BYTES <= log.length;) {
    const left = BLOCK_BYTES - (at % BLOCK_BYTES);
    if (left < HEADER_BYTES) {
      at += left;
      continue;
    }
    const length = log.readUInt16LE(at + 4);
    const type = log.readUInt8(at + 6);
    const end = at + HEADER_BYTES + length;
    // Torn, or room that was never filled.
    if (end > log.length || (type === 0 && length === 0)) return;
    if (crc32c(log.subarray(at + 6, end)) >>> 0 !== unmaskedCrc(log.readUInt32LE(at))) {
      throw new TableDamageError(name, `the record at byte ${at} fails its CRC`);
    }
    if (type === FULL || type === FIRST) parts = [];
    parts.push(log.subarray(at + HEADER_BYTES, end));
    if (type === FULL || type === LAST) yield Buffer.concat(parts);
    at = end;
  }
}

function applyEdit(live: Set<number>, edit: ByteCursor): void {
  while (edit.at < edit.bytes.length) {
    const tag = edit.varint();
    switch (tag) {
      case COMPARATOR:
        edit.skipString();
        break;
      case LOG_NUMBER:
      case NEXT_FILE:
      case LAST_SEQUENCE:
      case PREVIOUS_LOG:
        edit.skipVarint();
        break;
      case COMPACT_POINTER:
        edit.varint();
        edit.skipString();
        break;
      case DELETED_FILE:
        edit.varint();
        live.delete(edit.varint());
        break;
      case NEW_FILE:
        edit.varint();
        live.add(edit.varint());
        edit.varint();
        edit.skipString();
        edit.skipString();
        break;
      default:
        throw new RangeError(`a version edit has the unknown tag ${tag}`);
    }
  }
}
