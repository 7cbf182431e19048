import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ChannelCredentials } from '@grpc/grpc-js';
import type { ProgramRole } from '@kube-aurora/identity';
import { directRead, type AcceptRule, type MutualTls, type PeerRule } from '@kube-aurora/tls';

/**
 * How a process proves who it is, to those it calls and to those who call it. The two ends of a connection need a
 * matching pair.
 */
export interface Credentials {
  /** For gRPC: of connections that are made now. Another object says that later ones are made otherwise. */
  channel(): ChannelCredentials;
  /** For frames: a connection to an address, as what bytes are written to and read from. */
  connect(at: { readonly host: string; readonly port: number }): Duplex;
  /** Takes connections that were accepted, and gives those that are let in to whom the rule says. */
  acceptor(rule: AcceptRule): (socket: Socket) => void;
}

function connectPlain(at: { readonly host: string; readonly port: number }): Socket {
  const socket: Socket = connect({ ...at, noDelay: true, onread: directRead((bytes) => socket.emit('data', bytes)) });
  return socket;
}

const INSECURE = ChannelCredentials.createInsecure();

/** Neither encrypted nor proven: for a network that only the cluster's own pods reach. */
export const PLAIN_TEXT: Credentials = {
  channel: () => INSECURE,
  connect: connectPlain,
  acceptor:
    ({ admitted, lanes }) =>
    (socket) =>
      admitted(lanes === undefined ? socket : lanes.plain(socket), undefined),
};

/** Those of a program that has certificates, or plain text. */
export function credentialsOf(tls: MutualTls | undefined): Credentials {
  return tls === undefined ? PLAIN_TEXT : mutualCredentials(tls);
}

/** Whom computes and daemons call is storage. */
const CALLED: readonly ProgramRole[] = ['storage'];
const GRPC: PeerRule = { part: 'grpc', roles: CALLED };
const FRAMES: PeerRule = { part: 'frames', roles: CALLED };

/** Both ends say who they are, in TLS; in plain text for as long as the mode says so. */
export function mutualCredentials(tls: MutualTls): Credentials {
  const check = tls.serverCheck(GRPC);
  let context: unknown;
  let channel = INSECURE;
  return {
    channel: () => {
      if (tls.mode === 'permit') return INSECURE;
      const present = tls.clientContext();
      if (present !== context) {
        channel = ChannelCredentials.createFromSecureContext(present, { checkServerIdentity: check });
        context = present;
      }
      return channel;
    },
    connect: (at) => {
      if (tls.mode === 'permit') return connectPlain(at);
      const socket = tls.connect(
        at,
        FRAMES,
        directRead((bytes) => socket.emit('data', bytes)),
      );
      return socket;
    },
    acceptor: (rule) => tls.acceptor(rule),
  };
}
