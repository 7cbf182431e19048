import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Which agents ran before on this scratch directory, and the last epoch that each of them had: each kills what is left of
 * the one before, so that their PostgreSQLs are known to be dead, nobody need wait for their leases, and those that
 * would take a lost writer's place can be told so at once. A container that is started again in its pod finds its own note there.
 *
 * Invariant: an id is in the note before its agent can have a lease, and an epoch before it can have one in that epoch;
 * whoever reads it has ended every PostgreSQL of this directory first. A note of another boot of the machine, or of
 * another machine that the directory was copied from, says nothing.
 */

/** So many are kept: more would have to die within one lease's time. */
const IDS_MAX = 16;
const BOOT_ID = '/proc/sys/kernel/random/boot_id';

export interface EarlierWriter {
  readonly writerId: string;
  /** The last that it opened; undefined when it opened none. In those before it gave its leases back, or is long over. */
  readonly epoch: bigint | undefined;
}

interface Note {
  readonly bootId: string;
  readonly writers: readonly EarlierWriter[];
}

const bootIdOfNow = (): string => readFileSync(BOOT_ID, 'utf8').trim();

/** Notes `writerId` as the newest; gives those before it. All of PostgreSQL that ran here must be dead. */
export function noteWriter(file: string, writerId: string, bootId = bootIdOfNow()): readonly EarlierWriter[] {
  const before = readNote(file);
  const earlier = before?.bootId === bootId ? before.writers : [];
  writeNote(file, { bootId, writers: [...earlier, { writerId, epoch: undefined }] });
  return earlier;
}

/** `writerId`, which is noted, has opened this epoch, and has no lease in it yet. */
export function noteEpoch(file: string, writerId: string, epoch: bigint, bootId = bootIdOfNow()): void {
  const before = readNote(file);
  const others = before?.bootId === bootId ? before.writers.filter((one) => one.writerId !== writerId) : [];
  writeNote(file, { bootId, writers: [...others, { writerId, epoch }] });
}

function writeNote(file: string, { bootId, writers }: Note): void {
  const kept = writers
    .slice(-IDS_MAX)
    .map(({ writerId, epoch }) => ({ writerId, ...(epoch === undefined ? {} : { epoch: String(epoch) }) }));
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.next`, JSON.stringify({ bootId, writers: kept }));
  renameSync(`${file}.next`, file);
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
  if (typeof value !== 'object' || value === null || !('bootId' in value) || !('writers' in value)) return undefined;
  const { bootId, writers } = value;
  if (typeof bootId !== 'string' || !Array.isArray(writers)) return undefined;
  return { bootId, writers: writers.flatMap((one) => parseWriter(one) ?? []) };
}

function parseWriter(value: unknown): EarlierWriter | undefined {
  if (typeof value !== 'object' || value === null || !('writerId' in value) || typeof value.writerId !== 'string') return undefined;
  const { writerId } = value;
  const epoch = 'epoch' in value && typeof value.epoch === 'string' && /^\d{1,20}$/.test(value.epoch) ? BigInt(value.epoch) : undefined;
  return { writerId, epoch };
}
