import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';
import type { Random } from './sealer.ts';
import { WrappedKeyError, type Wrapped, type WrappingKey } from './wrapping-key.ts';

/**
 * A key that wraps data keys, and nothing else. It is 32 random bytes that somebody else keeps; two keys are made of it with
 * HKDF-SHA256: one that wraps, and a name that can be shown to everybody.
 *
 * A wrapped key: 0 12 bytes: nonce, random   12 the data key, encrypted with AES-256-GCM   44 16 bytes: tag
 */
const KEY_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
export const WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const FINGERPRINT_BYTES = 8;
const NO_SALT = Buffer.alloc(0);

export class KeyEncryptionKey implements WrappingKey {
  /** 16 hex digits. Tells keys apart and says nothing of them. */
  readonly fingerprint: string;
  readonly #wrapping: Buffer;

  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a key has ${KEY_BYTES} bytes, not ${key.length}`);
    const derive = (what: string, bytes: number): Buffer =>
      Buffer.from(hkdfSync('sha256', key, NO_SALT, `kube-aurora key encryption 1: ${what}`, bytes));
    this.fingerprint = derive('fingerprint', FINGERPRINT_BYTES).toString('hex');
    this.#wrapping = derive('wrap', KEY_BYTES);
  }

  get name(): string {
    return this.fingerprint;
  }

  get id(): string {
    return this.fingerprint;
  }

  isFor({ wrappedBy, kms }: Wrapped): boolean {
    return kms === undefined && wrappedBy === this.fingerprint;
  }

  wrap(dataKey: Buffer, of: string, random: Random): Wrapped {
    const nonce = random(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#wrapping, nonce);
    cipher.setAAD(Buffer.from(of));
    const wrapped = Buffer.concat([nonce, cipher.update(dataKey), cipher.final(), cipher.getAuthTag()]);
    return { wrappedKey: wrapped.toString('base64'), wrappedBy: this.fingerprint };
  }

  unwrap({ wrappedKey, wrappedBy }: Wrapped, of: string): Buffer {
    if (wrappedBy !== this.fingerprint) throw new WrappedKeyError(`it is wrapped by key ${wrappedBy}, not by ${this.fingerprint}`);
    const bytes = Buffer.from(wrappedKey, 'base64');
    if (bytes.length !== WRAPPED_BYTES) throw new WrappedKeyError(`${bytes.length} bytes are no wrapped key`);
    const cipher = createDecipheriv('aes-256-gcm', this.#wrapping, bytes.subarray(0, NONCE_BYTES));
    cipher.setAAD(Buffer.from(of));
    cipher.setAuthTag(bytes.subarray(NONCE_BYTES + KEY_BYTES));
    const key = cipher.update(bytes.subarray(NONCE_BYTES, NONCE_BYTES + KEY_BYTES));
    try {
      cipher.final();
    } catch {
      // Node says no more than that the tag is another.
      throw new WrappedKeyError(`it was changed since key ${wrappedBy} wrapped it, or is another volume's`);
    }
    return key;
  }
}

export function newDataKey(random: Random): Buffer {
  return random(KEY_BYTES);
}

export type KeyReading = { readonly kind: 'key'; readonly key: KeyEncryptionKey } | { readonly kind: 'unusable'; readonly problem: string };

const HOW_TO_MAKE = 'make one with: head -c 32 /dev/urandom | base64';

/** A key as people give it: 32 bytes as they are, or those in base64. */
export function readKey(bytes: Buffer): KeyReading {
  // 32 random bytes are never all of them letters: that would be a password, or a key cut short.
  const isText = bytes.every((byte) => byte === 0x0a || byte === 0x0d || (byte >= 0x20 && byte < 0x7f));
  if (!isText && bytes.length === KEY_BYTES) return { kind: 'key', key: new KeyEncryptionKey(bytes) };
  if (bytes.length === 0) return { kind: 'unusable', problem: `is empty: ${HOW_TO_MAKE}` };
  const text = bytes.toString('latin1').trim();
  const decoded = /^[A-Za-z0-9+/]+={0,2}$/.test(text) ? Buffer.from(text, 'base64') : undefined;
  if (decoded?.length === KEY_BYTES) return { kind: 'key', key: new KeyEncryptionKey(decoded) };
  const what = decoded === undefined ? `${bytes.length} bytes, and no base64` : `base64 of ${decoded.length} bytes`;
  return { kind: 'unusable', problem: `has ${what}: a key is 32 random bytes, as they are or in base64; ${HOW_TO_MAKE}` };
}
