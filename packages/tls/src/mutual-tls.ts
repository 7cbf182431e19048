import { constants, X509Certificate } from 'node:crypto';
import type { OnReadOpts, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import {
  connect,
  createSecureContext,
  createServer,
  TLSSocket,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureContext,
  type SecureContextOptions,
} from 'node:tls';
import type { AppendLanes, LaneSocket } from '@kube-aurora/append-lane';
import type { Clock } from '@kube-aurora/clock';
import { authorizePeer, readPeer, type Admission, type Identity, type PeerReading, type ProgramRole } from '@kube-aurora/identity';
import { speaksTls } from './first-byte.ts';
import type { Material, TlsMode } from './material.ts';
import type { ConnectionRefusal, RefusalLog } from './refusal-log.ts';
import { refusalInWords, refusalOfError } from './refused-by-openssl.ts';

/** From a connection's first moment until we know who it is. */
const HANDSHAKE_MS = 5_000;
const VERSION = 'TLSv1.3';
/** Those of TLS 1.3, the cheapest first: all are sound. */
const CIPHERS = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256';

export interface MutualTlsOptions {
  /** As it is now: looked at for every new connection. */
  readonly material: () => Material;
  readonly clock: Clock;
  readonly refusals: RefusalLog;
}

/** Who may be at the other end of a connection, and what it is for. */
export interface PeerRule {
  /** For the log and the metric: frames, grpc, status. */
  readonly part: string;
  readonly roles: readonly ProgramRole[];
}

export interface AcceptRule extends PeerRule {
  /** What is spoken inside, as ALPN names it; undefined: nothing is agreed upon. */
  readonly alpn?: string;
  /** Plain text is taken too, whatever the mode: whoever takes it decides what for. */
  readonly plainToo?: boolean;
  /** Connections get a thread of their own, and streams on them can be lent to it. */
  readonly lanes?: AppendLanes;
  /** Somebody is let in; `identity` is undefined in plain text. */
  readonly admitted: (stream: Duplex, identity: Identity | undefined) => void;
}

/**
 * TLS 1.3 between the programs of one cluster, where both ends say who they are.
 *
 * Invariant: nobody is let in, and nobody is spoken to, but whose certificate is believed at the moment of the handshake and says that it is of our
 * own cluster, in a role that belongs there. Sessions are not resumed: each handshake is judged by what is believed then.
 */
export class MutualTls {
  readonly #options: MutualTlsOptions;
  #context: { readonly fingerprint: string; readonly secure: SecureContext } | undefined;

  constructor(options: MutualTlsOptions) {
    this.#options = options;
  }

  get mode(): TlsMode {
    return this.#options.material().mode;
  }

  /** Takes connections that were accepted. */
  acceptor(rule: AcceptRule): (socket: Socket) => void {
    if (rule.lanes !== undefined) return this.#laneAcceptor(rule, rule.lanes);
    const { clock, material } = this.#options;
    let taken = material();
    const server = createServer({
      ...contextOptions(taken),
      requestCert: true,
      // Whoever is refused is so by us, who can say why.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_MS,
      ...(rule.alpn === undefined ? {} : { ALPNProtocols: [rule.alpn] }),
    });
    server.on('secureConnection', (socket: TLSSocket) => {
      socket.setNoDelay(true);
      const { remoteAddress, authorized: isVerified } = socket;
      this.#judge(socket, { shown: socket.getPeerX509Certificate(), isVerified, remoteAddress, rule });
    });
    server.on('tlsClientError', (error: Error & { readonly code?: unknown }, socket: TLSSocket) => {
      // Who merely went away half way was refused by nobody.
      const reason = refusalOfError(error.code);
      if (reason !== undefined) this.#refuse(rule, socket, 'caller', { ...told(reason, error), who: 'nobody knows who' });
      socket.destroy();
    });
    return (socket) =>
      speaksTls(socket, clock, HANDSHAKE_MS, (isTls) => {
        if (!isTls) {
          if (this.#takesPlain(socket, rule)) rule.admitted(socket, undefined);
          return;
        }
        const present = material();
        if (present.fingerprint !== taken.fingerprint) server.setSecureContext(contextOptions(present));
        taken = present;
        server.emit('connection', socket);
      });
  }

  /** Somebody speaks plain text: gives whether that is let in, and ends it where not. */
  #takesPlain(socket: Socket, rule: AcceptRule): boolean {
    if (rule.plainToo === true || this.mode !== 'require') return true;
    const message = 'it speaks plain text, and here everybody says who it is';
    this.#refuse(rule, socket, 'caller', { reason: 'plain-text', who: 'nobody knows who', message });
    socket.destroy();
    return false;
  }

  /** The same, where each connection has its own thread: the handshake is there, and the judgement here. */
  #laneAcceptor(rule: AcceptRule, lanes: AppendLanes): (socket: Socket) => void {
    const { clock, material } = this.#options;
    let context: { readonly fingerprint: string; readonly make: (socket: Socket) => LaneSocket } | undefined;
    return (socket) =>
      speaksTls(socket, clock, HANDSHAKE_MS, (isTls) => {
        if (!isTls) {
          if (this.#takesPlain(socket, rule)) rule.admitted(lanes.plain(socket), undefined);
          return;
        }
        const { fingerprint, certificate, key, authorities } = material();
        if (context?.fingerprint !== fingerprint) {
          const texts = { certificate: certificate.pem, key, authorities: authorities.map(({ pem }) => pem), ciphers: CIPHERS };
          context = { fingerprint, make: lanes.secured(texts) };
        }
        this.#shake(context.make(socket), socket, rule);
      });
  }

  #shake(lane: LaneSocket, { remoteAddress }: Socket, rule: AcceptRule): void {
    const late = this.#options.clock.after(HANDSHAKE_MS, () => lane.destroy());
    const from = { remoteAddress };
    const onError = (error: Error & { readonly code?: unknown }): void => {
      const reason = refusalOfError(error.code);
      if (reason !== undefined) this.#refuse(rule, from, 'caller', { ...told(reason, error), who: 'nobody knows who' });
    };
    lane.on('error', onError);
    lane.once('close', () => late.cancel());
    lane.once('secured', () => {
      late.cancel();
      lane.off('error', onError);
      const { certificate, isVerified } = lane.shown;
      this.#judge(lane, { ...from, rule, isVerified, shown: certificate === undefined ? undefined : new X509Certificate(certificate) });
    });
  }

  #judge(
    stream: Duplex,
    {
      shown,
      isVerified,
      remoteAddress,
      rule,
    }: { readonly shown: X509Certificate | undefined; readonly isVerified: boolean; readonly rule: AcceptRule } & Pick<
      Socket,
      'remoteAddress'
    >,
  ): void {
    const admission = this.#admission(shown, isVerified, rule);
    if (admission.kind === 'admitted') {
      rule.admitted(stream, admission.identity);
      return;
    }
    this.#refuse(rule, { remoteAddress }, 'caller', admission);
    // What still befalls it is of no interest.
    stream.on('error', () => undefined);
    stream.destroy();
  }

  /** `isVerified`: what OpenSSL says of the chain. */
  #admission(shown: X509Certificate | undefined, isVerified: boolean, { roles }: PeerRule): Admission {
    const { authorities, own } = this.#options.material();
    const reading = readPeer(shown, authorities, this.#options.clock.wallTime());
    const distrusted: PeerReading =
      reading.kind === 'known' && !isVerified ? { kind: 'untrusted', claims: reading.identity, certificate: reading.certificate } : reading;
    return authorizePeer(distrusted, own, roles);
  }

  #refuse(
    { part }: PeerRule,
    { remoteAddress = '' }: Pick<Socket, 'remoteAddress'>,
    side: ConnectionRefusal['side'],
    { reason, who, message, code }: Pick<ConnectionRefusal, 'reason' | 'who' | 'message' | 'code'>,
  ): void {
    this.#options.refusals.note({ part, address: remoteAddress, side, reason, who, message, code });
  }

  /** A connection to somebody who must be in one of the roles; it fails, with 'error', where that is not so. */
  connect(at: { readonly host: string; readonly port: number }, rule: PeerRule, onread?: OnReadOpts): TLSSocket {
    const options: ConnectionOptions = {
      ...at,
      secureContext: this.clientContext(),
      checkServerIdentity: this.serverCheck(rule),
      ...(onread === undefined ? {} : { onread }),
    };
    const socket = connect(options);
    socket.setNoDelay(true);
    socket.on('error', (error: Error & { readonly code?: unknown }) => this.noteServerError(rule, `${at.host}:${at.port}`, error));
    return socket;
  }

  /** For connections that are made now: the same object for as long as they are made alike. */
  clientContext(): SecureContext {
    const material = this.#options.material();
    if (this.#context?.fingerprint !== material.fingerprint)
      this.#context = { fingerprint: material.fingerprint, secure: createSecureContext(contextOptions(material)) };
    return this.#context.secure;
  }

  /** Host names say nothing of who somebody is: the certificate does. OpenSSL has found its chain good by then. */
  serverCheck(rule: PeerRule): (host: string, shown: PeerCertificate) => Error | undefined {
    return (host, shown) => {
      const admission = this.#admission(new X509Certificate(shown.raw), true, rule);
      if (admission.kind === 'admitted') return undefined;
      this.#refuse(rule, { remoteAddress: host }, 'server', admission);
      return new Error(`${admission.who} answers, and is not spoken to: ${admission.message}`);
    };
  }

  /** A connection of ours failed: was it because of who is there? */
  noteServerError(rule: PeerRule, address: string, error: Error & { readonly code?: unknown }): void {
    const reason = refusalOfError(error.code);
    if (reason === undefined) return;
    this.#refuse(rule, { remoteAddress: address }, 'server', { ...told(reason, error), who: 'whoever answers there' });
  }
}

function told(
  reason: Exclude<ReturnType<typeof refusalOfError>, undefined>,
  { code }: { readonly code?: unknown },
): Pick<ConnectionRefusal, 'reason' | 'message' | 'code'> {
  return { reason, message: refusalInWords(reason, code), code: String(code) };
}

function contextOptions({ certificate, key, authorities }: Material): SecureContextOptions {
  return {
    cert: certificate.pem,
    key,
    ca: authorities.map(({ pem }) => pem),
    minVersion: VERSION,
    ciphers: CIPHERS,
    secureOptions: constants.SSL_OP_NO_TICKET,
  };
}
