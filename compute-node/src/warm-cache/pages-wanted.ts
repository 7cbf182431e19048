import type { PageRange } from '../read-path/page-range.ts';
import { blocksIn, chunkKey, CHUNK_BLOCKS, type Blocks, type LocalChunk } from './local-pages.ts';

/** What the writer's pages and ours come to. */
export interface PagesWanted {
  /** To be fetched, in this order: runs of neighbours, within one chunk each. */
  readonly ranges: readonly PageRange[];
  /** Pages that the writer has, and how many of them we have. */
  readonly theirs: number;
  readonly ours: number;
}

/** Chunks that were read lately before the others, as they came otherwise; no more than `most`. */
export function hotFirst(chunks: readonly LocalChunk[], most: number): LocalChunk[] {
  return [...chunks.filter(({ isRead }) => isRead), ...chunks.filter(({ isRead }) => !isRead)].slice(0, most);
}

/**
 * Which of the writer's pages to fetch. Pure.
 *
 * Invariant: no more than `room` pages, what our cache has free: nothing is let go of for a page that only may be wanted.
 */
export function pagesWanted(theirs: readonly LocalChunk[], own: readonly LocalChunk[], room: number): PagesWanted {
  const local = new Map(own.map((chunk) => [chunkKey(chunk), chunk.blocks]));
  const ranges: PageRange[] = [];
  let left = room;
  let theirPages = 0;
  let ourPages = 0;
  for (const chunk of theirs) {
    const missing = without(chunk.blocks, local.get(chunkKey(chunk)) ?? NONE);
    const there = blocksIn(chunk.blocks);
    theirPages += there;
    ourPages += there - blocksIn(missing);
    for (const { from, count } of runsIn(missing)) {
      const taken = Math.min(count, left);
      if (taken <= 0) break;
      left -= taken;
      const { spcOid, dbOid, relNumber, number } = chunk;
      ranges.push({ spcOid, dbOid, relNumber, fork: 0, block: number * CHUNK_BLOCKS + from, count: taken });
    }
  }
  return { ranges, theirs: theirPages, ours: ourPages };
}

const NONE: Blocks = [0, 0, 0, 0];

const without = ([a, b, c, d]: Blocks, [e, f, g, h]: Blocks): Blocks => [(a & ~e) >>> 0, (b & ~f) >>> 0, (c & ~g) >>> 0, (d & ~h) >>> 0];

function runsIn(blocks: Blocks): { from: number; count: number }[] {
  const runs: { from: number; count: number }[] = [];
  if (blocks.every((word) => word === 0)) return runs;
  for (let at = 0; at < CHUNK_BLOCKS; at++) {
    if ((((blocks[at >>> 5] ?? 0) >>> (at & 31)) & 1) === 0) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.from + last.count === at) last.count++;
    else runs.push({ from: at, count: 1 });
  }
  return runs;
}
