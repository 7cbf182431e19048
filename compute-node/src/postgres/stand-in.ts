import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket, type SecureContext } from 'node:tls';
import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { encodeFatal, REQUEST, STARTUP_BYTES_MAX, STARTUP_BYTES_MIN, type Refusal } from './startup-packets.ts';

/** Clients that say nothing keep a connection for no longer. */
const SILENCE_MS = 5000;
const CONNECTIONS_MAX = 500;
const RETRY_MS = 100;

/** A certificate and its key, PEM. */
export interface ShownPair {
  readonly certificate: string;
  readonly key: string;
}

/** Why there is no PostgreSQL, as its clients are told. */
export interface Absence extends Refusal {
  /** cannot_connect_now: drivers and poolers try again. */
  readonly sqlState: '57P03';
  readonly detail: string;
}

/**
 * Answers PostgreSQL's port while PostgreSQL is away, so that a client hears what is going on instead of being let in
 * and cut off. It speaks the start of the protocol only: yes to TLS where PostgreSQL would say that, and then a FATAL. At most
 * one of it and PostgreSQL listens.
 */
export class StandIn {
  readonly #listen: { readonly host: string; readonly port: number };
  readonly #absence: () => Absence;
  readonly #pair: () => ShownPair | undefined;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #connections = new Set<Socket>();
  #server: Server | undefined;
  #retry: Timer | undefined;
  #shown: { readonly pair: ShownPair; readonly context: SecureContext } | undefined;

  constructor(options: {
    listen: { readonly host: string; readonly port: number };
    absence: () => Absence;
    /** What PostgreSQL would show; undefined: it would refuse TLS. */
    pair: () => ShownPair | undefined;
    clock: Clock;
    logger: Logger;
  }) {
    this.#listen = options.listen;
    this.#absence = options.absence;
    this.#pair = options.pair;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  /** The port it listens on now; undefined when it does not. */
  get port(): number | undefined {
    const address = this.#server?.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Takes the port, or as soon as it is free. */
  take(): void {
    if (this.#server !== undefined) return;
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    server.maxConnections = CONNECTIONS_MAX;
    server.on('error', (error) => {
      if (this.#server !== server) return;
      this.#server = undefined;
      this.#logger.debug({ err: error }, "PostgreSQL's port is not free yet");
      this.#retry = this.#clock.after(RETRY_MS, () => this.take());
    });
    server.listen(this.#listen);
  }

  /** Gives the port back. Clients that are connected are still answered. */
  async release(): Promise<void> {
    this.#retry?.cancel();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    // Resolves with the last connection; the port is free at once.
    server.close();
    await this.#clock.turn();
  }

  /** Ends everything. */
  async close(): Promise<void> {
    await this.release();
    for (const socket of this.#connections) socket.destroy();
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    // A client that went away; there is nobody to tell.
    socket.on('error', () => socket.destroy());
    socket.setTimeout(SILENCE_MS, () => socket.destroy());
    this.#answer(socket);
  }

  /** `socket`: the connection, or what is inside it once it is encrypted. */
  #answer(socket: Socket): void {
    let received: Buffer = Buffer.alloc(0);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= STARTUP_BYTES_MIN) {
        const length = received.readUInt32BE(0);
        if (length < STARTUP_BYTES_MIN || length > STARTUP_BYTES_MAX) {
          socket.destroy();
          return;
        }
        if (received.length < length) return;
        const code = received.readUInt32BE(4);
        received = received.subarray(length);
        if (code === REQUEST.ssl && !(socket instanceof TLSSocket)) {
          const context = this.#context();
          // What came ahead of our answer may be somebody else's who sits in between.
          if (received.length > 0) socket.destroy();
          else if (context !== undefined) {
            this.#encrypt(socket, context);
            return;
          } else socket.write('N');
        } else if (code === REQUEST.ssl || code === REQUEST.gss) socket.write('N');
        else if (code === REQUEST.cancel) socket.end();
        else {
          socket.end(encodeFatal(this.#absence()));
          return;
        }
      }
    });
  }

  #encrypt(socket: Socket, secureContext: SecureContext): void {
    socket.removeAllListeners('data');
    const encrypted = new TLSSocket(socket, { isServer: true, secureContext });
    encrypted.on('error', () => socket.destroy());
    socket.write('S');
    this.#answer(encrypted);
  }

  #context(): SecureContext | undefined {
    const pair = this.#pair();
    if (pair === undefined) return undefined;
    if (this.#shown?.pair !== pair) this.#shown = { pair, context: createSecureContext({ cert: pair.certificate, key: pair.key }) };
    return this.#shown.context;
  }
}
