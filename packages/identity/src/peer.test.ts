import { describe, expect, it, test } from 'vitest';
import { authorizePeer, type RefusalReason } from './admission.ts';
import { readCertificates } from './certificate.ts';
import { authorityAt, HOUR_MS, leafOf, NOW } from './fixture-pki.ts';
import type { Identity } from './identity.ts';
import { readPeer } from './peer.ts';

const OWN: Identity = { namespace: 'default', cluster: 'demo', role: 'storage' };
const COMPUTE: Identity = { ...OWN, role: 'compute' };

const authority = await authorityAt();
const bundle = readCertificates(authority.certificate);

it('a certificate says what it was issued for', async () => {
  const leaf = await leafOf(authority, COMPUTE);
  const reading = readPeer(leaf, bundle, NOW);
  expect(reading).toMatchObject({
    kind: 'known',
    identity: COMPUTE,
    certificate: {
      dnsNames: ['demo-rw', 'demo-rw.default.svc'],
      ipAddresses: ['127.0.0.1', '0:0:0:0:0:0:0:1'],
      isAuthority: false,
      notBefore: NOW - HOUR_MS,
      notAfter: NOW + 24 * HOUR_MS,
    },
  });
});

it('lasts no longer than its authority', async () => {
  const leaf = await leafOf(authority, COMPUTE, NOW + 12 * HOUR_MS);
  expect(leaf.validToDate.getTime()).toBe(NOW + 24 * HOUR_MS);
});

describe('who is refused, and why', () => {
  const other = authorityAt(NOW, 'other');
  const cases: Record<string, { shown: () => Promise<Parameters<typeof readPeer>[0]>; at?: number; reason: RefusalReason; who: RegExp }> = {
    'who shows nothing': { shown: () => Promise.resolve(undefined), reason: 'no-certificate', who: /nobody/ },
    'an expired one': { shown: () => leafOf(authority, COMPUTE, NOW - 48 * HOUR_MS), reason: 'expired', who: /demo\/role\/compute/ },
    'one of tomorrow': { shown: () => leafOf(authority, COMPUTE, NOW + 3 * HOUR_MS), reason: 'not-yet-valid', who: /demo\/role\/compute/ },
    'one of an authority that is gone': { shown: async () => leafOf(await other, COMPUTE), reason: 'untrusted', who: /says to be .*demo/ },
    'one of another cluster and authority': {
      shown: async () => leafOf(await other, { ...COMPUTE, cluster: 'other' }),
      reason: 'other-cluster',
      who: /says to be .*cluster\/other/,
    },
    'one of another cluster by the same authority': {
      shown: () => leafOf(authority, { ...COMPUTE, cluster: 'other' }),
      reason: 'other-cluster',
      who: /^spiffe.*cluster\/other/,
    },
    'one of another namespace': {
      shown: () => leafOf(authority, { ...COMPUTE, namespace: 'other' }),
      reason: 'other-cluster',
      who: /ns\/other/,
    },
    'another role': { shown: () => leafOf(authority, { ...OWN, role: 'server' }), reason: 'wrong-role', who: /role\/server/ },
    'anybody once the authority has expired': {
      shown: () => leafOf(authority, COMPUTE),
      at: NOW + 25 * HOUR_MS,
      reason: 'untrusted',
      who: /demo\/role\/compute/,
    },
  };
  test.each(Object.entries(cases))('%s', async (_name, { shown, at = NOW, reason, who }) => {
    const admission = authorizePeer(readPeer(await shown(), bundle, at), OWN, ['compute', 'storage']);
    expect(admission).toMatchObject({ kind: 'refused', reason });
    expect(admission.kind === 'refused' ? admission.who : '').toMatch(who);
  });

  it('the authority itself, which says nothing of who it is', async () => {
    const { X509Certificate } = await import('node:crypto');
    const reading = readPeer(new X509Certificate(authority.certificate), bundle, NOW);
    expect(authorizePeer(reading, OWN, ['compute'])).toMatchObject({ kind: 'refused', reason: 'no-identity' });
  });
});

it('is admitted in one of the roles of the same cluster', async () => {
  const reading = readPeer(await leafOf(authority, COMPUTE), bundle, NOW);
  expect(authorizePeer(reading, OWN, ['compute'])).toEqual({ kind: 'admitted', identity: COMPUTE });
});
