import type { Clock } from '@kube-aurora/clock';
import { PAGE_BYTES } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import type { PageRange } from '../read-path/page-range.ts';
import { localChunks, type LocalChunk } from './local-pages.ts';
import { pagesWanted } from './pages-wanted.ts';

const LOOK_MS = 5000;
/** Blocks of one file of a relation. */
const FILE_BLOCKS = 131_072;
const DEFAULT_TABLESPACE = 1663;
const GLOBAL_TABLESPACE = 1664;
/** Of the limit, what is left free for what clients read meanwhile. */
const FILL_UP_TO = 0.9;

const READ = 'select length(pg_read_binary_file($1, $2, $3, true)) as bytes, pg_is_in_recovery() as standby';

/** How warm the cache of the next writer is. */
export interface Warmth {
  /** Of the pages that the writer's last list names, the share that is here. */
  readonly share: number;
  readonly pagesFetched: number;
  /** When the list came; ms of the clock. */
  readonly listAtMs: number;
}

export interface WarmCacheOptions {
  readonly socket: LocalSocket;
  /** The writer's last list, and when it came; undefined before the first. */
  readonly list: () => { readonly chunks: readonly LocalChunk[]; readonly atMs: number } | undefined;
  /** Would we be the next writer? */
  readonly isNext: (signal: AbortSignal) => Promise<boolean>;
  readonly cache: () => { readonly limitBytes: number; readonly residentBytes: number } | undefined;
  readonly pagesPerSecond: number;
  readonly onWarmth: (warmth: Warmth) => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly lookMs?: number;
}

/**
 * Has the PostgreSQL of a reader that would be the next writer read what the writer has in its cache and this one has not, until
 * `signal` aborts or it is no reader any more. Never rejects.
 *
 * Rules:
 * - pages come by the way on which PostgreSQL's own misses come, as of what is replayed, and one request at a time: what clients
 *   wait for never stands behind more than that one, and the read floor is held for no longer than that one takes;
 * - a list of the writer's is a hint: nothing is wrong when it is old, only less useful.
 */
export async function warmCache(options: WarmCacheOptions, signal: AbortSignal): Promise<void> {
  const { socket, list, isNext, clock, logger, lookMs = LOOK_MS } = options;
  let fetched = 0;
  while (!signal.aborted) {
    try {
      const theirs = list();
      if (theirs !== undefined && (await isNext(signal))) {
        const goesOn = await withSuperuser(socket, async (client) => {
          if (!(await isReader(client))) return false;
          fetched += await warm(client, theirs.chunks, options, signal);
          const { theirs: all, ours } = pagesWanted(theirs.chunks, await localChunks(client), 0);
          options.onWarmth({ share: all === 0 ? 1 : ours / all, pagesFetched: fetched, listAtMs: theirs.atMs });
          return true;
        });
        if (!goesOn) return;
      }
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, "the cache could not be warmed with the writer's pages; trying again");
    }
    await clock.sleep(lookMs, signal);
  }
}

async function isReader(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  return rows[0]?.standby === true;
}

/** Gives the pages that were fetched. */
async function warm(client: Client, theirs: readonly LocalChunk[], options: WarmCacheOptions, signal: AbortSignal): Promise<number> {
  const { cache, pagesPerSecond, clock } = options;
  const room = (): number => {
    const counters = cache();
    return counters === undefined ? 0 : Math.floor((counters.limitBytes * FILL_UP_TO - counters.residentBytes) / PAGE_BYTES);
  };
  const { ranges } = pagesWanted(theirs, await localChunks(client), room());
  let fetched = 0;
  for (const range of ranges) {
    // What clients read meanwhile takes the same room.
    if (signal.aborted || room() < range.count) break;
    const path = pathOf(range);
    if (path === undefined) continue;
    const offset = (range.block % FILE_BLOCKS) * PAGE_BYTES;
    // A relation that is not there any more, or shorter, gives nothing.
    const { rows } = await client.query<{ bytes: number | null; standby: boolean }>(READ, [path, offset, range.count * PAGE_BYTES]);
    if (rows[0]?.standby !== true) break;
    fetched += Math.floor((rows[0].bytes ?? 0) / PAGE_BYTES);
    await clock.sleep((range.count * 1000) / pagesPerSecond, signal);
  }
  return fetched;
}

/** The file of a relation, from the data directory; undefined of tablespaces that users made. */
function pathOf({ spcOid, dbOid, relNumber, block }: PageRange): string | undefined {
  const segment = Math.floor(block / FILE_BLOCKS);
  const name = segment === 0 ? `${relNumber}` : `${relNumber}.${segment}`;
  if (spcOid === DEFAULT_TABLESPACE) return `base/${dbOid}/${name}`;
  return spcOid === GLOBAL_TABLESPACE ? `global/${name}` : undefined;
}
