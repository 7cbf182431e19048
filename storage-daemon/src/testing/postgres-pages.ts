import { pageKeyOf, postgres18, type PageId } from '@kube-aurora/redo';
import { EngineRegistry } from '@kube-aurora/redo-engine';
import type { SegmentStorage } from '../segment/segment-storage.ts';

/** Tests hold volumes of the engine that the daemon has, and name its pages as PostgreSQL does. */
export const ENGINES = new EngineRegistry([postgres18]);

/** One page as of an LSN, undefined when it does not exist; what is damaged is repaired first. */
export async function readPage(storage: SegmentStorage, page: PageId, lsn: bigint): Promise<Buffer | undefined> {
  const { present, pages } = await storage.readPages([pageKeyOf(page)], lsn);
  return present[0] === 1 ? pages[0] : undefined;
}
