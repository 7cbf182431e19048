import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Ports of servers that a test starts later, or stops and starts again: between, nobody else may have them. So they lie
 * below every system's range of ports for outgoing connections, each process gives a port once, and test runners that
 * work side by side take theirs from different shares.
 */
const FIRST = 15_000;
const SHARES = 8;
const PORTS_PER_SHARE = 1875;

/** Vitest numbers its workers from 1; whoever else asks is told apart by its process. */
const share = Number(process.env['VITEST_POOL_ID'] ?? process.pid) % SHARES;
let next = randomInt(PORTS_PER_SHARE);
let given = 0;

/** A port on 127.0.0.1 that nobody listens on, and that nobody who asks here is given again. */
export async function freePort(): Promise<number> {
  while (given++ < PORTS_PER_SHARE) {
    const port = FIRST + share * PORTS_PER_SHARE + (next++ % PORTS_PER_SHARE);
    if (await isFree(port)) return port;
  }
  throw new Error(`all ${PORTS_PER_SHARE} ports of this process are given out or taken`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listens = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => resolve(true));
  });
  if (listens) await new Promise((resolve) => server.close(resolve));
  return listens;
}
