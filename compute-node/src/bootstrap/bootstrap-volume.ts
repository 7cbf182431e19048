import { encodePageKey, encodeVolumeState } from '@kube-aurora/redo';
import { ENGINE } from '../engine.ts';
import type { PageImage } from '@kube-aurora/rpc';
import type { InitialVolume } from '../postgres/initdb.ts';
import { keepHeard } from '../open/opener-beat.ts';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import { ImportFailedError, importVolume } from './import-volume.ts';
import { makeVolume, type MakeVolumeOptions } from './make-volume.ts';

export interface BootstrapOptions extends MakeVolumeOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  /** As in the epoch's promise. */
  readonly leaseMs: number;
}

/**
 * Makes a volume and gives it to storage. False when storage did not take it, or it was stopped: the next open decides
 * again.
 */
export async function bootstrapVolume(options: BootstrapOptions): Promise<boolean> {
  const { epoch, logger } = options;
  logger.info({ epoch }, 'there is no volume yet, making one');
  const fallSilent = keepHeard(options);
  try {
    return await makeAndImport(options);
  } finally {
    fallSilent();
  }
}

async function makeAndImport(options: BootstrapOptions): Promise<boolean> {
  const { segments, identity, epoch, clock, logger } = options;
  const volume = await makeVolume({ ...options, logger: logger.child({ part: 'initdb' }) });
  if (volume === undefined) return false;
  try {
    await importVolume({
      segments,
      identity,
      epoch,
      content: {
        systemIdentifier: volume.systemIdentifier,
        engine: ENGINE,
        baseLsn: volume.baseLsn,
        volumeState: encodeVolumeState(volume.state),
        pages: pageImages(volume),
      },
      clock,
      logger,
    });
    return true;
  } catch (error) {
    if (!(error instanceof ImportFailedError)) throw error;
    logger.warn({ reason: error.message }, 'storage did not take the new volume; trying again');
    return false;
  } finally {
    await volume.discard();
  }
}

function* pageImages(volume: InitialVolume): Generator<PageImage> {
  for (const { page, bytes } of volume.pages()) yield { key: encodePageKey(page), page: bytes };
}
