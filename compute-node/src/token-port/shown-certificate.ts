import { createSecureContext, type SecureContext } from 'node:tls';
import type { Clock } from '@kube-aurora/clock';
import { textOf } from '../postgres/mounted-file.ts';
import { readKeyPair } from '../tls/key-pair.ts';
import { CERTIFICATE_FILE, KEY_FILE } from '../tls/server-tls.ts';

/** The files are looked at no more often: a context costs a millisecond. */
const LOOK_EVERY_MS = 1000;

/**
 * The certificate that PostgreSQL shows, for who answers clients beside it: PostgreSQL's own copy of it, which is written when that was found
 * usable. A certificate without its key, as it stands there for a moment while both change, leaves the one before.
 */
export class ShownCertificate {
  readonly #runDir: string;
  readonly #clock: Pick<Clock, 'now'>;
  #lookedAtMs = -Infinity;
  #shown: { readonly fingerprint: string; readonly context: SecureContext } | undefined;

  constructor(runDir: string, clock: Pick<Clock, 'now'>) {
    this.#runDir = runDir;
    this.#clock = clock;
  }

  /** Undefined: there has been none. */
  async context(): Promise<SecureContext | undefined> {
    const now = this.#clock.now();
    if (now - this.#lookedAtMs >= LOOK_EVERY_MS) {
      this.#lookedAtMs = now;
      const [certificate, key] = await Promise.all([CERTIFICATE_FILE, KEY_FILE].map((name) => textOf(this.#runDir, name)));
      const read = readKeyPair({ certificate, key, clientCa: undefined });
      if (read.kind === 'read' && read.pair.fingerprint !== this.#shown?.fingerprint) {
        // TLS 1.2 is PostgreSQL's least as well.
        const context = createSecureContext({ cert: read.pair.certificate, key: read.pair.key, minVersion: 'TLSv1.2' });
        this.#shown = { fingerprint: read.pair.fingerprint, context };
      }
    }
    return this.#shown?.context;
  }
}
