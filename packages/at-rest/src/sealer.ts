import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto';

/**
 * Bytes sealed with AES-256-GCM under keys that are made of one data key. What is sealed is as long as what it was made of; beside it
 * stands its seal:
 *
 *   0 16 bytes: the session   16 u64 (big-endian): the number within it   24 16 bytes: the tag of GCM
 *
 * A session is 128 random bits that a Sealer draws before its first seal, and again every SEALS_IN_SESSION. Its key is
 * HKDF-SHA256(data key, salt: the session, info: INFO and the purpose); the nonce of a seal is its number within the session.
 *
 * Invariant: no key is used twice with one nonce. Numbers are counted in memory and never read back, so whatever a crash did to the
 * disk, and wherever the next bytes go, they get a session of their own; so do copies of a disk that both go on, and so do two
 * Sealers of one data key.
 */
export const SEAL_BYTES = 40;

const SESSION_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_AT = 24;
const KEY_BYTES = 32;
const INFO = 'kube-aurora at rest 1: ';
/** Far below what GCM bears under one key, whose nonces are counted. */
const SEALS_IN_SESSION = 2 ** 32;
/** Keys of sessions that were read, at most; a session is as long as its process lives. */
const KEYS_MAX = 256;

/** What is sealed; each has keys of its own, so that nothing passes for something else. */
export type Purpose = 'redo' | 'page' | 'value';

/** So many random bytes, of a source that is fit for keys. */
export type Random = (bytes: number) => Buffer;

export interface Sealed {
  readonly bytes: Buffer;
  readonly seal: Buffer;
}

/** Bytes that are not what was sealed, not with what it was sealed, or not under this key. */
export class SealError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'SealError';
  }
}

export class Sealer {
  readonly #dataKey: Buffer;
  readonly #purpose: Purpose;
  readonly #random: Random;
  /** By session, in latin1; oldest first. */
  readonly #keys = new Map<string, KeyObject>();
  #session: Buffer = Buffer.alloc(0);
  #key: KeyObject | undefined;
  #next = 0;

  constructor(dataKey: Buffer, purpose: Purpose, random: Random) {
    if (dataKey.length !== KEY_BYTES) throw new RangeError(`a data key has ${KEY_BYTES} bytes, not ${dataKey.length}`);
    this.#dataKey = dataKey;
    this.#purpose = purpose;
    this.#random = random;
  }

  /** Seals pieces as if they were one. They open only with the same `associated`, which is not kept. */
  seal(associated: Uint8Array, ...pieces: readonly Uint8Array[]): Sealed {
    const key = this.#sealingKey();
    const seal = Buffer.alloc(SEAL_BYTES);
    this.#session.copy(seal);
    seal.writeBigUInt64BE(BigInt(this.#next++), SESSION_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonceOf(seal));
    cipher.setAAD(associated);
    const done = pieces.map((piece) => cipher.update(piece));
    cipher.final();
    cipher.getAuthTag().copy(seal, TAG_AT);
    return { bytes: done.length === 1 && done[0] !== undefined ? done[0] : Buffer.concat(done), seal };
  }

  /** What was sealed, the caller's own. Throws SealError. */
  open(associated: Uint8Array, bytes: Uint8Array, seal: Buffer): Buffer {
    if (seal.length !== SEAL_BYTES) throw new SealError(`${seal.length} bytes are no seal`);
    const cipher = createDecipheriv('aes-256-gcm', this.#keyOf(seal), nonceOf(seal));
    cipher.setAAD(associated);
    cipher.setAuthTag(seal.subarray(TAG_AT));
    const plain = cipher.update(bytes);
    try {
      cipher.final();
    } catch {
      // Node says no more than that the tag is another.
      throw new SealError('fails its seal: it was changed, stands elsewhere than it was written, or is of another key');
    }
    return plain;
  }

  /** Of the session that stands, or of a new one. */
  #sealingKey(): KeyObject {
    if (this.#key !== undefined && this.#next < SEALS_IN_SESSION) return this.#key;
    this.#session = this.#random(SESSION_BYTES);
    this.#next = 0;
    return (this.#key = this.#derive(this.#session));
  }

  #keyOf(seal: Buffer): KeyObject {
    const session = seal.subarray(0, SESSION_BYTES);
    if (this.#key !== undefined && session.equals(this.#session)) return this.#key;
    const name = session.toString('latin1');
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const key = this.#derive(session);
    this.#keys.set(name, key);
    const [oldest] = this.#keys.keys();
    if (this.#keys.size > KEYS_MAX && oldest !== undefined) this.#keys.delete(oldest);
    return key;
  }

  /** As a KeyObject: a cipher is made of one four times as fast as of bytes. */
  #derive(session: Buffer): KeyObject {
    return createSecretKey(Buffer.from(hkdfSync('sha256', this.#dataKey, session, `${INFO}${this.#purpose}`, KEY_BYTES)));
  }
}

function nonceOf(seal: Buffer): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  seal.copy(nonce, NONCE_BYTES - 8, SESSION_BYTES, TAG_AT);
  return nonce;
}
