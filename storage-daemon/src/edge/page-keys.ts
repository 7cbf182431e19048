import { decodeKey, PageKeyError, type PageKey, type RedoEngine } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type PageImage } from '@kube-aurora/rpc';

/**
 * Page keys and pages that came over the network, as the volume's engine has them. What any engine's must be,
 * message-rules.ts asks.
 */

/** Throws AuroraRpcError INVALID that names the field. */
export function pageKeyOf(engine: RedoEngine, key: Buffer, path: string): PageKey {
  let page: PageKey;
  try {
    page = decodeKey(key);
  } catch (error) {
    if (error instanceof PageKeyError) throw new AuroraRpcError('INVALID', `${path}: ${error.message}`);
    throw error;
  }
  const problem = engine.keyProblem(page);
  if (problem !== undefined) throw new AuroraRpcError('INVALID', `${path}: ${problem}`);
  return page;
}

/** Throws AuroraRpcError INVALID that names the field. */
export function pageOf(engine: RedoEngine, { key, page }: PageImage, path: string): { page: PageKey; bytes: Buffer } {
  if (page.length !== engine.pageBytes) throw new AuroraRpcError('INVALID', `${path}.page: ${page.length} bytes, not ${engine.pageBytes}`);
  return { page: pageKeyOf(engine, key, `${path}.key`), bytes: page };
}
