import type { AccessRules } from '../access/access-files.ts';
import type { GuardedServer, LoginRules } from '../access/login-rules.ts';
import { refusedRules } from '../access/refused-rules.ts';
import type { PostgresSettings } from '../settings/postgres-settings.ts';
import { ignoredSettings, reloadConfiguration, replaceFile, type ReloadTarget } from '../settings/reload-settings.ts';
import type { SettingsSet } from '../settings/settings-files.ts';
import { configurationFile, hbaFile } from '../postgres/parameters.ts';
import type { KeyPair } from '../tls/key-pair.ts';
import type { ServerTls } from '../tls/server-tls.ts';

/** Where what PostgreSQL runs with comes from. */
export interface ConfigurationSources {
  readonly settings: Pick<PostgresSettings, 'choose' | 'started' | 'failed' | 'stopped' | 'keep'>;
  readonly rules: Pick<LoginRules, 'choose' | 'look' | 'keep'>;
  readonly tls: Pick<ServerTls, 'look' | 'keep' | 'settings' | 'pair'>;
}

/** What the data directory of a start has of it. */
export interface LaidConfiguration {
  readonly parameters: ReadonlyMap<string, string>;
  /** The text of pg_hba.conf. */
  readonly hba: string;
}

/**
 * The files that one PostgreSQL is configured by, from its start on: its parameters, its certificate, and who may log in. Each
 * changes on its own while it runs; they are written and read again one at a time, each time with all that holds then.
 */
export class ServerConfiguration {
  readonly #sources: ConfigurationSources;
  readonly #chosen: Promise<{ readonly set: SettingsSet; readonly rules: AccessRules | undefined }>;
  #parameters: ReadonlyMap<string, string> = new Map();
  #rules: AccessRules | undefined;
  #shown: KeyPair | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(sources: ConfigurationSources) {
    this.#sources = sources;
    // A trial of new settings, or of a certificate, runs while storage is asked for the image.
    this.#chosen = this.#choose();
    this.#chosen.catch(() => undefined);
  }

  async #choose(): Promise<{ readonly set: SettingsSet; readonly rules: AccessRules | undefined }> {
    const { settings, rules, tls } = this.#sources;
    // Settings are tried together with the certificate.
    await tls.look();
    const [set, chosen] = await Promise.all([settings.choose(), rules.choose()]);
    return { set, rules: chosen };
  }

  /** The parameters that were chosen. */
  async set(): Promise<SettingsSet> {
    return (await this.#chosen).set;
  }

  /** What the data directory is laid with. */
  async forDirectory(): Promise<LaidConfiguration> {
    const { set, rules } = await this.#chosen;
    this.#parameters = set.parameters;
    this.#rules = rules;
    this.#shown = this.#sources.tls.pair;
    return { parameters: this.#all(), hba: hbaFile(rules?.lines) };
  }

  /** Once PostgreSQL answers, before anybody is told: who may log in is what the manifest says. */
  async admit(target: ReloadTarget, initial: ReadonlyMap<string, string>): Promise<void> {
    await this.#sources.rules.look(this.#guarded(target, initial));
  }

  /** Whatever changes reaches the running PostgreSQL, until `signal` aborts. `initial` is what initdb chose for the volume. */
  keep(target: ReloadTarget, initial: ReadonlyMap<string, string>, onRestartWanted: (why: string) => void, signal: AbortSignal): void {
    const { settings, rules, tls } = this.#sources;
    void settings.keep(
      {
        reload: (parameters) =>
          this.#inTurn(() => {
            this.#parameters = parameters;
            return this.#reload(target, initial);
          }),
        ignored: (names) => ignoredSettings(target.socket, names),
        restart: onRestartWanted,
      },
      signal,
    );
    void rules.keep(this.#guarded(target, initial), signal);
    const shown = (): KeyPair | undefined => this.#shown;
    void tls.keep(
      {
        get shown() {
          return shown();
        },
        reload: async () => void (await this.#inTurn(() => this.#reload(target, initial))),
      },
      signal,
    );
  }

  #guarded(target: ReloadTarget, initial: ReadonlyMap<string, string>): GuardedServer {
    const admit = (rules: AccessRules): Promise<string | undefined> =>
      this.#inTurn(async () => {
        await replaceFile(target, 'pg_hba.conf', hbaFile(rules.lines));
        const words = await refusedRules(target.socket);
        if (words !== undefined) {
          // A reload in between has PostgreSQL refuse the file, and keep what it has.
          await replaceFile(target, 'pg_hba.conf', hbaFile(this.#rules?.lines));
          return words;
        }
        this.#rules = rules;
        await this.#reload(target, initial);
        return undefined;
      });
    return { admit };
  }

  async #reload(target: ReloadTarget, initial: ReadonlyMap<string, string>): Promise<readonly string[]> {
    const { pair } = this.#sources.tls;
    const waiting = await reloadConfiguration(target, configurationFile(this.#all(), initial));
    this.#shown = pair;
    return waiting;
  }

  #all(): ReadonlyMap<string, string> {
    return new Map([...this.#parameters, ...Object.entries(this.#sources.tls.settings)]);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}
