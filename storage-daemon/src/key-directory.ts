import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { KeyRing, readKey, type KeyEncryptionKey } from '@kube-aurora/at-rest';
import type { Clock } from '@kube-aurora/clock';
import { ConfigError, type Logger } from '@kube-aurora/process';
import type { GivenKeys } from './segment/segment-key.ts';

/** A mounted Secret is another within a minute or two; who looks this often adds nothing to that. */
const LOOK_MS = 2_000;

/** For /status. */
export interface KeysStatus {
  /** Fingerprint of the key that wraps. */
  readonly wrapsWith: string;
  /** Of all that can unwrap. */
  readonly keys: readonly string[];
  /** Why what lies there now is not used; absent when it is. */
  readonly problem?: string;
}

type Reading = { readonly kind: 'ring'; readonly ring: KeyRing } | { readonly kind: 'unusable'; readonly problem: string };

/**
 * The keys that wrap data keys, out of a directory that is looked at while the program runs: one file names the key that wraps, and every
 * other file beside it that is a key unwraps what was wrapped before.
 *
 * Invariant: there is always a key that wraps. What cannot be used is said loudly and changes nothing.
 */
export class KeyDirectory implements GivenKeys {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #stop = new AbortController();
  #ring: KeyRing;
  #problem: string | undefined;

  private constructor(path: string, logger: Logger, ring: KeyRing) {
    this.#path = path;
    this.#logger = logger;
    this.#ring = ring;
  }

  /** Rejects with ConfigError when there is no key to begin with. */
  static async open(path: string, logger: Logger): Promise<KeyDirectory> {
    const reading = await read(path);
    if (reading.kind === 'unusable')
      throw new ConfigError([
        `--encryption-key-file (AURORA_ENCRYPTION_KEY_FILE): ${path} ${reading.problem}; nothing was opened or changed`,
      ]);
    const keys = new KeyDirectory(path, logger, reading.ring);
    logger.info(keys.status, 'what is stored is encrypted');
    return keys;
  }

  get ring(): KeyRing {
    return this.#ring;
  }

  get status(): KeysStatus {
    const { current, fingerprints } = this.#ring;
    return {
      wrapsWith: current.fingerprint,
      keys: fingerprints,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  /** Looks at the directory until `stop`, and tells of every look, whether other keys are here; one call after the other. */
  async watch(clock: Clock, onLook: (isNews: boolean) => Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      if (signal.aborted) return;
      await onLook(this.#take(await read(this.#path)));
    }
  }

  stop(): void {
    this.#stop.abort();
  }

  #take(reading: Reading): boolean {
    const before = this.#problem;
    this.#problem = reading.kind === 'unusable' ? `${this.#path} ${reading.problem}` : undefined;
    if (reading.kind === 'unusable') {
      if (this.#problem !== before) this.#logger.error({ problem: this.#problem }, 'the key cannot be used: those from before stay in use');
      return false;
    }
    const { ring } = reading;
    const isNews =
      ring.current.fingerprint !== this.#ring.current.fingerprint || ring.fingerprints.join() !== this.#ring.fingerprints.join();
    if (isNews) this.#ring = ring;
    if (isNews || before !== undefined) this.#logger.info(this.status, 'data keys are wrapped by this key');
    return isNews;
  }
}

async function read(path: string): Promise<Reading> {
  const directory = dirname(path);
  let current: KeyEncryptionKey | undefined;
  const others: KeyEncryptionKey[] = [];
  try {
    for (const name of await readdir(directory)) {
      // A mounted Secret has directories of that kind.
      if (name.startsWith('..')) continue;
      const reading = readKey(await readFile(join(directory, name)));
      if (name === basename(path)) {
        if (reading.kind === 'unusable') return reading;
        current = reading.key;
      } else if (reading.kind === 'key') others.push(reading.key);
    }
  } catch (error) {
    return { kind: 'unusable', problem: `cannot be read: ${error instanceof Error ? error.message : String(error)}` };
  }
  if (current === undefined) return { kind: 'unusable', problem: 'is not there' };
  return { kind: 'ring', ring: new KeyRing(current, others, randomBytes) };
}
