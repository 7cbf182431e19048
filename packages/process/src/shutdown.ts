import { flushCompileCache } from 'node:module';
import { EXIT } from './exit-codes.ts';
import { ConfigError } from './config.ts';
import type { Logger } from './logger.ts';

/**
 * Ordered shutdown: steps run in reverse order of their registration (what was opened last closes first), each within
 * its time. A second signal ends the process at once.
 */
export class Shutdown {
  readonly #steps: { name: string; run: () => Promise<void> | void; timeoutMs: number }[] = [];
  readonly #logger: Logger;
  #running: Promise<void> | undefined;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  get requested(): boolean {
    return this.#running !== undefined;
  }

  add(name: string, run: () => Promise<void> | void, timeoutMs = 10_000): void {
    this.#steps.push({ name, run, timeoutMs });
  }

  /** Runs every step once; later calls wait for the same run. */
  run(): Promise<void> {
    this.#running ??= this.#runSteps();
    return this.#running;
  }

  /** SIGTERM and SIGINT start the shutdown, then exit with `exitCode()`. */
  onSignals(exitCode: () => number = () => EXIT.ok): void {
    const stop = (signal: NodeJS.Signals): void => {
      if (this.#running !== undefined) process.exit(EXIT.internal);
      this.#logger.info({ signal }, 'stopping');
      void this.run().then(() => process.exit(exitCode()));
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
  }

  async #runSteps(): Promise<void> {
    for (const step of this.#steps.toReversed()) {
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<'late'>((resolve) => {
        timer = setTimeout(() => resolve('late'), step.timeoutMs);
      });
      try {
        const outcome = await Promise.race([step.run(), late]);
        if (outcome === 'late')
          this.#logger.warn({ step: step.name, timeoutMs: step.timeoutMs }, 'a shutdown step took too long and was left');
      } catch (error) {
        this.#logger.error({ step: step.name, err: error }, 'a shutdown step failed');
      } finally {
        clearTimeout(timer);
      }
    }
  }
}

/** By then a program has started up; a process that is killed would never write its cache. */
const FLUSH_COMPILE_CACHE_MS = 10_000;

/** Runs a program's main: configuration errors exit 64 with one clear line, anything else exits 70 with its stack. */
export async function runMain(logger: Logger, main: () => Promise<void>): Promise<void> {
  const fail = (error: unknown): never => {
    if (error instanceof ConfigError) {
      process.stderr.write(`${error.message}\n`);
      process.exit(EXIT.badConfig);
    }
    logger.fatal({ err: error }, 'stopped by an error');
    process.exit(EXIT.internal);
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);
  // Does nothing without NODE_COMPILE_CACHE.
  setTimeout(flushCompileCache, FLUSH_COMPILE_CACHE_MS).unref();
  try {
    await main();
  } catch (error) {
    fail(error);
  }
}
