import { encodePageKey, postgres18, type PageId } from '@kube-aurora/redo';
import type { PageImage } from '@kube-aurora/rpc';
import type { BaseContent } from '../../compute-node/src/bootstrap/import-volume.ts';
import { filledPage, syntheticState } from '../../storage-daemon/src/testing/synthetic-records.ts';

/** A new volume's first content: one relation, of which half the pages that will be written exist. */

const CHECKPOINT = 0x150_0028n;
const SYSTEM_IDENTIFIER = 7_000_000_000_000_000_001n;
export const RELATION = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
/** Blocks of the relation that are ever written, where nothing else is said. */
export const BLOCKS = 10;

export interface SyntheticVolume extends BaseContent {
  readonly pages: PageImage[];
  readonly blocks: readonly { readonly page: PageId; readonly bytes: Buffer }[];
}

export function syntheticVolume(blocksMax = BLOCKS): SyntheticVolume {
  const count = Math.ceil(blocksMax / 2);
  const blocks = Array.from({ length: count }, (_, block) => ({ page: { ...RELATION, block }, bytes: filledPage(block + 1) }));
  const { encoded, baseLsn } = syntheticState(CHECKPOINT, [{ fork: RELATION, blocks: count }]);
  const pages = blocks.map(({ page, bytes }) => ({ key: encodePageKey(page), page: bytes }));
  return { systemIdentifier: SYSTEM_IDENTIFIER, engine: postgres18.id, baseLsn, volumeState: encoded, pages, blocks };
}
