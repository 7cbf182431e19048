import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { LocalSocket } from './local-client.ts';
import { applyPassword, readPassword, type RolePassword } from './roles.ts';

/** How often the files are looked at while PostgreSQL runs. */
const LOOK_EVERY_MS = 1000;

/**
 * How a role's password stands.
 *
 *   waiting   PostgreSQL was not told yet
 *   applied   the role has the password that its file holds
 *   missing   there is no file: the role keeps what it has
 *   empty     there is nothing in it: likewise
 *   failed    PostgreSQL was told and said no, or could not be asked; it is tried again
 */
export type PasswordState = 'waiting' | 'applied' | 'missing' | 'empty' | 'failed';

export interface PasswordStatus {
  readonly role: string;
  readonly state: PasswordState;
  /** RFC 3339: when it became so. */
  readonly since: string;
  /** RFC 3339: when a password was last changed in the database. */
  readonly changedAt?: string;
  readonly message: string;
}

interface Known {
  state: PasswordState;
  since: string;
  changedAt?: string;
  message: string;
  /** What the database has, as far as we set or saw it. */
  inForce?: string;
}

/**
 * Keeps roles' passwords as their files have them, which are Secrets that change while we run. A file that is missing
 * or empty is told about and changes nothing: a writer never stays down for it.
 */
export class RolePasswords {
  readonly #roles: readonly RolePassword[];
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #known = new Map<string, Known>();
  #looking: Promise<void> = Promise.resolve();

  constructor(options: { roles: readonly RolePassword[]; clock: Clock; logger: Logger }) {
    this.#roles = options.roles;
    this.#clock = options.clock;
    this.#logger = options.logger;
    for (const { role } of this.#roles) this.#known.set(role, { state: 'waiting', since: this.#time(), message: '' });
  }

  get status(): readonly PasswordStatus[] {
    return [...this.#known].map(([role, { state, since, changedAt, message }]) => ({
      role,
      state,
      since,
      ...(changedAt === undefined ? {} : { changedAt }),
      message,
    }));
  }

  /** A PostgreSQL that just started is told all of them: another writer may have been in between. Never rejects. */
  applyAll(socket: LocalSocket): Promise<void> {
    for (const known of this.#known.values()) delete known.inForce;
    return this.#look(socket);
  }

  /** Looks at the files until `signal` aborts, and tells PostgreSQL what changed. Never rejects. */
  async keep(socket: LocalSocket, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(LOOK_EVERY_MS, signal);
      if (!signal.aborted) await this.#look(socket);
    }
  }

  /** One look at a time. */
  #look(socket: LocalSocket): Promise<void> {
    this.#looking = this.#looking.then(async () => {
      for (const each of this.#roles) await this.#lookAt(socket, each);
    });
    return this.#looking;
  }

  async #lookAt(socket: LocalSocket, { role, passwordFile }: RolePassword): Promise<void> {
    const known = this.#known.get(role);
    if (known === undefined) return;
    try {
      const file = await readPassword(passwordFile);
      if (file.kind !== 'read') {
        this.#become(role, known, file.kind, `${passwordFile} is ${file.kind}; the role keeps the password it has`);
        return;
      }
      if (file.password !== known.inForce) {
        if (await applyPassword(socket, role, file.password)) {
          known.changedAt = this.#time();
          this.#logger.info({ role }, "the role's password was changed in the database");
        }
        known.inForce = file.password;
      }
      this.#become(role, known, 'applied', '');
    } catch (error) {
      this.#become(role, known, 'failed', error instanceof Error ? error.message : String(error));
    }
  }

  #become(role: string, known: Known, state: PasswordState, message: string): void {
    if (known.state === state && known.message === message) return;
    if (state !== 'applied') this.#logger.warn({ role, state, reason: message }, 'the password of this role is not applied');
    known.state = state;
    known.message = message;
    known.since = this.#time();
  }

  #time(): string {
    return new Date(this.#clock.wallTime()).toISOString();
  }
}
