import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const POLL_MS = 2;
/** A connection that says nothing for this long is given up; the next one asks again. */
const SILENCE_MS = 2000;
const PROTOCOL_3_0 = 196_608;
/** Length 8, code 80877103. */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f]);
const SUPERUSER = 'postgres';
/** ERRCODE_CANNOT_CONNECT_NOW: it is starting up, or stopping. */
const CANNOT_CONNECT_NOW = '57P03';

/**
 * What PostgreSQL says to a new connection:
 * - open: it takes connections, or refuses this one for a reason that is its client's (too many of them, say);
 * - notNow: it is starting up or stopping;
 * - absent: nobody listens, or the connection was cut;
 * - silent: connected, and no answer in time: its postmaster hangs.
 */
export type PostgresAnswer = 'open' | 'notNow' | 'absent' | 'silent';

/**
 * Resolves when PostgreSQL takes a connection on its local socket. Rejects after `timeoutMs`; settles quietly when
 * aborted.
 */
export async function probeUntilReady(socketPath: string, options: { timeoutMs: number; signal: AbortSignal }): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  while (!options.signal.aborted) {
    if ((await askPostgres(socketPath, SILENCE_MS)) === 'open') return;
    if (performance.now() > deadline) throw new Error(`PostgreSQL did not answer on ${socketPath} within ${options.timeoutMs} ms`);
    await delay(POLL_MS);
  }
}

/**
 * Asks once, by a connection (protocol 3.0, "Start-up"), and answers within `withinMs`. It asks for a replication
 * connection, which belongs to no database: an ordinary one would first read some sixty catalog pages from the volume.
 */
export function askPostgres(socketPath: string, withinMs: number): Promise<PostgresAnswer> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let received: Buffer = Buffer.alloc(0);
    let connected = false;
    // Whole: one that sends a byte now and then is as silent as one that sends none.
    const timer = setTimeout(() => done('silent'), withinMs);
    const done = (answer: PostgresAnswer): void => {
      clearTimeout(timer);
      if (answer === 'open') socket.end(Buffer.from([0x58, 0, 0, 0, 4]));
      else socket.destroy();
      resolve(answer);
    };
    // EAGAIN: the postmaster's queue of connections is full, and nobody empties it.
    socket.on('error', (error) => done(!connected && 'code' in error && error.code === 'EAGAIN' ? 'silent' : 'absent'));
    socket.on('close', () => done('absent'));
    socket.on('connect', () => {
      connected = true;
      socket.write(startupMessage());
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5) {
        const type = String.fromCharCode(received[0] ?? 0);
        const end = 1 + received.readUInt32BE(1);
        if (type === 'Z') return done('open');
        if (received.length < end) return;
        if (type === 'E') return done(sqlState(received.subarray(5, end)) === CANNOT_CONNECT_NOW ? 'notNow' : 'open');
        received = received.subarray(end);
      }
    });
  });
}

/**
 * A sign of life of the postmaster, within `withinMs`: it answers a request for encryption with one byte, from a child
 * that has neither read a page nor taken a lock, so that one which waits for storage answers as well. A connection that
 * is refused or cut is an answer, too: only silence is none.
 */
export function greetsPostgres(socketPath: string, withinMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let connected = false;
    const done = (greeted: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(greeted);
    };
    const timer = setTimeout(() => done(false), withinMs);
    socket.on('error', (error) => done(connected || !('code' in error) || error.code !== 'EAGAIN'));
    socket.on('close', () => done(true));
    socket.on('connect', () => {
      connected = true;
      socket.write(SSL_REQUEST);
    });
    socket.on('data', () => done(true));
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
