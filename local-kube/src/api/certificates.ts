import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { stringify } from 'yaml';
import { writeWhole } from '../store/whole-file.ts';

/** What the server needs to be reached and believed. All of it is made at the first start and kept. */
export interface Identity {
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
  readonly token: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const YEARS_MS = 10 * 365 * 86_400_000;

export async function loadOrMakeIdentity(directory: string, nowMs: number): Promise<Identity> {
  const file = path.join(directory, 'identity.json');
  if (existsSync(file)) return JSON.parse(readFileSync(file, 'utf8')) as Identity;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const identity = await makeIdentity(nowMs);
  writeWhole(file, JSON.stringify(identity));
  return identity;
}

async function makeIdentity(nowMs: number): Promise<Identity> {
  x509.cryptoProvider.set(crypto);
  const [caKeys, serverKeys] = await Promise.all([keyPair(), keyPair()]);
  const period = { notBefore: new Date(nowMs - 3_600_000), notAfter: new Date(nowMs + YEARS_MS), signingAlgorithm: ALGORITHM };
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    ...period,
    serialNumber: serial(),
    name: 'CN=local-kube CA',
    keys: caKeys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.digitalSignature, true),
    ],
  });
  const server = await x509.X509CertificateGenerator.create({
    ...period,
    serialNumber: serial(),
    subject: 'CN=local-kube',
    issuer: ca.subject,
    publicKey: serverKeys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'ip', value: '127.0.0.1' },
        ...Array.from({ length: 32 }, (_, slot) => ({ type: 'ip' as const, value: `127.${96 + slot}.0.1` })),
        { type: 'dns', value: 'localhost' },
        { type: 'dns', value: 'kubernetes.default.svc' },
      ]),
    ],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', serverKeys.privateKey), 'PRIVATE KEY');
  return { ca: ca.toString('pem'), certificate: server.toString('pem'), key, token: randomBytes(32).toString('base64url') };
}

const keyPair = () => crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);

/** Positive and unique, as RFC 5280 wants it. */
function serial(): string {
  return `01${randomBytes(8).toString('hex')}`;
}

/** Writes a kubeconfig (0600) that has all of it inside, so that the file alone is enough. */
export function writeKubeconfig(file: string, server: string, identity: Identity, namespace = 'default'): void {
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'local-kube', cluster: { server, 'certificate-authority-data': Buffer.from(identity.ca).toString('base64') } }],
    users: [{ name: 'local-kube', user: { token: identity.token } }],
    contexts: [{ name: 'local-kube', context: { cluster: 'local-kube', user: 'local-kube', namespace } }],
    'current-context': 'local-kube',
  };
  writeWhole(file, stringify(config));
}
