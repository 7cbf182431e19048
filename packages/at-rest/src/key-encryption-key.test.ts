import { describe, expect, it } from 'vitest';
import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { KeyEncryptionKey, readKey, WRAPPED_BYTES } from './key-encryption-key.ts';
import { KeyRing } from './key-ring.ts';
import { KmsKey } from './kms-key.ts';
import { WrappedKeyError } from './wrapping-key.ts';

const key = (fill: number): KeyEncryptionKey => new KeyEncryptionKey(Buffer.alloc(32, fill));

describe('a key as it is given', () => {
  const raw = Buffer.from(Array.from({ length: 32 }, (_, at) => at * 7));
  const good: readonly [string, Buffer][] = [
    ['32 bytes', raw],
    ['base64', Buffer.from(raw.toString('base64'))],
    ['base64 with the end of its line', Buffer.from(`${raw.toString('base64')}\n`)],
  ];
  it.each(good)('%s', (_what, bytes) => {
    const reading = readKey(bytes);
    expect(reading.kind === 'key' && reading.key.fingerprint).toBe(new KeyEncryptionKey(raw).fingerprint);
  });

  const bad: readonly [string, Buffer, string][] = [
    ['nothing', Buffer.alloc(0), 'is empty'],
    ['a password of 32 letters', Buffer.from('correct horse battery staple 123'), '32 bytes, and no base64'],
    ['a password that looks like base64', Buffer.from('abcdefghijklmnopqrstuvwxyzABCDEF'), 'base64 of 24 bytes'],
    ['31 bytes', raw.subarray(1), '31 bytes'],
    ['base64 of 16 bytes', Buffer.from(raw.subarray(0, 16).toString('base64')), 'base64 of 16 bytes'],
  ];
  it.each(bad)('%s is none', (_what, bytes, words) => {
    const reading = readKey(bytes);
    expect(reading.kind === 'unusable' && reading.problem).toContain(words);
    expect(reading.kind === 'unusable' && reading.problem).toContain('head -c 32 /dev/urandom | base64');
  });
});

describe('wrapping', () => {
  it('unwraps with the same key, for the same volume, and not otherwise', () => {
    const dataKey = randomBytes(32);
    const wrapped = key(1).wrap(dataKey, 'v/0', randomBytes);
    expect(wrapped.wrappedBy).toBe(key(1).fingerprint);
    expect(key(1).unwrap(wrapped, 'v/0')).toEqual(dataKey);
    expect(() => key(1).unwrap(wrapped, 'v/1')).toThrow(WrappedKeyError);
    expect(() => key(2).unwrap(wrapped, 'v/0')).toThrow(`not by ${key(2).fingerprint}`);
    // Who says that another key wrapped it.
    expect(() => key(2).unwrap({ ...wrapped, wrappedBy: key(2).fingerprint }, 'v/0')).toThrow(WrappedKeyError);
  });

  it('refuses any flipped bit and any cut', () => {
    const wrapped = key(1).wrap(randomBytes(32), 'v/0', randomBytes);
    const bytes = Buffer.from(wrapped.wrappedKey, 'base64');
    fc.assert(
      fc.property(fc.nat(WRAPPED_BYTES * 8 - 1), (at) => {
        const flipped = Buffer.from(bytes);
        flipped.writeUInt8(flipped.readUInt8(at >>> 3) ^ (1 << (at & 7)), at >>> 3);
        expect(() => key(1).unwrap({ ...wrapped, wrappedKey: flipped.toString('base64') }, 'v/0')).toThrow(WrappedKeyError);
        const cut = bytes.subarray(0, at >>> 3).toString('base64');
        expect(() => key(1).unwrap({ ...wrapped, wrappedKey: cut }, 'v/0')).toThrow(WrappedKeyError);
      }),
    );
  });

  it('has a name that says nothing of the key, and is another for every key', () => {
    const names = Array.from({ length: 50 }, (_, fill) => key(fill).fingerprint);
    expect(new Set(names).size).toBe(50);
    for (const name of names) expect(name).toMatch(/^[0-9a-f]{16}$/);
  });
});

describe('rotation', () => {
  it('wraps anew what an older key wrapped, and needs that one no more', () => {
    const before = new KeyRing(key(1), [], randomBytes);
    const { dataKey, wrapped } = before.make('v/0');
    const both = new KeyRing(key(2), [key(1)], randomBytes);
    expect(both.isOutdated(wrapped)).toBe(true);
    expect(both.unwrap(wrapped, 'v/0')).toEqual(dataKey);
    const anew = both.wrap(dataKey, 'v/0');
    expect(both.isOutdated(anew)).toBe(false);
    const after = new KeyRing(key(2), [], randomBytes);
    expect(after.unwrap(anew, 'v/0')).toEqual(dataKey);
    expect(() => after.unwrap(wrapped, 'v/0')).toThrow(
      `wrapped by key ${key(1).fingerprint}, and the keys that are here are ${key(2).fingerprint}`,
    );
  });
});

describe('a key of a KMS', () => {
  const envelope = { keyId: 'aws/k', ciphertext: 'YQ==', annotations: {} };
  const seed = Buffer.alloc(32, 9);

  it('wraps with the seed that it holds, and unwraps from what stands with it', () => {
    const ring = new KeyRing(new KmsKey(seed, envelope), [], randomBytes);
    const { dataKey, wrapped } = ring.make('v/0');
    expect(wrapped).toMatchObject({ wrappedBy: 'kms:aws/k', kms: envelope });
    expect(new KeyRing(key(1), [new KmsKey(seed, envelope)], randomBytes).unwrap(wrapped, 'v/0')).toEqual(dataKey);
    expect(() => ring.unwrap(wrapped, 'v/1')).toThrow(WrappedKeyError);
    // A KMS that gives another seed for it.
    const lied = new KeyRing(new KmsKey(Buffer.alloc(32, 8), envelope), [], randomBytes);
    expect(() => lied.unwrap(wrapped, 'v/0')).toThrow(WrappedKeyError);
    // A key out of a Secret unwraps nothing of a KMS, whatever its name.
    expect(() => new KeyRing(key(1), [], randomBytes).unwrap({ ...wrapped, wrappedBy: key(1).name }, 'v/0')).toThrow(WrappedKeyError);
  });

  it('is outdated when the KMS has another key or another kind of key wraps, and not by another seed', () => {
    const { wrapped } = new KeyRing(new KmsKey(seed, envelope), [], randomBytes).make('v/0');
    const now = (current: KmsKey | KeyEncryptionKey): boolean => new KeyRing(current, [], randomBytes).isOutdated(wrapped);
    expect(now(new KmsKey(Buffer.alloc(32, 8), { ...envelope, ciphertext: 'Yg==' }))).toBe(false);
    expect(now(new KmsKey(seed, { ...envelope, keyId: 'aws/l' }))).toBe(true);
    expect(now(key(1))).toBe(true);
  });
});
