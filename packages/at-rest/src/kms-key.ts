import { KeyEncryptionKey } from './key-encryption-key.ts';
import type { Random } from './sealer.ts';
import { WrappedKeyError, type KmsEnvelope, type Wrapped, type WrappingKey } from './wrapping-key.ts';

/**
 * A key of a KMS, as a program uses it: a seed of 32 random bytes, which the KMS has encrypted and which is in memory alone, wraps data
 * keys as a key out of a Secret does. With each of them stands what the KMS made of the seed.
 *
 * So the KMS never sees a data key, is asked once for many, and need not be believed: a seed that it gives back and that is not the one
 * that wrapped unwraps nothing.
 */
export class KmsKey implements WrappingKey {
  readonly envelope: KmsEnvelope;
  readonly #key: KeyEncryptionKey;

  constructor(seed: Buffer, envelope: KmsEnvelope) {
    this.#key = new KeyEncryptionKey(seed);
    this.envelope = envelope;
  }

  /** Of the KMS's key, whatever the seed: while it stands, what another seed of it wraps is as good. */
  get name(): string {
    return nameOfKmsKey(this.envelope.keyId);
  }

  get id(): string {
    return this.envelope.ciphertext;
  }

  wrap(dataKey: Buffer, of: string, random: Random): Wrapped {
    const { wrappedKey } = this.#key.wrap(dataKey, of, random);
    return { wrappedKey, wrappedBy: this.name, kms: this.envelope };
  }

  isFor({ kms }: Wrapped): boolean {
    return kms?.ciphertext === this.envelope.ciphertext;
  }

  unwrap({ wrappedKey }: Wrapped, of: string): Buffer {
    try {
      return this.#key.unwrap({ wrappedKey, wrappedBy: this.#key.name }, of);
    } catch (error) {
      if (!(error instanceof WrappedKeyError)) throw error;
      throw new WrappedKeyError(
        `what the KMS gave back for it (key ${this.name}) is not what wrapped it: the KMS is wrong, or it was changed since, or is another volume's`,
      );
    }
  }
}

/** How keys of a KMS are told from others, which have 16 hex digits for a name. */
export function nameOfKmsKey(keyId: string): string {
  return `kms:${keyId}`;
}
