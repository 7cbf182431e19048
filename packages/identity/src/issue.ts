import { createPrivateKey, webcrypto, type KeyObject } from 'node:crypto';
import 'reflect-metadata';
import * as x509 from '@peculiar/x509';
import { identityUri, type Identity } from './identity.ts';
import type { Authority } from './rotation.ts';

/** Makes authorities and certificates: only who issues them needs this, and the library behind it. */

export interface IssueContext {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** So many random bytes, for serial numbers; keys come from the machine's own generator. */
  readonly random: (bytes: number) => Uint8Array;
}

export interface Lifetime {
  readonly lifetimeMs: number;
  /** Clocks may differ by so much: it is valid from so long ago. */
  readonly skewMs: number;
}

export interface LeafRequest extends Lifetime {
  readonly identity: Identity;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
}

/** A certificate and its private key (PKCS#8), PEM. */
export interface IssuedCertificate {
  readonly certificate: string;
  readonly key: string;
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** 126 bits of chance, positive and without a leading zero byte: RFC 5280 has at most 20 bytes. */
const SERIAL_BYTES = 16;

x509.cryptoProvider.set(crypto);

/** A new authority that signs leaves alone (EC P-256). */
export async function issueAuthority(commonName: string, lifetime: Lifetime, context: IssueContext): Promise<Authority> {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: serialNumber(context),
    name: [{ CN: [commonName] }],
    ...validityOf(lifetime, context),
    signingAlgorithm: ALGORITHM,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await privateKeyPem(keys) };
}

/** A certificate of one program, for both ends of TLS. Rejects when the authority's key is none. */
export async function issueLeaf(authority: Authority, request: LeafRequest, context: IssueContext): Promise<IssuedCertificate> {
  const { identity, dnsNames, ipAddresses } = request;
  const alternatives = new x509.SubjectAlternativeNameExtension([
    ...dnsNames.map((value) => ({ type: 'dns' as const, value })),
    ...ipAddresses.map((value) => ({ type: 'ip' as const, value })),
    { type: 'url' as const, value: identityUri(identity) },
  ]);
  const { serverAuth, clientAuth } = x509.ExtendedKeyUsage;
  return sign(
    authority,
    { commonName: commonNameOf(identity), usages: [serverAuth, clientAuth], more: [alternatives], ...request },
    context,
  );
}

export interface LoginRequest extends Lifetime {
  /** Of PostgreSQL. */
  readonly role: string;
}

/**
 * A certificate by which somebody logs in as a role (the method `cert` of pg_hba.conf): its common name is the role's. It names no program:
 * the cluster's own programs believe nothing of it.
 */
export async function issueLogin(authority: Authority, request: LoginRequest, context: IssueContext): Promise<IssuedCertificate> {
  const usages = [x509.ExtendedKeyUsage.clientAuth];
  return sign(authority, { commonName: request.role, usages, more: [], ...request }, context);
}

interface Signed extends Lifetime {
  readonly commonName: string;
  readonly usages: readonly x509.ExtendedKeyUsage[];
  readonly more: readonly x509.Extension[];
}

async function sign(
  authority: Authority,
  { commonName, usages, more, ...lifetime }: Signed,
  context: IssueContext,
): Promise<IssuedCertificate> {
  const issuer = new x509.X509Certificate(authority.certificate);
  const keys = await newKeys();
  const validity = validityOf(lifetime, context);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: serialNumber(context),
    subject: [{ CN: [commonName] }],
    issuer: issuer.subject,
    notBefore: validity.notBefore,
    // None is believed for longer than who signed it.
    notAfter: validity.notAfter < issuer.notAfter ? validity.notAfter : issuer.notAfter,
    publicKey: keys.publicKey,
    ...(await signingKeyOf(authority.key)),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([...usages]),
      ...more,
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
      await keyIdentifierOf(issuer),
    ],
  });
  return { certificate: `${certificate.toString('pem')}\n`, key: await privateKeyPem(keys) };
}

const COMMON_NAME_MAX = 64;

/** For people, and cut where X.509 has no room: who it is stands in the URI. */
function commonNameOf({ cluster, role }: Identity): string {
  return `${cluster}-${role}`.slice(0, COMMON_NAME_MAX);
}

function newKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function validityOf({ lifetimeMs, skewMs }: Lifetime, { now }: IssueContext): { notBefore: Date; notAfter: Date } {
  return { notBefore: new Date(now - skewMs), notAfter: new Date(now + lifetimeMs) };
}

function serialNumber({ random }: IssueContext): string {
  const bytes = Buffer.from(random(SERIAL_BYTES));
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function privateKeyPem({ privateKey }: webcrypto.CryptoKeyPair): Promise<string> {
  return `${x509.PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', privateKey), 'PRIVATE KEY')}\n`;
}

type SigningAlgorithm =
  | { readonly name: 'ECDSA'; readonly namedCurve: string; readonly hash: string }
  | { readonly name: 'RSASSA-PKCS1-v1_5'; readonly hash: string };

const CURVES: Readonly<Record<string, { readonly namedCurve: string; readonly hash: string }>> = {
  prime256v1: { namedCurve: 'P-256', hash: 'SHA-256' },
  secp384r1: { namedCurve: 'P-384', hash: 'SHA-384' },
  secp521r1: { namedCurve: 'P-521', hash: 'SHA-512' },
};

/** An authority that somebody else made may have a key of another kind than ours. */
function signingAlgorithmOf(key: KeyObject): SigningAlgorithm {
  if (key.asymmetricKeyType === 'rsa') return { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' };
  const curve = CURVES[key.asymmetricKeyDetails?.namedCurve ?? ''];
  if (curve === undefined)
    throw new TypeError(`an authority's key is EC (P-256, P-384, P-521) or RSA, not ${key.asymmetricKeyType ?? 'this'}`);
  return { name: 'ECDSA', ...curve };
}

/** Reads PKCS#8, SEC 1 and PKCS#1. */
async function signingKeyOf(
  pem: string,
): Promise<{ readonly signingAlgorithm: SigningAlgorithm; readonly signingKey: webcrypto.CryptoKey }> {
  const key = createPrivateKey(pem);
  const signingAlgorithm = signingAlgorithmOf(key);
  const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
  return { signingAlgorithm, signingKey: await webcrypto.subtle.importKey('pkcs8', pkcs8, signingAlgorithm, false, ['sign']) };
}

/** As the authority names its key itself: others work the name out otherwise than we do. */
async function keyIdentifierOf(issuer: x509.X509Certificate): Promise<x509.AuthorityKeyIdentifierExtension> {
  const own = issuer.getExtension(x509.SubjectKeyIdentifierExtension);
  return own === null ? x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey) : new x509.AuthorityKeyIdentifierExtension(own.keyId);
}
