import { randomBytes, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { KeyEncryptionKey, KeyRing, KmsKey } from '@kube-aurora/at-rest';
import { connectKms, type KmsPlugin } from '@kube-aurora/kms';
import { silentLogger } from '@kube-aurora/process';
import { reasonsToWait } from '../../storage-daemon/src/daemon-keys.ts';
import type { HeldKey } from '../../storage-daemon/src/key-source.ts';
import { KmsKeys } from '../../storage-daemon/src/kms-keys.ts';
import { KmsProcess } from './kms-process.ts';
import type { KmsFault } from './kms-state.ts';

/** A storage daemon's keys over a real plugin, over a real socket. */
const kms = new KmsProcess();
let plugin: KmsPlugin;
/** Milliseconds; it stands unless a test moves it. */
let now = 0;

const keysOf = (wraps = true): KmsKeys =>
  new KmsKeys({ plugin, wraps, lookMs: 60_000, clock: { now: () => now }, random: randomBytes, logger: silentLogger() });
/** A key that a segment holds, wrapped by what the KMS names now. */
async function held(): Promise<HeldKey> {
  const keys = keysOf();
  await keys.look([]);
  if (keys.current === undefined) throw new Error(keys.problem);
  return { of: 'v/0', wrapped: new KeyRing(keys.current, [], randomBytes).make('v/0').wrapped };
}
async function look(keys: KmsKeys, ...all: HeldKey[]): Promise<void> {
  now += 60_000;
  await keys.look(all);
}
const waits = (wrapping: KmsKeys, ...all: HeldKey[]): readonly string[] => reasonsToWait({ wrapping, before: undefined }, all);

beforeAll(async () => {
  kms.start();
  plugin = connectKms(kms.socket, randomUUID);
  await vi.waitUntil(async () => (await plugin.status()).kind === 'answer', { timeout: 30_000 });
});
afterAll(async () => {
  plugin?.close();
  await kms.remove();
});
beforeEach(() => kms.rotate('k1', { k1: 1 }));

describe('keys of a KMS', () => {
  it('wrap, and unwrap in another process; the KMS sees no data key', async () => {
    const one = await held();
    expect(one.wrapped.kms).toMatchObject({ keyId: 'k1', annotations: { 'nonce.kms-plugin.test': expect.any(String) as string } });
    const keys = keysOf();
    await look(keys, one);
    expect(waits(keys, one)).toEqual([]);
    const current = keys.current;
    if (current === undefined) throw new Error('no key');
    const ring = new KeyRing(current, keys.keys, randomBytes);
    expect(ring.unwrap(one.wrapped, 'v/0')).toHaveLength(32);
    // The same key of the KMS, of another seed: nothing to wrap anew.
    expect(ring.isOutdated(one.wrapped)).toBe(false);
  });

  it('follow the key that the KMS names, and keep those from before', async () => {
    const one = await held();
    const keys = keysOf();
    await look(keys, one);
    kms.rotate('k2', { k1: 1, k2: 2 });
    await look(keys, one);
    const { current } = keys;
    expect(current?.name).toBe('kms:k2');
    expect(current !== undefined && new KeyRing(current, keys.keys, randomBytes).isOutdated(one.wrapped)).toBe(true);
    // Gone from the KMS too early: who has unwrapped goes on, who begins waits, and says so.
    kms.rotate('k2', { k2: 2 });
    await look(keys, one);
    expect([keys.problem, waits(keys, one)]).toEqual([undefined, []]);
    const late = keysOf();
    await look(late, one);
    expect(waits(late, one).join()).toMatch(/Decrypt of the plugin at .* fails with INVALID_ARGUMENT: .*'k1' is not in this KMS/);
    kms.rotate('k2', { k1: 1, k2: 2 });
    await look(late, one);
    expect(waits(late, one)).toEqual([]);
  });

  const faults: readonly (readonly [KmsFault, RegExp])[] = [
    ['refuses', /PERMISSION_DENIED: AccessDeniedException/],
    ['is unwell', /says that it is not well: vault is sealed/],
    ['lies', /gives back other bytes than Encrypt was given/],
    ['says too little', /Decrypt of the plugin gives 31 bytes/],
    ['says too much', /ciphertext of 1025 bytes/],
    ['is garbled', /Decrypt of the plugin at .* fails with INTERNAL/],
    ['names another key', /its key is 'k2' and encrypts with 'another'/],
  ];
  it.each(faults)('use no new key of one that %s, and go on with the one from before', async (fault, words) => {
    const keys = keysOf();
    await look(keys);
    kms.rotate('k2', { k1: 1, k2: 2 });
    kms.misbehave(fault);
    await look(keys);
    expect(keys.current?.name).toBe('kms:k1');
    expect(keys.problem).toMatch(words);
    const late = keysOf();
    await look(late);
    expect(waits(late).join()).toMatch(words);
    kms.misbehave(undefined);
    await look(keys);
    expect([keys.current?.name, keys.problem]).toEqual(['kms:k2', undefined]);
  });

  const answers: readonly (readonly [KmsFault, 'waits' | 'is a fault of the segment', RegExp])[] = [
    ['refuses', 'waits', /PERMISSION_DENIED/],
    ['is garbled', 'waits', /INTERNAL/],
    ['lies', 'is a fault of the segment', /does not unwrap the data key of v\/0/],
    ['says too little', 'is a fault of the segment', /31 bytes/],
    ['says too much', 'waits', /RESOURCE_EXHAUSTED/],
  ];
  it.each(answers)('for a segment’s key from one that %s: %s', async (fault, what, words) => {
    const one = await held();
    // As the source of keys from before: it is asked for that one alone.
    const before = keysOf(false);
    kms.misbehave(fault);
    await look(before, one);
    const wrapping = keysOf();
    kms.misbehave(undefined);
    await look(wrapping);
    expect(before.problem).toMatch(words);
    expect(reasonsToWait({ wrapping, before }, [one]).length > 0).toBe(what === 'waits');
    await look(before, one);
    expect([before.problem, before.keys.length]).toEqual([undefined, 1]);
  });

  it('are waited for when they come late', async () => {
    kms.misbehave('is slow');
    const one = keysOf();
    await look(one);
    expect(one.current?.name).toBe('kms:k1');
  });

  it('of a plugin that is away say so, stay in use, and are there again with it', async () => {
    const one = await held();
    const keys = keysOf();
    await look(keys, one);
    await kms.kill();
    await look(keys, one);
    expect([keys.current?.name, waits(keys, one)]).toEqual(['kms:k1', []]);
    expect(keys.problem).toMatch(/Status of the plugin at .* fails with UNAVAILABLE/);
    const late = keysOf();
    await look(late, one);
    expect(waits(late, one).length).toBeGreaterThan(0);
    kms.start();
    await expect
      .poll(async () => {
        await look(late, one);
        return waits(late, one);
      })
      .toEqual([]);
  });

  it('unwrap what they wrapped once a key of a Secret wraps, and the other way round', async () => {
    const one = await held();
    const before = keysOf(false);
    await look(before, one);
    const secret = new KeyEncryptionKey(Buffer.alloc(32, 7));
    const ring = new KeyRing(secret, before.keys, randomBytes);
    expect([ring.isOutdated(one.wrapped), ring.unwrap(one.wrapped, 'v/0').length]).toEqual([true, 32]);
    expect(before.current).toBeUndefined();
    const back = keysOf();
    await look(back);
    const wrapped = ring.wrap(ring.unwrap(one.wrapped, 'v/0'), 'v/0');
    if (back.current === undefined) throw new Error('no key');
    const there = new KeyRing(back.current, [secret], randomBytes);
    expect([there.isOutdated(wrapped), there.unwrap(wrapped, 'v/0').length]).toEqual([true, 32]);
    expect(back.current).toBeInstanceOf(KmsKey);
  });
});
