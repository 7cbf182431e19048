import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import { encodeHotPages, HOT_PAGES_PREFIX } from './hot-pages-message.ts';
import { localChunks } from './local-pages.ts';
import { hotFirst } from './pages-wanted.ts';

const TELL_MS = 30_000;
/** Of what a list names: 8 GiB where chunks are full. It is redo, and is to stay small beside what users write. */
const CHUNKS_TOLD_MAX = 8192;

export interface TellHotPagesOptions {
  readonly socket: LocalSocket;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly tellMs?: number;
}

/**
 * Tells readers, in the redo, which pages are local to this writer, when that is another list than before, until `signal`
 * aborts. Never rejects.
 */
export async function tellHotPages({ socket, clock, logger, tellMs = TELL_MS }: TellHotPagesOptions, signal: AbortSignal): Promise<void> {
  let told: Buffer = Buffer.alloc(0);
  while (!signal.aborted) {
    try {
      await withSuperuser(socket, async (client) => {
        const list = encodeHotPages(hotFirst(await localChunks(client), CHUNKS_TOLD_MAX));
        if (list.equals(told) || signal.aborted) return;
        // Not transactional: no commit, and nothing waits for it to be durable.
        await client.query('select pg_logical_emit_message(false, $1, $2::bytea)', [HOT_PAGES_PREFIX, list]);
        told = list;
      });
    } catch (error) {
      if (!signal.aborted) logger.debug({ err: error }, 'readers could not be told which pages are local here');
    }
    await clock.sleep(tellMs, signal);
  }
}
