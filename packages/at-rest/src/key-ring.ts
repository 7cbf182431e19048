import { newDataKey, WrappedKeyError, type KeyEncryptionKey, type Wrapped } from './key-encryption-key.ts';
import type { Random } from './sealer.ts';

/** The keys that a program was given: one that wraps from now on, and others that what was wrapped before may need. */
export class KeyRing {
  /** Wraps. */
  readonly current: KeyEncryptionKey;
  readonly #byFingerprint: ReadonlyMap<string, KeyEncryptionKey>;
  readonly #random: Random;

  constructor(current: KeyEncryptionKey, others: readonly KeyEncryptionKey[], random: Random) {
    this.current = current;
    this.#byFingerprint = new Map([...others, current].map((key) => [key.fingerprint, key]));
    this.#random = random;
  }

  get fingerprints(): readonly string[] {
    return [...this.#byFingerprint.keys()].toSorted();
  }

  /** A new data key, for `of` alone. */
  make(of: string): { readonly dataKey: Buffer; readonly wrapped: Wrapped } {
    const dataKey = newDataKey(this.#random);
    return { dataKey, wrapped: this.wrap(dataKey, of) };
  }

  wrap(dataKey: Buffer, of: string): Wrapped {
    return this.current.wrap(dataKey, of, this.#random);
  }

  /** Throws WrappedKeyError. */
  unwrap(wrapped: Wrapped, of: string): Buffer {
    const key = this.#byFingerprint.get(wrapped.wrappedBy);
    if (key === undefined)
      throw new WrappedKeyError(
        `it is wrapped by key ${wrapped.wrappedBy}, and the keys that are here are ${this.fingerprints.join(', ')}`,
      );
    return key.unwrap(wrapped, of);
  }

  /** Is it wrapped by another key than the one that wraps now? */
  isOutdated({ wrappedBy }: Wrapped): boolean {
    return wrappedBy !== this.current.fingerprint;
  }

  /** Bytes that nobody can guess. */
  get random(): Random {
    return this.#random;
  }
}
