import type { Logger } from '@kube-aurora/process';
import { StoredValueError } from '../pages/stored-value.ts';
import type { SegmentEvents } from './content-failures.ts';
import type { CurrentControl } from './current-control.ts';
import { StoreUnusableError, type KnownOfLog, type StorageOptions } from './open-storage.ts';
import type { RedoStorage } from './redo-storage.ts';
import { SegmentStorage } from './segment-storage.ts';
import { TailStorage } from './tail-storage.ts';

/** What a segment's control file points to, by what it is: log and pages, a log alone, or pages beside a tail's log. */

export interface ContentOptions {
  readonly control: CurrentControl;
  readonly events: SegmentEvents;
  readonly logger: Logger;
  readonly storage: StorageOptions;
}

/** Throws what `SegmentStorage.open` and `TailStorage.open` throw. */
export function openContent(options: ContentOptions, known: KnownOfLog): Promise<RedoStorage> {
  const { value } = options.control;
  if (value.role === 'FULL') return SegmentStorage.open(options.storage, value, known);
  return value.standIn === undefined ? openTail(options, known) : openStandIn(options, known);
}

function openTail({ control, storage }: ContentOptions, known: KnownOfLog): Promise<RedoStorage> {
  return TailStorage.open({ ...storage, onStart: (logStart) => control.save({ logStart }) }, control.value, known);
}

/** Pages that a tail holds in another's place and that cannot be used are let go of: its log is what it is for. */
async function openStandIn(options: ContentOptions, known: KnownOfLog): Promise<RedoStorage> {
  const { control, events, logger, storage } = options;
  try {
    return await SegmentStorage.open(storage, control.value, known);
  } catch (error) {
    if (!(error instanceof StoreUnusableError || error instanceof StoredValueError)) throw error;
    events.corruption('state');
    logger.error(
      { volume: control.value.volumeId, err: error },
      'the pages held in a full segment’s place cannot be used; the tail goes on without',
    );
    await control.save({ standIn: undefined });
    return openTail(options, known);
  }
}
