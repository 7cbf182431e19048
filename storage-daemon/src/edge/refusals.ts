import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError } from '@kube-aurora/rpc';

/**
 * Messages that were refused, counted by call and rule, and logged: at most one line a second for each, which says how
 * many it stands for, so that a stranger cannot fill the log.
 */
const LOG_INTERVAL_MS = 1000;

export interface RefusalsOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly count: (rpc: string, reason: string) => void;
}

export class Refusals {
  readonly #options: RefusalsOptions;
  readonly #logged = new Map<string, { at: number; silent: number }>();

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Counts and logs `error` when it is a refusal; gives whether it was. */
  note(rpc: string, error: unknown, where: Readonly<Record<string, unknown>> = {}): boolean {
    if (!(error instanceof AuroraRpcError) || (error.code !== 'INVALID' && error.code !== 'REFUSED')) return false;
    const { logger, clock, count } = this.#options;
    count(rpc, error.reason);
    const key = `${rpc} ${error.reason}`;
    const before = this.#logged.get(key);
    const now = clock.now();
    if (before !== undefined && now - before.at < LOG_INTERVAL_MS) {
      before.silent++;
      return true;
    }
    logger.warn(
      { ...where, rpc, rule: error.reason, alike: before?.silent ?? 0, why: error.message },
      'refused a message; nothing of it was taken',
    );
    this.#logged.set(key, { at: now, silent: 0 });
    return true;
  }

  /** What `work` gives; a refusal among its failures is noted. */
  async call<T>(rpc: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      this.note(rpc, error);
      throw error;
    }
  }

  async *stream<T>(rpc: string, work: () => AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* work();
    } catch (error) {
      this.note(rpc, error);
      throw error;
    }
  }
}
