import { RMGR } from '@kube-aurora/pg-format';
import { formatPage, SLRU_FORK } from '../page-key.ts';
import { comparePages } from './compare-pages.ts';
import { relationPages, slruPages } from './data-directory.ts';
import type { RedoVerifier } from './redo-verifier.ts';

const FSM_FORK = 1;
const INIT_FORK = 3;

/**
 * Holds what was replayed against the files of the PostgreSQL that wrote the log, after its clean shutdown: pages that
 * the log changed (under the mask of whoever changed them last), sizes and existence of forks, and SLRU pages byte for
 * byte. Returns one line for each disagreement. Free-space maps are hints and left out.
 */
export function compareWithFiles(verifier: RedoVerifier, dataDir: string): { compared: number; differences: string[] } {
  const differences: string[] = [];
  const sizes = new Map<string, number>();
  let compared = 0;
  for (const { id, page } of relationPages(dataDir)) {
    if (id.fork === FSM_FORK) continue;
    const fork = `${id.spcOid}/${id.dbOid}/${id.relNumber}/${id.fork}`;
    sizes.set(fork, Math.max(sizes.get(fork) ?? 0, id.block + 1));
    const blocks = verifier.state.relations.blocks(id);
    if (blocks === undefined) {
      // Unlogged relations are known by their init fork alone.
      const unlogged = verifier.state.relations.blocks({ ...id, fork: INIT_FORK }) !== undefined;
      if (!unlogged && !isZero(page)) differences.push(`${formatPage(id)} is in a file but not in the state`);
      continue;
    }
    const name = formatPage(id);
    const stored = id.block < blocks ? verifier.pages.get(id) : undefined;
    if (stored === undefined) {
      if (!isZero(page)) differences.push(`${name} (of ${blocks}) was never replayed, the file has data`);
      continue;
    }
    const manager = verifier.lastManager.get(name);
    // A sequence logs a value 32 ahead of what it hands out.
    if (manager === undefined || manager === RMGR.SEQ) continue;
    compared++;
    const difference = comparePages(verifier.comparedPage(id, manager, undefined), page, stored);
    if (difference !== undefined) differences.push(`${name}, changed last by manager ${manager}: ${JSON.stringify(difference)}`);
  }
  for (const { blocks, ...id } of verifier.state.relations.forks()) {
    const size = sizes.get(`${id.spcOid}/${id.dbOid}/${id.relNumber}/${id.fork}`) ?? 0;
    if (id.fork !== FSM_FORK && size < blocks)
      differences.push(`${formatPage({ ...id, block: 0 })}: ${blocks} blocks in the state, ${size} in the file`);
  }
  const slrus = compareSlrus(verifier, dataDir);
  return { compared: compared + slrus.compared, differences: [...differences, ...slrus.differences] };
}

/** Pages in files must be those that replay made; pages of a file past the last one in use are zeros. */
function compareSlrus(verifier: RedoVerifier, dataDir: string): { compared: number; differences: string[] } {
  const differences: string[] = [];
  const onDisk = new Set<string>();
  for (const { id, page } of slruPages(dataDir)) {
    onDisk.add(formatPage(id));
    const stored = verifier.pages.get(id);
    if (stored === undefined) {
      if (!isZero(page)) differences.push(`${formatPage(id)} is in a file but was never replayed`);
    } else if (!page.equals(stored)) {
      let offset = 0;
      while (page[offset] === stored[offset]) offset++;
      differences.push(
        `${formatPage(id)} differs at ${offset}: file ${page.toString('hex', offset, offset + 8)}, replay ${stored.toString('hex', offset, offset + 8)}`,
      );
    }
  }
  for (const { id, page } of verifier.pages.pages()) {
    if (id.fork === SLRU_FORK && !onDisk.has(formatPage(id)) && !isZero(page))
      differences.push(`${formatPage(id)} was replayed but is in no file`);
  }
  for (const range of Object.values(verifier.state.slrus)) {
    for (const block of range.pages()) {
      const present = [...onDisk].some((name) => name === `${range.slru} page ${block}`);
      if (!present) differences.push(`${range.slru} page ${block} is in the state's range but in no file`);
    }
  }
  return { compared: onDisk.size, differences };
}

function isZero(page: Buffer): boolean {
  return page.every((byte) => byte === 0);
}
