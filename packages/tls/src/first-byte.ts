import type { Socket } from 'node:net';
import type { Clock } from '@kube-aurora/clock';

/** The first byte of every record of a TLS handshake; no frame of ours, no HTTP begins with it. */
const HANDSHAKE = 0x16;

/** Tells, by the first byte that comes, whether somebody speaks TLS, and leaves that byte to whoever reads on. Who says nothing in time is left. */
export function speaksTls(socket: Socket, clock: Clock, timeoutMs: number, then: (isTls: boolean) => void): void {
  const late = clock.after(timeoutMs, () => socket.destroy());
  const look = (): void => {
    const chunk: unknown = socket.read();
    late.cancel();
    // Nothing to read: it has ended, and is closed.
    if (!Buffer.isBuffer(chunk) || chunk.length === 0) {
      socket.destroy();
      return;
    }
    socket.unshift(chunk);
    // The stream forgets that somebody waited to read once this turn is over.
    clock.soon(() => !socket.destroyed && then(chunk[0] === HANDSHAKE));
  };
  socket.once('readable', look);
  socket.once('close', () => late.cancel());
}
