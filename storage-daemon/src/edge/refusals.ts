import type { Clock } from '@kube-aurora/clock';
import { LogPace, type Logger } from '@kube-aurora/process';
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
  readonly #pace = new LogPace(LOG_INTERVAL_MS);

  constructor(options: RefusalsOptions) {
    this.#options = options;
  }

  /** Counts and logs `error` when it is a refusal; gives whether it was. */
  note(rpc: string, error: unknown, where: Readonly<Record<string, unknown>> = {}): boolean {
    if (!(error instanceof AuroraRpcError) || (error.code !== 'INVALID' && error.code !== 'REFUSED')) return false;
    const { logger, clock, count } = this.#options;
    count(rpc, error.reason);
    const alike = this.#pace.due(`${rpc} ${error.reason}`, clock.now());
    if (alike === undefined) return true;
    logger.warn({ ...where, rpc, rule: error.reason, alike, why: error.message }, 'refused a message; nothing of it was taken');
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
