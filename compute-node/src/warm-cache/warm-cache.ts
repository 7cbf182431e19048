import type { Clock } from '@kube-aurora/clock';
import { PAGE_BYTES } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { databasePath } from '../postgres/data-directory.ts';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import type { PageRange } from '../read-path/page-range.ts';
import { chunkKey, localChunks, type LocalChunk } from './local-pages.ts';
import { pagesWanted, type PagesWanted } from './pages-wanted.ts';

const LOOK_MS = 5000;
/** After so long it is looked again who would be the next writer, and what the writer said last. */
const PASS_MS = 15_000;
/** Blocks of one file of a relation. */
const FILE_BLOCKS = 131_072;
/** Of the limit, what is left free for what clients read meanwhile. */
const FILL_UP_TO = 0.9;

const READ = 'select length(pg_read_binary_file($1, $2, $3, true)) as bytes, pg_is_in_recovery() as standby';

/** How warm the cache of the next writer is. */
export interface Warmth {
  /** Of the pages that the writer's last list names, the share that is here. */
  readonly share: number;
  /** Of those, how many are not here. */
  readonly pagesBehind: number;
  /** Since PostgreSQL started. */
  readonly pagesFetched: number;
  /** When the list came; milliseconds since 1970. */
  readonly listAtMs: number;
}

/** The writer's list, as it was told last. */
export interface HotPages {
  readonly chunks: readonly LocalChunk[];
  /** Milliseconds since 1970. */
  readonly atMs: number;
}

export interface WarmCacheOptions {
  readonly socket: LocalSocket;
  /** Undefined before the first. */
  readonly list: () => HotPages | undefined;
  /** Would we be the next writer? */
  readonly isNext: (signal: AbortSignal) => Promise<boolean>;
  readonly cache: () => { readonly limitBytes: number; readonly residentBytes: number } | undefined;
  /** At present; 0: none. */
  readonly pagesPerSecond: () => number;
  /** Undefined of one that would not be the next writer, or that is not to be warmed. */
  readonly onWarmth: (warmth: Warmth | undefined) => void;
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
  const { socket, list, isNext, pagesPerSecond, onWarmth, clock, logger, lookMs = LOOK_MS } = options;
  let fetched = 0;
  while (!signal.aborted) {
    let isCutShort = false;
    try {
      const theirs = list();
      if (theirs === undefined || pagesPerSecond() === 0 || !(await isNext(signal))) onWarmth(undefined);
      else {
        const isReader = await withSuperuser(socket, async (client) => {
          if (!(await isInRecovery(client))) return false;
          const onLooked = (wanted: PagesWanted): void => onWarmth(warmthOf(theirs, wanted, fetched));
          const pass = await warm(client, theirs.chunks, { ...options, onLooked }, signal);
          fetched += pass.fetched;
          isCutShort = pass.isCutShort;
          onWarmth(warmthOf(theirs, await wantedOf(client, theirs.chunks, 0), fetched));
          return true;
        });
        if (!isReader) return;
      }
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, "the cache could not be warmed with the writer's pages; trying again");
    }
    if (!isCutShort) await clock.sleep(lookMs, signal);
  }
}

async function isInRecovery(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ standby: boolean }>('select pg_is_in_recovery() as standby');
  return rows[0]?.standby === true;
}

function warmthOf({ atMs }: HotPages, { theirs, ours }: PagesWanted, pagesFetched: number): Warmth {
  return { share: theirs === 0 ? 1 : ours / theirs, pagesBehind: theirs - ours, pagesFetched, listAtMs: atMs };
}

async function wantedOf(client: Client, theirs: readonly LocalChunk[], room: number): Promise<PagesWanted> {
  const named = new Set(theirs.map(chunkKey));
  return pagesWanted(theirs, await localChunks(client, (chunk) => named.has(chunkKey(chunk))), room);
}

interface PassOptions extends WarmCacheOptions {
  /** Told before anything is fetched. */
  readonly onLooked: (wanted: PagesWanted) => void;
}

interface Pass {
  readonly fetched: number;
  /** There is more to fetch, and it is time to look around. */
  readonly isCutShort: boolean;
}

async function warm(client: Client, theirs: readonly LocalChunk[], options: PassOptions, signal: AbortSignal): Promise<Pass> {
  const { cache, pagesPerSecond, clock } = options;
  const room = (): number => {
    const counters = cache();
    return counters === undefined ? 0 : Math.floor((counters.limitBytes * FILL_UP_TO - counters.residentBytes) / PAGE_BYTES);
  };
  const wanted = await wantedOf(client, theirs, room());
  options.onLooked(wanted);
  const beganAt = clock.now();
  let fetched = 0;
  for (const range of wanted.ranges) {
    const askedAt = clock.now();
    if (askedAt - beganAt >= PASS_MS) return { fetched, isCutShort: true };
    const pace = pagesPerSecond();
    // What clients read meanwhile takes the same room.
    if (signal.aborted || pace === 0 || room() < range.count) break;
    const offset = (range.block % FILE_BLOCKS) * PAGE_BYTES;
    // A relation that is not there any more, or shorter, gives nothing.
    const { rows } = await client.query<{ bytes: number | null; standby: boolean }>(READ, [
      pathOf(range),
      offset,
      range.count * PAGE_BYTES,
    ]);
    if (rows[0]?.standby !== true) break;
    const pages = Math.floor((rows[0].bytes ?? 0) / PAGE_BYTES);
    fetched += pages;
    const dueAt = askedAt + (pages * 1000) / pace;
    if (dueAt > clock.now()) await clock.sleep(dueAt - clock.now(), signal);
  }
  return { fetched, isCutShort: false };
}

/** The file of a relation, from the data directory. */
function pathOf({ spcOid, dbOid, relNumber, block }: PageRange): string {
  const segment = Math.floor(block / FILE_BLOCKS);
  return `${databasePath(spcOid, dbOid)}/${segment === 0 ? relNumber : `${relNumber}.${segment}`}`;
}
