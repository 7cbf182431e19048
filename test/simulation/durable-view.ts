import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES, RedoBatchError } from '@kube-aurora/volume';
import { readControl, type SegmentControl } from '../../storage-daemon/src/segment/control-file.ts';
import { logDirectory } from '../../storage-daemon/src/segment/open-storage.ts';
import { parseLogFileName } from '../../storage-daemon/src/redo-log/log-file.ts';
import type { SimulatedDisk } from './simulated-disk.ts';

/** What a segment would find on its disk if the power failed now, as the disk has it and nobody else says. */

/** The control file; undefined when there is none. Throws ControlFileError. */
export function durableControl(disk: SimulatedDisk, directory: string): SegmentControl | undefined {
  const bytes = disk.durableFile(`${directory}/control`);
  const known = lastControl.get(disk);
  if (bytes !== undefined && known?.bytes.equals(bytes) === true) return known.control;
  const control = readControl({ readFile: () => bytes }, 'control')?.control;
  if (bytes !== undefined && control !== undefined) lastControl.set(disk, { bytes: Buffer.from(bytes), control });
  return control;
}

/** It seldom changes, and is asked for all the time. */
const lastControl = new WeakMap<SimulatedDisk, { readonly bytes: Buffer; readonly control: SegmentControl }>();

/**
 * End of the chain of batches in the newest two files of a log, or why there is no chain; undefined when there is no
 * file. Older files were the newest once.
 */
export function durableLogEnd(disk: SimulatedDisk, directory: string, generation: number): bigint | string | undefined {
  const files = [...disk.durableFiles(logDirectory(directory, generation))]
    .flatMap(([name, bytes]) => {
      const firstLsn = parseLogFileName(name);
      return firstLsn === undefined ? [] : [{ firstLsn: BigInt(firstLsn), bytes }];
    })
    .toSorted((a, b) => (a.firstLsn < b.firstLsn ? -1 : 1));
  let end: bigint | undefined;
  for (const { firstLsn, bytes } of files.slice(-2)) {
    if (end !== undefined && end !== firstLsn)
      return `a file begins at ${firstLsn.toString(16)}, the one before it ends at ${end.toString(16)}`;
    end = chainEnd(bytes, firstLsn);
  }
  return end;
}

function chainEnd(bytes: Buffer, firstLsn: bigint): bigint {
  let end = firstLsn;
  for (let at = 0; at + REDO_BATCH_HEADER_BYTES <= bytes.length && bytes.readUInt32LE(at) !== 0;) {
    try {
      const header = decodeRedoBatchHeader(bytes, at);
      if (header.backlink !== end || at + header.totalBytes > bytes.length) return end;
      end = header.endLsn;
      at += header.totalBytes;
    } catch (error) {
      if (error instanceof RedoBatchError) return end;
      throw error;
    }
  }
  return end;
}
