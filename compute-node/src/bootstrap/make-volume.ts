import { Backoff, type Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { PostgresPaths } from '../postgres-paths.ts';
import { BaseImageError } from '../postgres/base-image.ts';
import { createInitialVolume, InitdbError, type InitialVolume } from '../postgres/initdb.ts';
import { InitialSqlError, type Application } from '../postgres/initial-database.ts';
import { PostgresStartError } from '../postgres/supervise.ts';
import type { PostgresSettings } from '../settings/postgres-settings.ts';
import { InitdbOptionsError, readInitdbOptions } from '../postgres/initdb-options.ts';
import { textOf } from '../postgres/mounted-file.ts';

const LOOK_EVERY_MS = 1000;
const RETRY_MAX_MS = 60_000;

export interface MakeVolumeOptions {
  readonly paths: PostgresPaths;
  readonly application: Application;
  /** Of initdb.json and of the statements that it refers to. */
  readonly settingsDir: string | undefined;
  readonly sqlDir: string | undefined;
  readonly settings: PostgresSettings;
  /** Why it cannot be made as it is wanted. */
  readonly onRefused: (why: string) => void;
  readonly onTrying: () => void;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/**
 * A new volume's content, made as the manifest wants. Where initdb or PostgreSQL refuse that, it is tried again when
 * the options change, and ever more seldom without; the volume's epoch is not touched by that. Undefined when stopped.
 */
export async function makeVolume(options: MakeVolumeOptions): Promise<InitialVolume | undefined> {
  const { paths, application, settingsDir, sqlDir, settings, clock, logger, signal } = options;
  const backoff = new Backoff(2000, RETRY_MAX_MS, () => clock.random());
  while (!signal.aborted) {
    const before = await textOf(settingsDir, 'initdb.json');
    options.onTrying();
    try {
      const initdb = await readInitdbOptions(settingsDir, sqlDir);
      const { parameters } = await settings.choose();
      const { installation, account, scratchDir } = paths;
      return await createInitialVolume({ installation, account, scratchDir, application, initdb, parameters, logger });
    } catch (error) {
      if (!isRefusal(error)) throw error;
      logger.error({ reason: error.message }, 'the first database cannot be made as it is wanted');
      options.onRefused(error.message);
    }
    const until = clock.now() + backoff.next();
    while (!signal.aborted && clock.now() < until && (await textOf(settingsDir, 'initdb.json')) === before)
      await clock.sleep(LOOK_EVERY_MS, signal);
  }
  return undefined;
}

function isRefusal(error: unknown): error is Error {
  return [InitdbOptionsError, InitdbError, InitialSqlError, BaseImageError, PostgresStartError].some((kind) => error instanceof kind);
}
