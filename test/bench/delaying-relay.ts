/**
 * The network between zones, in a process of its own: each link listens at one address and passes everything on to
 * another, so many milliseconds later, in both directions. Works without root or kernel modules, and costs both
 * systems that are compared the same.
 *
 * Run by zone-links.ts, which hands it the links and hears when all listen.
 */
import { connect, createServer, type Socket } from 'node:net';
import type { ZoneLink } from './zone-links.ts';

/** What is on its way in one direction of a connection, at most: after that the sender feels it, as on a real link. */
const UNDERWAY_BYTES_MAX = 16 * 1024 * 1024;

/** Passes what comes from one socket to the other `delayMs` after it came, in order. */
function pass(from: Socket, to: Socket, delayMs: number): void {
  const underway: { readonly due: number; readonly chunk: Buffer }[] = [];
  let bytes = 0;
  let waiting = false;
  const deliver = (): void => {
    waiting = false;
    const now = performance.now();
    // What comes due in one turn goes as one write.
    const due: Buffer[] = [];
    for (let first = underway[0]; first !== undefined && first.due <= now; first = underway[0]) {
      underway.shift();
      bytes -= first.chunk.length;
      due.push(first.chunk);
    }
    if (due.length > 0) to.write(due.length === 1 && due[0] !== undefined ? due[0] : Buffer.concat(due));
    if (bytes < UNDERWAY_BYTES_MAX && from.isPaused()) from.resume();
    later();
  };
  const later = (): void => {
    const [next] = underway;
    if (next === undefined || waiting) return;
    waiting = true;
    setTimeout(deliver, Math.max(0, next.due - performance.now()));
  };
  from.on('data', (chunk: Buffer) => {
    underway.push({ due: performance.now() + delayMs, chunk });
    bytes += chunk.length;
    if (bytes >= UNDERWAY_BYTES_MAX) from.pause();
    later();
  });
}

function open({ listen, to }: ZoneLink, delayMs: number): Promise<void> {
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host: to.host, port: to.port, noDelay: true });
    const end = (): void => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    pass(near, far, delayMs);
    pass(far, near, delayMs);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listen.port, listen.host, resolve);
  });
}

process.on('message', ({ links, delayMs }: { links: readonly ZoneLink[]; delayMs: number }) => {
  void Promise.all(links.map((link) => open(link, delayMs))).then(() => process.send?.('listening'));
});
// Whoever started it is gone.
process.on('disconnect', () => process.exit());
