import type { Disk } from './disk/disk.ts';
import { join } from 'node:path';
import type { HeldKey } from './key-source.ts';
import { ControlFileError, readControl } from './segment/control-file.ts';
import { findSegments } from './segment/find-segments.ts';
import { ownerOf } from './segment/segment-key.ts';

/** The wrapped data keys of all segments on a disk. Of a control file that cannot be read whoever opens the segment says so. */
export function heldKeys(disk: Disk, dataDirectory: string): readonly HeldKey[] {
  return findSegments(disk, dataDirectory).flatMap(({ directory }) => {
    try {
      const control = readControl(disk, join(directory, 'control'))?.control;
      return control?.encryption === undefined ? [] : [{ of: ownerOf(control), wrapped: control.encryption }];
    } catch (error) {
      if (error instanceof ControlFileError) return [];
      throw error;
    }
  });
}
