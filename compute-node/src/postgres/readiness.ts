import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 2;
/** A connection that says nothing for this long is given up; the next one asks again. */
const SILENCE_MS = 2000;
const PROTOCOL_3_0 = 196_608;
const SUPERUSER = 'postgres';
/** ERRCODE_CANNOT_CONNECT_NOW: it is starting up, or stopping. */
const CANNOT_CONNECT_NOW = '57P03';

/**
 * Resolves when PostgreSQL takes a connection on its local socket (protocol 3.0, "Start-up"). It asks for a replication
 * connection, which belongs to no database: an ordinary one would first read some sixty catalog pages from the volume.
 * Rejects after `timeoutMs`; settles quietly when aborted.
 */
export async function probeUntilReady(socketPath: string, options: { timeoutMs: number; signal: AbortSignal }): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  while (!options.signal.aborted) {
    if (await answers(socketPath)) return;
    if (performance.now() > deadline) throw new Error(`PostgreSQL did not answer on ${socketPath} within ${options.timeoutMs} ms`);
    await delay(POLL_MS);
  }
}

/** One attempt: true at ReadyForQuery, and at a refusal for another reason than "starting up"; false for anything else. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let received: Buffer = Buffer.alloc(0);
    const done = (ready: boolean): void => {
      if (ready) socket.end(Buffer.from([0x58, 0, 0, 0, 4]));
      else socket.destroy();
      resolve(ready);
    };
    socket.setTimeout(SILENCE_MS, () => done(false));
    socket.on('error', () => done(false));
    socket.on('close', () => resolve(false));
    socket.on('connect', () => socket.write(startupMessage()));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5) {
        const type = String.fromCharCode(received[0] ?? 0);
        const end = 1 + received.readUInt32BE(1);
        if (type === 'Z') return done(true);
        if (received.length < end) return;
        if (type === 'E') return done(sqlState(received.subarray(5, end)) !== CANNOT_CONNECT_NOW);
        received = received.subarray(end);
      }
    });
  });
}

/** The C field of an ErrorResponse: fields are a type byte and a zero-terminated text. */
function sqlState(fields: Buffer): string | undefined {
  return fields
    .toString('latin1')
    .split('\0')
    .find((field) => field.startsWith('C'))
    ?.slice(1);
}

function startupMessage(): Buffer {
  const parameters = Buffer.from(`user\0${SUPERUSER}\0replication\0true\0\0`);
  const message = Buffer.alloc(8 + parameters.length);
  message.writeUInt32BE(message.length, 0);
  message.writeUInt32BE(PROTOCOL_3_0, 4);
  parameters.copy(message, 8);
  return message;
}
