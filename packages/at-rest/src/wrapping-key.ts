import type { Random } from './sealer.ts';

/** A data key as it is kept. */
export interface Wrapped {
  /** Base64. */
  readonly wrappedKey: string;
  /** Name of the key that wraps it. */
  readonly wrappedBy: string;
  /** Where a KMS keeps that key: what it made of the seed that wraps, and has to be given to have the seed back. */
  readonly kms?: KmsEnvelope;
}

/** A seed that a KMS has encrypted: its answer as it came, in base64 where it is bytes. */
export interface KmsEnvelope {
  readonly keyId: string;
  readonly ciphertext: string;
  readonly annotations: Readonly<Record<string, string>>;
}

/** A wrapped key that this key did not wrap, or not for this. */
export class WrappedKeyError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'WrappedKeyError';
  }
}

/** Something that wraps data keys. */
export interface WrappingKey {
  /** Tells keys apart and says nothing of them. */
  readonly name: string;
  /** What one unwraps, another with the same id unwraps too. */
  readonly id: string;
  /** `of` says whose data key it is: it unwraps for nobody else. */
  wrap(dataKey: Buffer, of: string, random: Random): Wrapped;
  /** Is this the key that it says it is wrapped by? */
  isFor(wrapped: Wrapped): boolean;
  /** Throws WrappedKeyError. */
  unwrap(wrapped: Wrapped, of: string): Buffer;
}
