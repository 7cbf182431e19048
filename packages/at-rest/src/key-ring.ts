import { newDataKey } from './key-encryption-key.ts';
import type { Random } from './sealer.ts';
import { WrappedKeyError, type Wrapped, type WrappingKey } from './wrapping-key.ts';

/** The keys that a program was given: one that wraps from now on, and others that what was wrapped before may need. */
export class KeyRing {
  /** Wraps. */
  readonly current: WrappingKey;
  readonly #keys: readonly WrappingKey[];
  readonly #random: Random;

  constructor(current: WrappingKey, others: readonly WrappingKey[], random: Random) {
    this.current = current;
    this.#keys = [current, ...others];
    this.#random = random;
  }

  get names(): readonly string[] {
    return [...new Set(this.#keys.map(({ name }) => name))].toSorted();
  }

  /** Changes when other keys are here. */
  get fingerprint(): string {
    return [this.current.name, ...this.#keys.map(({ id }) => id).toSorted()].join();
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
    const key = this.#keys.find((one) => one.isFor(wrapped));
    if (key === undefined)
      throw new WrappedKeyError(`it is wrapped by key ${wrapped.wrappedBy}, and the keys that are here are ${this.names.join(', ')}`);
    return key.unwrap(wrapped, of);
  }

  /** Is it wrapped by another key than the one that wraps now? */
  isOutdated({ wrappedBy }: Wrapped): boolean {
    return wrappedBy !== this.current.name;
  }

  /** Bytes that nobody can guess. */
  get random(): Random {
    return this.#random;
  }
}
