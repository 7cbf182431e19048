import { join } from 'node:path';
import { tellSlots } from '../failover-slots/tell-slots.ts';
import type { Permit } from '../lease/writer-lease.ts';
import type { RolePasswords } from '../postgres/role-passwords.ts';
import type { WrittenDirectory } from '../postgres/written-directory.ts';
import type { DrainOutcome } from '../switchover/drain-outcome.ts';
import { LocalWal } from '../write-path/local-wal.ts';
import type { WalSource } from '../write-path/wal-reader.ts';
import type { Database, DatabaseEvents, StartPoint, VolumeAccess } from './database.ts';
import { layDataDirectory } from './lay-data-directory.ts';
import { PostgresServer, SERVER_PROGRAMS, type PostgresServerOptions, type ServerPrograms } from './postgres-server.ts';

/** What touches the machine; tests give their own. */
export interface PostgresPrograms extends ServerPrograms {
  readonly layDataDirectory: typeof layDataDirectory;
}

const PROGRAMS: PostgresPrograms = { ...SERVER_PROGRAMS, layDataDirectory };

export interface PostgresDatabaseOptions extends Omit<PostgresServerOptions, 'programs'> {
  readonly cacheBytes: number;
  readonly passwords: Pick<RolePasswords, 'applyAll' | 'keep'>;
  readonly directory: Pick<WrittenDirectory, 'forWriter' | 'missing' | 'made'>;
  readonly opened: { readonly epoch: bigint; readonly previousEpoch: bigint };
  readonly programs?: PostgresPrograms;
}

/** The volume's writer: a PostgreSQL that starts without replay, with the passwords of its roles as files have them. */
export class PostgresDatabase implements Database {
  readonly #options: PostgresDatabaseOptions;
  readonly #programs: PostgresPrograms;
  readonly #server: PostgresServer;
  #wal: LocalWal | undefined;

  constructor(options: PostgresDatabaseOptions) {
    this.#options = options;
    this.#programs = options.programs ?? PROGRAMS;
    this.#server = new PostgresServer({ ...options, programs: this.#programs });
  }

  get pid(): number | undefined {
    return this.#server.pid;
  }

  answers(): Promise<boolean> {
    return this.#server.answers();
  }

  async prepare(start: StartPoint, signal: AbortSignal): Promise<WalSource> {
    const { paths, cacheBytes, directory, opened } = this.#options;
    const { dataDir, account } = paths;
    const { timeline } = start.first.checkpoint;
    const { layDataDirectory: lay } = this.#programs;
    await this.#server.lay(
      ({ parameters, hba }) =>
        directory.forWriter({ epoch: opened.epoch, previousEpoch: opened.previousEpoch }, (wal) =>
          lay(start, { dataDir, account, parameters, hba, cacheBytes }, wal),
        ),
      signal,
    );
    this.#wal = new LocalWal(join(dataDir, 'pg_wal'), timeline);
    return this.#wal;
  }

  start(start: StartPoint, volume: VolumeAccess, events: DatabaseEvents): Promise<void> {
    const { passwords, directory, paths, clock, logger } = this.#options;
    return this.#server.start(
      {
        startLsn: start.first.endLsn,
        isStandby: false,
        initialSettings: start.image.state.settings,
        onReady: async (socket, over) => {
          events.onStep('roles');
          await passwords.applyAll(socket);
          void passwords.keep(socket, over);
          void tellSlots({ socket, dataDir: paths.dataDir, directory, isPromoted: false, clock, logger }, over);
        },
      },
      volume,
      events,
    );
  }

  permit(permit: Permit): void {
    this.#server.permit(permit);
  }

  drain(withinMs: number): Promise<DrainOutcome> {
    return this.#server.drain(withinMs);
  }

  shutDown(): Promise<void> {
    return this.#server.shutDown();
  }

  async kill(): Promise<void> {
    await this.#server.kill();
    this.#wal?.close();
  }
}
