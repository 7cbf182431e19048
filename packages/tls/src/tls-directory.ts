import { join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import { identityUri } from '@kube-aurora/identity';
import { ConfigError, textOfFile, type Logger } from '@kube-aurora/process';
import { readMaterial, TLS_FILES, type Material, type MaterialFiles, type MaterialReading, type TlsMode } from './material.ts';

/** A mounted Secret is another within a minute or two; who looks this often adds nothing to that. */
const LOOK_MS = 2_000;

/** For /status. */
export interface TlsStatus {
  readonly mode: TlsMode;
  readonly identity: string;
  /** RFC 3339. */
  readonly validUntil: string;
  /** SHA-256 of what is believed: those who have seen the same bundle say the same. */
  readonly authorities: readonly string[];
  /** Why what lies in the directory is not used; absent when it is. */
  readonly problem?: string;
}

export interface TlsDirectoryOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * A program's certificate, key and authorities, out of a directory that is looked at while the program runs.
 *
 * Invariant: there is always material that can be used. What cannot, half of it is new say, is said loudly and changes nothing.
 */
export class TlsDirectory {
  readonly #options: TlsDirectoryOptions;
  readonly #stop = new AbortController();
  #material: Material;
  #problem: string | undefined;

  private constructor(options: TlsDirectoryOptions, material: Material) {
    this.#options = options;
    this.#material = material;
  }

  /** Rejects with ConfigError when there is nothing to begin with. */
  static async open(options: TlsDirectoryOptions): Promise<TlsDirectory> {
    const reading = await readDirectory(options.directory);
    if (reading.kind === 'unusable')
      throw new ConfigError([`--identity-dir (AURORA_IDENTITY_DIR): ${options.directory}: ${reading.problem}`]);
    const opened = new TlsDirectory(options, reading.material);
    options.logger.info(opened.status, 'speaks TLS, and says who it is');
    void opened.#watch();
    return opened;
  }

  get material(): Material {
    return this.#material;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  get status(): TlsStatus {
    const { own, mode, certificate, authorities } = this.#material;
    return {
      mode,
      identity: identityUri(own),
      validUntil: new Date(certificate.notAfter).toISOString(),
      authorities: authorities.map(({ fingerprint }) => fingerprint),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    };
  }

  stop(): void {
    this.#stop.abort();
  }

  async #watch(): Promise<void> {
    const { clock, directory } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await clock.sleep(LOOK_MS, signal);
      if (!signal.aborted) this.#take(await readDirectory(directory));
    }
  }

  #take(reading: MaterialReading): void {
    const { logger, directory } = this.#options;
    if (reading.kind === 'unusable') {
      if (reading.problem !== this.#problem)
        logger.error({ directory, problem: reading.problem }, 'the certificates cannot be used: those from before stay in use');
      this.#problem = reading.problem;
      return;
    }
    const isNews = reading.material.fingerprint !== this.#material.fingerprint;
    if (isNews) this.#material = reading.material;
    const isOver = this.#problem !== undefined;
    this.#problem = undefined;
    if (isNews || isOver) logger.info(this.status, 'new connections use these certificates');
  }
}

async function readDirectory(directory: string): Promise<MaterialReading> {
  try {
    const names = Object.entries(TLS_FILES);
    const texts = await Promise.all(names.map(async ([key, name]) => [key, await textOfFile(join(directory, name))] as const));
    return readMaterial(Object.fromEntries(texts) as MaterialFiles);
  } catch (error) {
    return { kind: 'unusable', problem: error instanceof Error ? error.message : String(error) };
  }
}
