/**
 * As whom a stranger comes to a port: as nobody, in plain text, or behind TLS's handshake, with no certificate, with one that is not believed,
 * or with one of this cluster's own programs, which is right at some ports and wrong at the others.
 */
import { randomBytes } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, type SecureContext, createSecureContext } from 'node:tls';
import { PROGRAM_ROLES } from '../../../packages/identity/src/identity.ts';
import { issueAuthority, issueLeaf } from '../../../packages/identity/src/issue.ts';
import type { SeededRandom } from '../random.ts';

export interface Guise {
  readonly name: string;
  connect(at: { readonly host: string; readonly port: number }, random: SeededRandom): Socket;
}

/** A certificate and its key, PEM. */
interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

const HOUR_MS = 3_600_000;
/** What is spoken at some port, and at none; empty: nothing is said of it. */
const PROTOCOLS = ['', 'h2', 'http/1.1', 'postgresql', 'x'] as const;

function behindTls(name: string, pair: KeyPair | undefined): Guise {
  // Made once: what a handshake costs the other end is enough.
  const secureContext: SecureContext = createSecureContext(pair === undefined ? {} : { cert: pair.certificate, key: pair.key });
  return {
    name,
    connect: (at, random) => {
      const protocol = random.pick(PROTOCOLS);
      return connectTls({
        ...at,
        secureContext,
        rejectUnauthorized: false,
        ...(protocol === '' ? {} : { ALPNProtocols: [protocol] }),
      });
    },
  };
}

/** @param pairOf the certificate of one of the cluster's own programs */
export async function guisesOf(pairOf: (role: string) => KeyPair): Promise<readonly Guise[]> {
  const context = { now: Date.now(), random: randomBytes };
  const lifetime = { lifetimeMs: 24 * HOUR_MS, skewMs: HOUR_MS };
  const authority = await issueAuthority('demo', lifetime, context);
  const leaf = (cluster: string): Promise<KeyPair> =>
    issueLeaf(
      authority,
      { ...lifetime, identity: { namespace: 'default', cluster, role: 'compute' }, dnsNames: [], ipAddresses: [] },
      context,
    );
  return [
    { name: 'nobody, in plain text', connect: (at) => connect(at) },
    behindTls('nobody, behind TLS', undefined),
    behindTls('another cluster', await leaf('other')),
    behindTls('who says to be of this one', await leaf('demo')),
    ...PROGRAM_ROLES.map((role) => behindTls(`this cluster's ${role}`, pairOf(role))),
  ];
}
