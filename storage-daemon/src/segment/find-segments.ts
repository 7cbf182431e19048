import { join } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { VOLUME_ID } from '../edge/message-rules.ts';

export interface FoundSegment {
  readonly volumeId: string;
  readonly pg: number;
  readonly directory: string;
}

/** Segments that have a control file: <data>/<volume>/<pg>/control. */
export function findSegments(disk: Disk, dataDirectory: string): FoundSegment[] {
  const found: FoundSegment[] = [];
  for (const volumeId of disk.list(dataDirectory)) {
    if (!VOLUME_ID.test(volumeId)) continue;
    for (const pg of disk.list(join(dataDirectory, volumeId))) {
      const directory = join(dataDirectory, volumeId, pg);
      if (/^\d+$/.test(pg) && disk.exists(join(directory, 'control'))) found.push({ volumeId, pg: Number(pg), directory });
    }
  }
  return found;
}
