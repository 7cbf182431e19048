import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import { encodeHotPages, HOT_PAGES_PREFIX } from './hot-pages-message.ts';
import { localChunks } from './local-pages.ts';
import { hotFirst } from './pages-wanted.ts';

/** How often it is looked who would be the next writer: one that is new has had no list yet. */
const LOOK_MS = 5000;
/** How often the list is made for one that has had it. */
const TELL_MS = 30_000;
/** Of what a list names: 8 GiB where chunks are full. It is redo, and is to stay small beside what users write. */
const CHUNKS_TOLD_MAX = 8192;

/** The session of the reader that wants the list; undefined while nobody does. */
export type NextReader = (signal: AbortSignal) => Promise<string | undefined>;

export interface TellHotPagesOptions {
  readonly socket: LocalSocket;
  readonly toWhom: NextReader;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Not before so long; 0 unless given. */
  readonly waitMs?: number;
  readonly lookMs?: number;
}

/** What was told last, to whom, and when it was last looked whether it still holds; ms of the clock. */
interface Told {
  readonly whom: string;
  readonly list: Buffer;
  readonly atMs: number;
}

/** Is a list to be made now? At once for another reader, which may have come after the last one. Pure. */
export function isListDue(whom: string | undefined, told: Pick<Told, 'whom' | 'atMs'> | undefined, nowMs: number): boolean {
  return whom !== undefined && (whom !== told?.whom || nowMs - told.atMs >= TELL_MS);
}

/**
 * Tells the reader that would be the next writer, in the redo, which pages are local to this writer: when there is another such
 * reader, and when the list has changed, until `signal` aborts. Never rejects.
 */
export async function tellHotPages(options: TellHotPagesOptions, signal: AbortSignal): Promise<void> {
  const { socket, toWhom, clock, logger, waitMs = 0, lookMs = LOOK_MS } = options;
  let told: Told | undefined;
  if (waitMs > 0) await clock.sleep(waitMs, signal);
  while (!signal.aborted) {
    try {
      const whom = await toWhom(signal);
      if (whom !== undefined && isListDue(whom, told, clock.now()) && !signal.aborted) {
        const list = await tell(socket, told?.whom === whom ? told.list : undefined);
        told = { whom, list, atMs: clock.now() };
      }
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'the next writer could not be told which pages are local here');
    }
    await clock.sleep(lookMs, signal);
  }
}

/** Unless it is the list that was told before. Gives what is known there now. */
function tell(socket: LocalSocket, before: Buffer | undefined): Promise<Buffer> {
  return withSuperuser(socket, async (client) => {
    const list = encodeHotPages(hotFirst(await localChunks(client), CHUNKS_TOLD_MAX));
    if (before?.equals(list) === true) return list;
    // Not transactional, so no transaction is begun for it; flushed, since nobody else may commit for long.
    await client.query('select pg_logical_emit_message(false, $1, $2::bytea, true)', [HOT_PAGES_PREFIX, list]);
    return list;
  });
}
