import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Which agents ran before on this scratch directory: each kills what is left of the one before, so that their
 * PostgreSQLs are known to be dead and nobody need wait for their leases. A container that is started again in its pod
 * finds its own note there.
 *
 * Invariant: an id is in the note before its agent can have a lease, and whoever reads it has ended every PostgreSQL of
 * this directory first. A note of another boot of the machine, or of another machine that the directory was copied
 * from, says nothing.
 */

/** So many are kept: more would have to die within one lease's time. */
const IDS_MAX = 16;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

interface Note {
  readonly bootId: string;
  readonly writerIds: readonly string[];
}

/** Notes `writerId` as the newest; gives those before it. All of PostgreSQL that ran here must be dead. */
export function noteWriter(file: string, writerId: string, bootId = readFileSync(BOOT_ID, 'utf8').trim()): readonly string[] {
  const before = readNote(file);
  const earlier = before?.bootId === bootId ? before.writerIds : [];
  const note: Note = { bootId, writerIds: [...earlier, writerId].slice(-IDS_MAX) };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.next`, JSON.stringify(note));
  renameSync(`${file}.next`, file);
  return earlier;
}

/** Undefined where there is none, or none that can be read: then nobody is known to be dead. */
function readNote(file: string): Note | undefined {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return parseNote(text);
}

function parseNote(text: string): Note | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  if (typeof value !== 'object' || value === null || !('bootId' in value) || !('writerIds' in value)) return undefined;
  const { bootId, writerIds } = value;
  if (typeof bootId !== 'string' || !Array.isArray(writerIds)) return undefined;
  return { bootId, writerIds: writerIds.filter((id): id is string => typeof id === 'string') };
}
