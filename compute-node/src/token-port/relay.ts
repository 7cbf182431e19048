import type { Duplex } from 'node:stream';
import type { Clock, Timer } from '@kube-aurora/clock';

/** What PostgreSQL said last has so long to reach a client that reads slowly, once PostgreSQL itself has gone. */
const LAST_WORDS_MS = 30_000;

/**
 * Passes on what comes, both ways, until both have ended; resolves then. Nothing is looked into. Each way holds what its stream buffers and no
 * more: who does not read is not read for. An end of one side is passed on as an end; a broken one breaks the other.
 */
export function relay(client: Duplex, server: Duplex, clock: Pick<Clock, 'after'>): Promise<void> {
  return new Promise((resolve) => {
    let late: Timer | undefined;
    const over = (): void => {
      if (!client.destroyed || !server.destroyed) return;
      late?.cancel();
      resolve();
    };
    client.on('close', () => {
      server.destroy();
      over();
    });
    server.on('close', () => {
      // What it has said is still on its way, or is not, when it was broken.
      if (server.errored !== null || !client.writable) client.destroy();
      else if (!client.destroyed) {
        client.end();
        late = clock.after(LAST_WORDS_MS, () => client.destroy());
      }
      over();
    });
    client.pipe(server);
    server.pipe(client);
  });
}
