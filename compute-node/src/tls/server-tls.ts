import { chown, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { Account } from '../postgres/account.ts';
import { textOf } from '../postgres/mounted-file.ts';
import type { TrialVerdict } from '../settings/settings-trial.ts';
import { readKeyPair, type KeyPair, type ReadKeyPair } from './key-pair.ts';

/** How often the files are looked at while PostgreSQL runs. */
const LOOK_EVERY_MS = 1000;

export interface ServerTlsOptions {
  /** With tls.crt, tls.key and ca.crt; undefined: PostgreSQL speaks no TLS. */
  readonly directory: string | undefined;
  /** In place of ca.crt there. */
  readonly clientCaFile: string | undefined;
  /** For PostgreSQL's own copy: it wants its key readable to nobody else, which a mounted one is not. */
  readonly runDir: string;
  readonly account: Account | undefined;
  /** Would PostgreSQL itself start with these settings? */
  readonly trial: (settings: Readonly<Record<string, string>>) => Promise<TrialVerdict>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a running PostgreSQL can be told. */
export interface ShowingServer {
  /** What it was started with, or told last. */
  readonly shown: KeyPair | undefined;
  /** Has it read {@link ServerTls.settings} and the files. */
  reload(): Promise<void>;
}

export interface TlsStatus {
  /** `plain`: clients that insist on TLS are refused. */
  readonly state: 'tls' | 'plain';
  /** RFC 3339: until when the certificate counts that clients are shown. */
  readonly notAfter?: string;
  /** Why what is mounted is not in force; empty when it is. */
  readonly message: string;
}

/**
 * What PostgreSQL shows its clients, over all starts of it under this agent.
 *
 * A certificate is used with its key or not at all, and only once PostgreSQL's own program took both: what is damaged, or gone,
 * leaves the one before in force. Where there never was one PostgreSQL starts without: who insists on TLS is refused by it, and who
 * does not can work.
 */
export class ServerTls {
  readonly #options: ServerTlsOptions;
  #inForce: KeyPair | undefined;
  /** The last that could not be used, so that it is tried once. */
  #refused: { readonly fingerprint: string; readonly words: string } | undefined;
  #message = '';
  /** Two starts of PostgreSQL, or a start and a look, write the same files. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ServerTlsOptions) {
    this.#options = options;
  }

  /** Undefined: none is to be had here. */
  get status(): TlsStatus | undefined {
    if (this.#options.directory === undefined) return undefined;
    const pair = this.#inForce;
    return {
      state: pair === undefined ? 'plain' : 'tls',
      ...(pair === undefined ? {} : { notAfter: pair.notAfter }),
      message: this.#message,
    };
  }

  /** For those who answer in PostgreSQL's place. */
  get pair(): KeyPair | undefined {
    return this.#inForce;
  }

  /** For postgresql.conf; none where there is no certificate. */
  get settings(): Readonly<Record<string, string>> {
    return this.#inForce === undefined ? {} : settingsFor(this.#inForce, `${this.#options.runDir}/`);
  }

  /** Takes what is mounted now, where that can be used. Never rejects for what a file says. */
  async look(): Promise<void> {
    const turn = this.#turn.then(() => this.#look());
    this.#turn = turn.catch(() => undefined);
    return turn;
  }

  /** Has a running PostgreSQL show what is mounted, whenever that changes, until `signal` aborts. */
  async keep(server: ShowingServer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.look();
        if (server.shown?.fingerprint !== this.#inForce?.fingerprint) {
          await server.reload();
          this.#options.logger.info({ notAfter: this.#inForce?.notAfter }, 'clients are shown a new certificate, without a restart');
        }
      } catch (error) {
        if (signal.aborted) return;
        this.#options.logger.warn({ err: error }, "PostgreSQL's certificate could not be brought up to date; trying again");
      }
      await this.#options.clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  async #look(): Promise<void> {
    const { directory, logger } = this.#options;
    if (directory === undefined) return;
    const read = await this.#read(directory);
    if (read.kind !== 'read') {
      if (this.#message !== read.why)
        logger.error({ why: read.why, before: this.#inForce?.notAfter }, 'no usable certificate for clients is mounted');
      this.#message = read.why;
      return;
    }
    const { pair } = read;
    if (pair.fingerprint === this.#refused?.fingerprint) {
      this.#message = this.#refused.words;
      return;
    }
    const words = pair.fingerprint === this.#inForce?.fingerprint ? undefined : await this.#tryAndTake(pair);
    this.#message = words ?? '';
    if (words === undefined) return;
    this.#refused = { fingerprint: pair.fingerprint, words };
    logger.error({ words }, 'PostgreSQL refuses the certificate that is mounted; the one before stays');
  }

  async #read(directory: string): Promise<ReadKeyPair> {
    const { clientCaFile } = this.#options;
    const ofClients = clientCaFile === undefined ? textOf(directory, 'ca.crt') : textOf(dirname(clientCaFile), basename(clientCaFile));
    const [certificate, key, clientCa] = await Promise.all([textOf(directory, 'tls.crt'), textOf(directory, 'tls.key'), ofClients]);
    // Where there is nothing to go on with, a certificate without it is better than none: no client's certificate counts then.
    if (clientCaFile !== undefined && clientCa === undefined && this.#inForce !== undefined)
      return { kind: 'missing', why: "there is no ca.crt of the clients' CA" };
    return readKeyPair({ certificate, key, clientCa });
  }

  /** Undefined: it was taken. Otherwise PostgreSQL's words. */
  async #tryAndTake(pair: KeyPair): Promise<string | undefined> {
    const { trial, runDir } = this.#options;
    const files = filesOf(pair);
    const candidate = join(runDir, 'candidate-');
    try {
      for (const [name, text] of files) await this.#write(`${candidate}${name}`, text);
      const verdict = await trial(settingsFor(pair, candidate));
      if (verdict.kind === 'refused') return verdict.words;
      // PostgreSQL refuses what a reload finds between two of these, and keeps what it has; the one that follows them finds all.
      for (const [name] of files) await rename(`${candidate}${name}`, join(runDir, name));
      this.#inForce = pair;
      return undefined;
    } finally {
      for (const [name] of files) await rm(`${candidate}${name}`, { force: true });
    }
  }

  async #write(file: string, text: string): Promise<void> {
    const { account } = this.#options;
    await rm(file, { force: true });
    await writeFile(file, text, { mode: 0o600, flag: 'wx' });
    if (account !== undefined) await chown(file, account.uid, account.gid);
  }
}

export const CERTIFICATE_FILE = 'server.crt';
export const KEY_FILE = 'server.key';
const CLIENT_CA_FILE = 'client-ca.crt';

function filesOf({ certificate, key, clientCa }: KeyPair): readonly (readonly [string, string])[] {
  return [[CERTIFICATE_FILE, certificate], [KEY_FILE, key], ...(clientCa === undefined ? [] : [[CLIENT_CA_FILE, clientCa] as const])];
}

/** `at`: what stands before a file's name. */
function settingsFor({ clientCa }: KeyPair, at: string): Readonly<Record<string, string>> {
  return {
    ssl: 'on',
    ssl_cert_file: `${at}${CERTIFICATE_FILE}`,
    ssl_key_file: `${at}${KEY_FILE}`,
    ssl_ca_file: clientCa === undefined ? '' : `${at}${CLIENT_CA_FILE}`,
  };
}
