import { DB_STATE, encodePgControl, INVALID_LSN } from '@kube-aurora/pg-format';
import type { VolumeState } from '@kube-aurora/redo';
import type { ComputeImage } from '../open/fetch-image.ts';
import type { CarriedOver } from '../postgres/carry-over.ts';
import { buildDataDirectory } from '../postgres/data-directory.ts';
import { slruPagesOf, type DataDirectoryOptions } from '../session/lay-data-directory.ts';
import type { PrivateChain } from './private-chain.ts';

/** What a reader starts from: the volume at X, and the WAL of its own that ends there. */
export interface StandbyStart {
  readonly image: ComputeImage;
  readonly chain: PrivateChain;
}

/** The data directory of a hot standby that was shut down in order when it had replayed everything up to X. Nothing goes on in it. */
export function layStandbyDirectory(
  { image, chain }: StandbyStart,
  { dataDir, account, parameters, hba, cacheBytes }: DataDirectoryOptions,
): CarriedOver {
  return buildDataDirectory({
    dir: dataDir,
    account,
    state: image.state,
    controlFile: controlFile(image.state, chain),
    walPages: chain.walPages,
    slruPages: slruPagesOf(image.slruPages),
    parameters,
    hba,
    cacheBytes,
    isStandby: true,
  });
}

/**
 * Replay begins at Q, and queries are answered from X on: minRecoveryPoint is at or above the LSN of every page that
 * the volume gives as of X.
 */
function controlFile(state: VolumeState, { checkpoint, checkpointLsn, endLsn }: PrivateChain): Buffer {
  return encodePgControl({
    ...state.control,
    state: DB_STATE.SHUTDOWNED_IN_RECOVERY,
    time: checkpoint.time,
    checkPoint: checkpointLsn,
    checkPointCopy: checkpoint,
    minRecoveryPoint: endLsn,
    minRecoveryPointTimeline: checkpoint.timeline,
    backupStartPoint: INVALID_LSN,
    backupEndPoint: INVALID_LSN,
    backupEndRequired: false,
  });
}
