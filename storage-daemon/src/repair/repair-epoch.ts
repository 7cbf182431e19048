import { join } from 'node:path';
import { EPOCH_MAX, lastEpoch } from '@kube-aurora/volume';
import type { Disk } from '../disk/disk.ts';
import { soundHeaders } from '../redo-log/scan-file.ts';
import { readControl, writeControl, type SegmentControl } from '../segment/control-file.ts';
import { logDirectory } from '../segment/open-storage.ts';

/**
 * `storage-daemon repair-epoch`: a segment that has promised an epoch past EPOCH_MAX can promise no other any more, and
 * no honest opener comes to one like that; with three of six like it a volume cannot be opened. This takes the promise
 * back.
 *
 * Why that is safe: such an epoch is refused by everybody, so no writer holds it, as long as no redo of one like it is
 * stored (then this refuses). The segment promises one past every epoch that it has seen at work: every writer up to
 * then stays fenced. Redo and pages are not touched. The daemon must not run, or be restarted right after: it has its
 * promise in memory.
 */

export interface Repair {
  readonly control: SegmentControl;
  /** What was changed, for people. */
  readonly changes: readonly string[];
}

/**
 * What to write instead; undefined when there is nothing to repair. `logEpoch`: the highest epoch of any stored batch.
 */
export function repairedControl(control: SegmentControl, logEpoch: bigint): Repair | undefined {
  const kept = control.history.filter(({ epoch }) => epoch <= EPOCH_MAX);
  const dropped = control.history.slice(kept.length);
  if (control.epoch <= EPOCH_MAX && dropped.length === 0) return undefined;
  const seen = [lastEpoch(kept), logEpoch, control.baseEpoch, control.epoch <= EPOCH_MAX ? control.epoch : 0n];
  const epoch = seen.reduce((highest, one) => (one > highest ? one : highest), 0n) + 1n;
  return {
    control: { ...control, epoch, writerId: '', history: kept },
    changes: [
      `promised epoch ${control.epoch} becomes ${epoch}`,
      ...dropped.map((entry) => `the history loses epoch ${entry.epoch}, which wrote nothing`),
    ],
  };
}

/** A segment that cannot be repaired so. */
export class RepairRefusedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'RepairRefusedError';
  }
}

/**
 * Repairs one segment's directory; with `write` false only says what it would do. Throws RepairRefusedError,
 * ControlFileError.
 */
export async function repairSegment(disk: Disk, directory: string, write: boolean): Promise<readonly string[]> {
  const path = join(directory, 'control');
  const read = readControl(disk, path);
  if (read === undefined) throw new RepairRefusedError(`${path}: is not there`);
  const highest = highestEpochIn(disk, logDirectory(directory, read.control.logGeneration));
  const repair = repairedControl(read.control, highest);
  if (repair === undefined) return [];
  if (highest > EPOCH_MAX) {
    throw new RepairRefusedError(
      `${directory}: redo of epoch ${highest} is stored, so a writer held such an epoch; restore the volume from a copy that has none`,
    );
  }
  if (write) await writeControl(disk, path, repair.control);
  return repair.changes;
}

/** The highest epoch of any batch in the log's files, sound or annulled; by their headers, wherever they stand. */
function highestEpochIn(disk: Disk, directory: string): bigint {
  let highest = 0n;
  for (const name of disk.list(directory).filter((one) => one.endsWith('.redo'))) {
    const bytes = disk.readFile(join(directory, name)) ?? Buffer.alloc(0);
    for (const { header } of soundHeaders(bytes, 0)) if (header.epoch > highest) highest = header.epoch;
  }
  return highest;
}
