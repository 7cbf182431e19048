import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below every system's range of ports for outgoing connections: one of those could take the port while its daemon is
 * down.
 */
const FIRST = 15_000;
const END = 30_000;
const TRIES = 50;

/** A port on 127.0.0.1 that a daemon can have, and have again after a restart. */
export async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = randomInt(FIRST, END);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await new Promise((resolve) => server.close(resolve));
    return port;
  }
  throw new Error(`no free port between ${FIRST} and ${END} in ${TRIES} tries`);
}

/** Two of them: for a daemon's gRPC and its frames. */
export async function freePorts(): Promise<[number, number]> {
  const first = await freePort();
  for (;;) {
    const second = await freePort();
    if (second !== first) return [first, second];
  }
}
