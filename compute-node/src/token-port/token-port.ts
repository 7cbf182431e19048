import { createServer, type Server, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { encodeFatal, type Refusal } from '../postgres/startup-packets.ts';
import {
  ASKS_FOR_PASSWORD,
  encodeStartup,
  negotiation,
  packetLength,
  passwordLength,
  readFirstPacket,
  readPassword,
  type FirstPacket,
  type Startup,
} from './client-start.ts';
import { judgeClaims, judgeReview, judgeRole, readClaims, type Refused } from './judge-token.ts';
import type { LocalPostgres } from './local-postgres.ts';
import type { ReadLogins } from './logins.ts';
import { readExactly } from './read-exactly.ts';
import { relay } from './relay.ts';
import type { ShownCertificate } from './shown-certificate.ts';
import type { ReviewToken } from './token-review.ts';

/** From the connection to the session: a handshake, a token, a word of the API server's, and PostgreSQL's. */
const LET_IN_WITHIN_MS = 20_000;
/** Clients that are not let in yet; more are turned away. Each holds some hundred KiB at most. */
const WAITING_MAX = 200;
/** A broken connection is noticed by and by, as PostgreSQL does. */
const KEEP_ALIVE_MS = 60_000;
/** The first byte of a TLS handshake; a startup packet is never so long. */
const HANDSHAKE = 0x16;
/** Who begins with TLS must say for what (libpq's sslnegotiation=direct). */
const ALPN = 'postgresql';

export type LoginOutcome = 'admitted' | 'refused' | 'unavailable';

export interface TokenPortOptions {
  readonly host: string;
  readonly port: number;
  /** A second one, for clients that want the writer: a reader refuses those who come by it. Undefined: there is none. */
  readonly writerPort: number | undefined;
  readonly certificate: Pick<ShownCertificate, 'context'>;
  /** Who may log in, as of now. */
  readonly logins: () => Promise<ReadLogins>;
  readonly review: ReviewToken;
  readonly postgres: LocalPostgres;
  readonly onLogin: (outcome: LoginOutcome) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** A client that said who it wants to be. */
interface Applicant {
  readonly stream: Duplex;
  readonly startup: Startup;
}

/**
 * The port where a token of a ServiceAccount is the password. It speaks the start of PostgreSQL's protocol itself, checks the token, and then
 * passes everything on to the PostgreSQL beside it, as the very role that was checked.
 *
 * Invariants:
 * - nobody is passed on but by a token that the API server has just called right for this cluster's audience, for a role that
 *   `spec.postgresql.logins` names for that ServiceAccount; a superuser only where it says so;
 * - a token is asked for, and taken, inside TLS alone; it is kept nowhere, and logged nowhere;
 * - PostgreSQL takes the sessions for those of clients from the network: nothing leaves them without the writer's lease.
 */
export class TokenPort {
  readonly #options: TokenPortOptions;
  readonly #servers: Server[] = [];
  readonly #connections = new Set<Socket>();
  #waiting = 0;

  constructor(options: TokenPortOptions) {
    this.#options = options;
  }

  /** Rejects when a port is taken. Gives the ports that it listens on. */
  async listen(): Promise<readonly number[]> {
    const { host, port, writerPort } = this.#options;
    return Promise.all([this.#listen(host, port, false), ...(writerPort === undefined ? [] : [this.#listen(host, writerPort, true)])]);
  }

  /** Takes no connection any more, and ends those that there are. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const socket of this.#connections) socket.destroy();
  }

  #listen(host: string, port: number, wantsWriter: boolean): Promise<number> {
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, (socket) =>
      this.#accept(socket, wantsWriter),
    );
    this.#servers.push(server);
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host, port }, () => {
        const address = server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : port);
      });
    });
  }

  #accept(socket: Socket, wantsWriter: boolean): void {
    // A client that went away; there is nobody to tell.
    socket.on('error', () => socket.destroy());
    if (this.#waiting >= WAITING_MAX) {
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    socket.on('close', () => this.#connections.delete(socket));
    this.#waiting++;
    const late = this.#options.clock.after(LET_IN_WITHIN_MS, () => socket.destroy());
    let isWaiting = true;
    const letIn = (): void => {
      if (!isWaiting) return;
      isWaiting = false;
      this.#waiting--;
      late.cancel();
    };
    socket.on('close', letIn);
    this.#serve(socket, wantsWriter, letIn).catch((error: unknown) => {
      this.#options.logger.error({ err: error }, 'a client of the token port was left: what came of it is a fault of ours');
      socket.destroy();
    });
  }

  async #serve(socket: Socket, wantsWriter: boolean, letIn: () => void): Promise<void> {
    const applicant = await this.#applicant(socket);
    if (applicant === undefined) {
      socket.destroySoon();
      return;
    }
    const { stream, startup } = applicant;
    const negotiated = negotiation(startup);
    if (negotiated !== undefined) stream.write(negotiated);
    stream.write(ASKS_FOR_PASSWORD);
    const head = await readExactly(stream, 5);
    const length = head === undefined ? undefined : passwordLength(head);
    const content = length === undefined ? undefined : await readExactly(stream, length);
    const token = content === undefined ? undefined : readPassword(content);
    if (token === undefined) {
      // Also of psql, which looks first whether a password is wanted, and comes again with one.
      if (head !== undefined) stream.end(encodeFatal({ sqlState: '08P01', message: 'expected a password response with a token' }));
      else stream.destroy();
      return;
    }
    const problem = await this.#judge(token, startup.role, wantsWriter);
    if (problem !== undefined) {
      this.#refuse(socket, stream, startup.role, problem);
      return;
    }
    let server: Socket;
    try {
      server = await this.#options.postgres.connect();
    } catch (error) {
      this.#refuse(socket, stream, startup.role, away(error));
      return;
    }
    server.on('error', () => server.destroy());
    if (stream.destroyed) {
      server.destroy();
      return;
    }
    letIn();
    this.#options.onLogin('admitted');
    server.write(encodeStartup(startup));
    await relay(stream, server, this.#options.clock);
  }

  /** Undefined: it has gone, asked for something else, or was told why not. */
  async #applicant(socket: Socket): Promise<Applicant | undefined> {
    const first = await readExactly(socket, 1);
    if (first === undefined) return undefined;
    socket.unshift(first);
    if (first[0] !== HANDSHAKE) return this.#startupOf(socket, socket, { mayAskForTls: true });
    // The stream forgets that somebody waited to read once this turn is over.
    await this.#options.clock.turn();
    const encrypted = await this.#encrypt(socket);
    if (encrypted === undefined || encrypted.alpnProtocol !== ALPN) return undefined;
    return this.#startupOf(socket, encrypted, { mayAskForTls: false });
  }

  async #startupOf(socket: Socket, stream: Duplex, may: { readonly mayAskForTls: boolean }): Promise<Applicant | undefined> {
    let { mayAskForTls } = may;
    let mayAskForGss = true;
    for (;;) {
      const packet = await readPacket(stream);
      if (packet === undefined) return undefined;
      const { kind } = packet.read;
      if (kind === 'cancel') {
        await this.#cancel(packet.bytes);
        return undefined;
      }
      if (kind === 'gss' && mayAskForGss) {
        mayAskForGss = false;
        stream.write('N');
      } else if (kind === 'ssl' && mayAskForTls) {
        mayAskForTls = false;
        // What came ahead of our answer may be somebody else's who sits in between.
        if (socket.readableLength > 0) return undefined;
        if ((await this.#options.certificate.context()) === undefined) {
          socket.write('N');
          continue;
        }
        socket.write('S');
        const encrypted = await this.#encrypt(socket);
        return encrypted === undefined ? undefined : this.#startupOf(socket, encrypted, { mayAskForTls: false });
      } else if (kind === 'startup' && stream !== socket) return { stream, startup: packet.read.startup };
      else {
        stream.end(encodeFatal(packet.read.kind === 'refused' ? packet.read.refusal : ONLY_WITH_TLS));
        return undefined;
      }
    }
  }

  /** Undefined: the handshake came to nothing, or there is no certificate. */
  async #encrypt(socket: Socket): Promise<TLSSocket | undefined> {
    const secureContext = await this.#options.certificate.context();
    if (secureContext === undefined || socket.destroyed) return undefined;
    const encrypted = new TLSSocket(socket, { isServer: true, secureContext, ALPNProtocols: [ALPN] });
    encrypted.on('error', () => socket.destroy());
    return new Promise((resolve) => {
      encrypted.once('secure', () => resolve(encrypted));
      encrypted.once('close', () => resolve(undefined));
    });
  }

  async #judge(token: string, role: string, wantsWriter: boolean): Promise<Refused | undefined> {
    const { logins: read, review, postgres, clock } = this.#options;
    const found = await read();
    if (found.kind === 'malformed')
      return { kind: 'refused', refusal: { sqlState: '57P03', message: 'logins by token are not set up rightly' }, why: found.why };
    const { logins } = found;
    const claims = readClaims(token);
    const wrong = judgeClaims(claims, role, logins);
    if (wrong !== undefined || claims === undefined) return wrong;
    const answer = await review(token, logins.audience);
    const verdict = judgeReview(answer, { role, claims, nowMs: clock.wallTime(), logins });
    if (verdict.kind === 'refused') return verdict;
    try {
      return judgeRole(await postgres.factsOf(role), verdict.login, wantsWriter);
    } catch (error) {
      return away(error);
    }
  }

  #refuse(socket: Socket, stream: Duplex, role: string, { refusal, why }: Refused): void {
    const { logger, onLogin } = this.#options;
    onLogin(refusal.sqlState === '57P03' ? 'unavailable' : 'refused');
    logger.warn({ role, address: socket.remoteAddress, why }, 'refused a login by token');
    stream.end(encodeFatal(refusal));
  }

  /** PostgreSQL knows by its key what is to be cancelled, or does not. It answers nothing. */
  async #cancel(packet: Buffer): Promise<void> {
    try {
      const server = await this.#options.postgres.connect();
      server.on('error', () => server.destroy());
      server.end(packet);
      server.resume();
      await new Promise<void>((resolve) => server.once('close', () => resolve()));
    } catch (error) {
      this.#options.logger.debug({ err: error }, 'a cancel did not reach PostgreSQL: it is away');
    }
  }
}

const ONLY_WITH_TLS: Refusal = {
  sqlState: '28000',
  message: 'a token is taken only inside TLS',
  hint: 'Use sslmode=verify-full with the ca.crt of the Secret NAME-app.',
};

function away(error: unknown): Refused {
  return {
    kind: 'refused',
    refusal: { sqlState: '57P03', message: 'the database does not take connections now', hint: 'Connect again in a moment.' },
    why: `PostgreSQL cannot be reached: ${error instanceof Error ? error.message : String(error)}`,
  };
}

async function readPacket(stream: Duplex): Promise<{ readonly read: FirstPacket; readonly bytes: Buffer } | undefined> {
  const head = await readExactly(stream, 4);
  const length = head === undefined ? undefined : packetLength(head);
  const content = length === undefined ? undefined : await readExactly(stream, length - 4);
  return head === undefined || content === undefined
    ? undefined
    : { read: readFirstPacket(content), bytes: Buffer.concat([head, content]) };
}
