import { generateKeyPairSync } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { testPki } from './fixture-pki.ts';
import { readKeyPair, type KeyPair } from './key-pair.ts';

let pair: KeyPair;
let other: KeyPair;
beforeAll(async () => {
  [{ pair }, { pair: other }] = await Promise.all([testPki(['127.0.0.1']), testPki(['127.0.0.1'])]);
});

test('a certificate counts with its key alone, and with the CA of clients where one is given', () => {
  const { certificate, key, clientCa } = pair;
  expect(readKeyPair({ certificate, key, clientCa: undefined })).toMatchObject({ kind: 'read', pair: { clientCa: undefined } });
  // A chain, its own first; two authorities, while one follows the other.
  const chain = `${certificate}${clientCa ?? ''}`;
  const read = readKeyPair({ certificate: chain, key, clientCa: `${clientCa ?? ''}${other.clientCa ?? ''}` });
  expect(read).toMatchObject({ kind: 'read', pair: { certificate: chain, notAfter: pair.notAfter } });
  expect(readKeyPair({ certificate, key, clientCa }), 'the same again').toMatchObject({ pair: { fingerprint: pair.fingerprint } });
  for (const changed of [{ ...pair, clientCa: other.clientCa }, { ...pair, clientCa: undefined }, other])
    expect(readKeyPair(changed)).not.toMatchObject({ pair: { fingerprint: pair.fingerprint } });
});

test('what is damaged is named', () => {
  const { certificate, key, clientCa } = pair;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const locked = privateKey.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'secret' }).toString();
  const half = (text: string): string => text.slice(0, text.length / 2);
  const texts = { certificate, key, clientCa };
  for (const [damage, kind, why] of [
    [{ certificate: undefined }, 'missing', 'there is no tls.crt'],
    [{ key: undefined }, 'missing', 'there is no tls.key'],
    [{ certificate: '' }, 'damaged', /tls.crt holds no certificate/],
    [{ certificate: half(certificate) }, 'damaged', /tls.crt holds no certificate/],
    [{ certificate: certificate.replace('MII', 'AAA') }, 'damaged', /tls.crt holds no certificate/],
    [{ certificate: `${certificate}${half(certificate)}` }, 'damaged', /or something else beside it/],
    [{ certificate: `${certificate}${key}` }, 'damaged', /or something else beside it/],
    [{ certificate: other.certificate }, 'damaged', /tls.key is not the key/],
    [{ certificate: `${other.certificate}${certificate}` }, 'damaged', /first certificate in tls.crt/],
    [{ key: half(key) }, 'damaged', /no private key in PEM/],
    [{ key: locked }, 'damaged', /without a passphrase/],
    [{ clientCa: '' }, 'damaged', /ca.crt holds no certificate/],
  ] as const) {
    expect(readKeyPair({ ...texts, ...damage })).toEqual({ kind, why: expect.stringMatching(why) as string });
  }
});
