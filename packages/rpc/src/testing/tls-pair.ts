import { webcrypto } from 'node:crypto';
import { connect, createSecureContext, TLSSocket } from 'node:tls';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { PLAIN_TEXT, type Credentials } from '../credentials.ts';

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 86_400_000;

/** Frames inside TLS, by a certificate that is made here: what the two ends of a connection would be given. */
export async function tlsCredentials(): Promise<Credentials> {
  x509.cryptoProvider.set(crypto);
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=frames',
    notBefore: new Date(Date.now() - DAY_MS),
    notAfter: new Date(Date.now() + DAY_MS),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
  });
  const pem = certificate.toString('pem');
  const key = x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  const secureContext = createSecureContext({ cert: pem, key });
  return {
    ...PLAIN_TEXT,
    connect: (at) => connect({ ...at, ca: pem }).setNoDelay(true),
    accept: (socket) => new TLSSocket(socket, { isServer: true, secureContext }),
  };
}
