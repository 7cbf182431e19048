import { generateKeyPairSync } from 'node:crypto';
import { expect, it } from 'vitest';
import { readCertificate, readCertificates } from './certificate.ts';
import { authorityAt, contextAt, HOUR_MS, NOW } from './fixture-pki.ts';
import { issueLeaf } from './issue.ts';
import { dueAt, isDue } from './validity.ts';

const authority = await authorityAt();
const request = {
  identity: { namespace: 'default', cluster: 'demo', role: 'server' },
  dnsNames: ['x'],
  ipAddresses: [],
  lifetimeMs: HOUR_MS,
  skewMs: 0,
} as const;

it('knows its authority and its key', async () => {
  const other = await authorityAt();
  const issued = await issueLeaf(authority, request, contextAt(NOW));
  const leaf = readCertificate(issued.certificate);
  const [ours, theirs] = readCertificates(`${authority.certificate}${other.certificate}`);
  if (leaf === undefined || ours === undefined || theirs === undefined) throw new Error('unreadable');
  expect(leaf.isIssuedBy(ours)).toBe(true);
  // Both have the same name: the key tells.
  expect(leaf.isIssuedBy(theirs)).toBe(false);
  expect(leaf.hasKey(issued.key)).toBe(true);
  expect(leaf.hasKey(other.key)).toBe(false);
  expect(leaf.hasKey('nonsense')).toBe(false);
});

it('reads what is in a bundle, each once, and no nonsense', () => {
  const broken = authority.certificate.replace(/\n[A-Za-z0-9+/]{8}/, '\nAAAAAAAA');
  const bundle = `words\n${authority.certificate}${broken}${authority.certificate}`;
  expect(readCertificates(bundle).map(({ subject }) => subject)).toEqual(['CN=demo']);
  expect(readCertificate('nonsense')).toBeUndefined();
});

it('is due once two thirds of its time are over', () => {
  const validity = { notBefore: NOW, notAfter: NOW + 3 * HOUR_MS };
  expect(dueAt(validity)).toBe(NOW + 2 * HOUR_MS);
  expect(isDue(validity, NOW + 2 * HOUR_MS - 1)).toBe(false);
  expect(isDue(validity, NOW + 2 * HOUR_MS)).toBe(true);
});

it('does not sign with a key that is none, or of another kind', async () => {
  const { privateKey } = generateKeyPairSync('ed25519', {
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  await expect(issueLeaf({ ...authority, key: privateKey }, request, contextAt(NOW))).rejects.toThrow('EC (P-256, P-384, P-521) or RSA');
});
