import { KmsKey, nameOfKmsKey, type KmsEnvelope, type Random } from '@kube-aurora/at-rest';
import type { Clock } from '@kube-aurora/clock';
import type { KmsAnswer, KmsPlugin } from '@kube-aurora/kms';
import type { Logger } from '@kube-aurora/process';
import { isOpenedBy, type HeldKey, type KeySource } from './key-source.ts';

/** One that does not do what it should is asked again so soon. */
const RETRY_MS = 5_000;
const SEED_BYTES = 32;

export interface KmsKeysOptions {
  readonly plugin: KmsPlugin;
  /** False: it unwraps what it wrapped before, and no more. */
  readonly wraps: boolean;
  /** Between two looks at the id of its key. */
  readonly lookMs: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Keys of a KMS: one seed for each key of it that it named while the program runs, and one for each that a segment was wrapped with before.
 *
 * Invariant: a seed wraps only once the KMS has given it back, from what it made of it: what it could not give back would be lost with
 * the process. A seed that it gave for a segment counts only if it unwraps that segment's data key.
 */
export class KmsKeys implements KeySource {
  readonly #options: KmsKeysOptions;
  #current: KmsKey | undefined;
  /** By ciphertext. They stay: a segment's key may be unwrapped at any time. */
  readonly #keys = new Map<string, KmsKey>();
  /** Of segments that are not unwrapped: what came of the last try, by whose they are. */
  readonly #failures = new Map<string, Exclude<KmsAnswer<never>, { kind: 'answer' }>>();
  #problem: string | undefined;
  #lookAt = 0;

  constructor(options: KmsKeysOptions) {
    this.#options = options;
  }

  get current(): KmsKey | undefined {
    return this.#current;
  }

  get keys(): readonly KmsKey[] {
    return [...this.#keys.values()];
  }

  get problem(): string | undefined {
    const [failure] = this.#failures.values();
    return this.#problem ?? failure?.problem;
  }

  awaited({ of }: HeldKey): string | undefined {
    const failure = this.#failures.get(of);
    return failure?.kind === 'failed' ? failure.problem : undefined;
  }

  async look(held: readonly HeldKey[]): Promise<void> {
    const { clock, lookMs, wraps, logger } = this.#options;
    if (clock.now() < this.#lookAt) return;
    const before = this.problem;
    // One after the other: a plugin that does not answer is not asked for more.
    this.#problem = wraps ? await this.#takeCurrent() : undefined;
    for (const one of held) await this.#open(one);
    const now = this.problem;
    if (now !== before && now !== undefined)
      logger.error({ problem: now }, 'the KMS cannot be used as it should: what is unwrapped stays so');
    else if (now !== before) logger.info({ key: this.#current?.name }, 'the KMS can be used again');
    this.#lookAt = clock.now() + (now === undefined ? lookMs : Math.min(lookMs, RETRY_MS));
  }

  close(): void {
    this.#options.plugin.close();
  }

  /** Goes over to the key that the KMS names now. Gives why it did not. */
  async #takeCurrent(): Promise<string | undefined> {
    const { plugin, random } = this.#options;
    const status = await plugin.status();
    if (status.kind !== 'answer') return status.problem;
    if (this.#current?.name === nameOfKmsKey(status.value)) return undefined;
    const seed = random(SEED_BYTES);
    const made = await plugin.encrypt(seed);
    if (made.kind !== 'answer') return made.problem;
    if (made.value.keyId !== status.value)
      return `the plugin says that its key is '${status.value}' and encrypts with '${made.value.keyId}': waits until it is one`;
    const given = await plugin.decrypt(made.value);
    if (given.kind !== 'answer') return given.problem;
    if (!given.value.equals(seed))
      return `Decrypt of the plugin gives back other bytes than Encrypt was given: key '${status.value}' is not used`;
    this.#current = this.#add(seed, made.value);
    return undefined;
  }

  async #open(held: HeldKey): Promise<void> {
    const { kms } = held.wrapped;
    if (kms === undefined || isOpenedBy(this.keys, held)) {
      this.#failures.delete(held.of);
      return;
    }
    const given = await this.#options.plugin.decrypt(kms);
    if (given.kind !== 'answer') {
      this.#failures.set(held.of, given);
      return;
    }
    const key = new KmsKey(given.value, kms);
    if (isOpenedBy([key], held)) {
      this.#failures.delete(held.of);
      this.#keys.set(kms.ciphertext, key);
    } else
      this.#failures.set(held.of, {
        kind: 'wrong',
        problem: `Decrypt of the plugin gives a key that does not unwrap the data key of ${held.of}, which ${held.wrapped.wrappedBy} wraps`,
      });
  }

  #add(seed: Buffer, envelope: KmsEnvelope): KmsKey {
    const key = new KmsKey(seed, envelope);
    this.#keys.set(envelope.ciphertext, key);
    return key;
  }
}
