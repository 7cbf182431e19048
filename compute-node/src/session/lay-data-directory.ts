import { DB_STATE, INVALID_LSN, encodePgControl } from '@kube-aurora/pg-format';
import { SLRU_KINDS, SLRU_NAMES, decodePageKey, type VolumeState } from '@kube-aurora/redo';
import type { FirstBatch } from '../open/first-batch.ts';
import type { Account } from '../postgres/account.ts';
import type { CarriedOver, WrittenWal } from '../postgres/carry-over.ts';
import { buildDataDirectory, type SlruPage } from '../postgres/data-directory.ts';
import type { StartPoint } from './database.ts';

export interface DataDirectoryOptions {
  readonly dataDir: string;
  readonly account: Account | undefined;
  /** Checked parameters (postgres/parameters.ts). */
  readonly parameters: ReadonlyMap<string, string>;
  /** The text of pg_hba.conf; undefined: passwords from everywhere. */
  readonly hba: string | undefined;
  /** What the local cache of relation pages may take. */
  readonly cacheBytes: number;
}

/**
 * The data directory that PostgreSQL starts from without replay: as a clean shutdown at the first batch's checkpoint
 * leaves it. `wal`: of the directory before it, what is the volume's up to X.
 */
export function layDataDirectory(
  { image, first }: StartPoint,
  { dataDir, account, parameters, hba, cacheBytes }: DataDirectoryOptions,
  wal?: WrittenWal,
): CarriedOver {
  return buildDataDirectory({
    dir: dataDir,
    account,
    state: image.state,
    controlFile: controlFile(image.state, first),
    walPages: first.walPages,
    slruPages: slruPagesOf(image.slruPages),
    parameters,
    hba,
    cacheBytes,
    carries: wal === undefined ? undefined : { upTo: first.startLsn, wal },
  });
}

/** pg_control as a clean shutdown at the fabricated checkpoint would have left it. */
function controlFile(state: VolumeState, first: FirstBatch): Buffer {
  return encodePgControl({
    ...state.control,
    state: DB_STATE.SHUTDOWNED,
    time: first.checkpoint.time,
    checkPoint: first.checkpointLsn,
    checkPointCopy: first.checkpoint,
    minRecoveryPoint: INVALID_LSN,
    minRecoveryPointTimeline: 0,
    backupStartPoint: INVALID_LSN,
    backupEndPoint: INVALID_LSN,
    backupEndRequired: false,
  });
}

/** Those of an image, as the data directory's builder takes them. */
export function* slruPagesOf(pages: ReadonlyMap<string, Buffer>): Generator<SlruPage> {
  for (const [key, bytes] of pages) {
    const { dbOid, block } = decodePageKey(Buffer.from(key, 'hex'));
    const slru = SLRU_NAMES.find((name) => SLRU_KINDS[name] === dbOid);
    if (slru !== undefined) yield { slru, page: block, bytes };
  }
}
