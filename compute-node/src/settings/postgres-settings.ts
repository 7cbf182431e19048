import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { chooseSettings, stateOf, type Finding } from './choose-settings.ts';
import { NO_SETTINGS, type ReadSettings, type SettingsFiles, type SettingsSet } from './settings-files.ts';
import type { TrialVerdict } from './settings-trial.ts';

/** How often the files are looked at while PostgreSQL runs. */
const LOOK_EVERY_MS = 1000;

/** What a running PostgreSQL can be told. */
export interface AdjustableServer {
  /** Gives it the set; resolves to the names of settings that wait for a restart. */
  reload(parameters: ReadonlyMap<string, string>): Promise<readonly string[]>;
  /** Names, of these, whose values PostgreSQL did not take although it started with them. */
  ignored(names: readonly string[]): Promise<readonly string[]>;
  /** Ends it in order, so that it is started again with settings chosen anew. */
  restart(why: string): void;
}

export interface SettingsStatus {
  /** Fingerprint of the set that is wanted; that of the file's bytes (settings-files.ts). */
  readonly wanted: string;
  /** Fingerprint of the set that PostgreSQL runs with. */
  readonly running: string | undefined;
  readonly state: 'applied' | 'pending' | 'refused';
  /** RFC 3339: since when it is so. */
  readonly since: string;
  /**
   * Why it was refused, in PostgreSQL's own words; of an applied set, what of it has no effect. Empty when all is well.
   */
  readonly message: string;
}

/**
 * The cluster's PostgreSQL settings, over all starts of PostgreSQL under this agent.
 *
 * A set is tried before it is used, and PostgreSQL is never without one that works: what is refused changes nothing,
 * and what makes a start fail gives way to the set that ran before.
 */
export class PostgresSettings {
  readonly #files: SettingsFiles;
  readonly #trial: (parameters: ReadonlyMap<string, string>) => Promise<TrialVerdict>;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #findings = new Map<string, Finding>();
  #wanted: ReadSettings = { kind: 'read', set: NO_SETTINGS };
  #accepted: SettingsSet | undefined;
  #lastGood: SettingsSet | undefined;
  #running: SettingsSet | undefined;
  /** What of the running set has no effect; undefined until PostgreSQL was asked. */
  #ignored: string | undefined;
  #since: { readonly what: string; readonly at: string } | undefined;

  constructor(options: {
    files: SettingsFiles;
    trial: (parameters: ReadonlyMap<string, string>) => Promise<TrialVerdict>;
    clock: Clock;
    logger: Logger;
  }) {
    this.#files = options.files;
    this.#trial = options.trial;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  get status(): SettingsStatus {
    const state = stateOf(this.#wanted, this.#running, this.#findings);
    const wanted = this.#wanted.kind === 'read' ? this.#wanted.set.fingerprint : this.#wanted.fingerprint;
    const what = `${wanted} ${state.kind}`;
    if (this.#since?.what !== what) this.#since = { what, at: new Date(this.#clock.wallTime()).toISOString() };
    const message = state.kind === 'refused' ? state.words : state.kind === 'applied' ? (this.#ignored ?? '') : '';
    return { wanted, running: this.#running?.fingerprint, state: state.kind, since: this.#since.at, message };
  }

  /** The set for the next start. Never rejects for what a file says: PostgreSQL's own values are always left. */
  async choose(): Promise<SettingsSet> {
    this.#wanted = await this.#files.wanted();
    this.#accepted = await this.#files.accepted();
    for (;;) {
      const choice = chooseSettings({ wanted: this.#wanted, accepted: this.#accepted, lastGood: this.#lastGood }, this.#findings);
      if (choice.kind === 'start') return choice.set;
      if (choice.kind === 'try') await this.#try(choice.set);
      else for (const [fingerprint, { kind }] of this.#findings) if (kind === 'failed') this.#findings.delete(fingerprint);
    }
  }

  /** PostgreSQL takes connections with this set. */
  started(set: SettingsSet): void {
    this.#running = set;
    this.#ignored = undefined;
    // Nothing but what everybody has: no set that a later one should give way to.
    if (set !== NO_SETTINGS || this.#lastGood === undefined) this.#lastGood = set;
    this.#findings.set(set.fingerprint, { kind: 'ran' });
  }

  /**
   * PostgreSQL ended by itself before it took a connection; `log` is what it said last. True when the
   * set is given up: the next start takes another one.
   */
  failed(set: SettingsSet, log: readonly string[]): boolean {
    const before = this.#findings.get(set.fingerprint);
    const words = startFailure(log);
    const times = before?.kind === 'failed' ? before.times + 1 : 1;
    this.#findings.set(set.fingerprint, { kind: 'failed', words, times });
    this.#logger.warn({ settings: set.fingerprint, times, words }, 'PostgreSQL did not start with these settings');
    const next = chooseSettings({ wanted: this.#wanted, accepted: this.#accepted, lastGood: this.#lastGood }, this.#findings);
    return next.kind !== 'none' && next.set.fingerprint !== set.fingerprint;
  }

  stopped(): void {
    this.#running = undefined;
  }

  /** Brings the running PostgreSQL to what is wanted, whenever that changes, until `signal` aborts. */
  async keep(server: AdjustableServer, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        if (await this.#look(server)) return;
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.warn({ err: error }, "PostgreSQL's settings could not be brought up to date; trying again");
      }
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
    }
  }

  /** True when PostgreSQL was told to restart. */
  async #look(server: AdjustableServer): Promise<boolean> {
    if (this.#running !== undefined && this.#ignored === undefined) {
      const names = await server.ignored([...this.#running.parameters.keys()]);
      this.#ignored =
        names.length === 0 ? '' : `${names.join(', ')}: the library that owns it refuses the value, so its default is in force`;
    }
    this.#wanted = await this.#files.wanted();
    if (this.#wanted.kind === 'malformed') return false;
    const { set } = this.#wanted;
    if (set.fingerprint === this.#running?.fingerprint) return false;
    const finding = this.#findings.get(set.fingerprint) ?? (await this.#try(set));
    if (finding.kind === 'refused' || finding.kind === 'failed') return false;
    const waiting = await server.reload(set.parameters);
    if (waiting.length > 0) {
      server.restart(`${waiting.join(', ')} changed, which only a restart puts into effect`);
      return true;
    }
    this.#logger.info({ settings: set.fingerprint }, 'settings are in effect without a restart');
    this.started(set);
    return false;
  }

  async #try(set: SettingsSet): Promise<Finding> {
    const verdict = await this.#trial(set.parameters);
    if (verdict.kind === 'refused')
      this.#logger.error({ settings: set.fingerprint, words: verdict.words }, 'PostgreSQL refuses these settings; the ones before stay');
    this.#findings.set(set.fingerprint, verdict);
    return verdict;
  }
}

/** The line that says why, of a log whose lines have PostgreSQL's prefix; the last one when none stands out. */
function startFailure(log: readonly string[]): string {
  const telling = log.filter((line) => /\b(FATAL|PANIC|HINT): {2}/.test(line) && !line.includes('is starting up'));
  const words = (telling.length === 0 ? log.slice(-1) : telling).map((line) => line.replace(/^.*?\b(FATAL|PANIC|HINT): {2}/, ''));
  return words.length === 0 ? 'PostgreSQL ended while it started and said nothing' : words.join('; ');
}
