import type { Clock } from '@kube-aurora/clock';
import type { Refusal } from '@kube-aurora/identity';
import { LogPace, type Logger } from '@kube-aurora/process';

/** A line for each reason, port and direction in so long. */
const LOG_INTERVAL_MS = 1000;

/** A connection that was ended because of what the other end's certificate says, or because it has none. */
export interface ConnectionRefusal extends Omit<Refusal, 'kind' | 'reason'> {
  readonly reason: Refusal['reason'] | 'plain-text' | 'handshake';
  /** What the connection was for: frames, grpc, status. */
  readonly part: string;
  /** Of the other end. */
  readonly address: string;
  /** OpenSSL's name of the failure, where it was the one who refused. */
  readonly code?: string | undefined;
  /** Who was refused: somebody who called us, or somebody whom we called. */
  readonly side: 'caller' | 'server';
}

export interface RefusalLogOptions {
  readonly logger: Logger;
  readonly clock: Pick<Clock, 'now'>;
}

/** Connections that were refused, counted, and logged at a pace. */
export class RefusalLog {
  readonly #options: RefusalLogOptions;
  readonly #pace = new LogPace(LOG_INTERVAL_MS);
  readonly #counts = new Map<string, { readonly part: string; readonly reason: string; readonly side: string; count: number }>();

  constructor(options: RefusalLogOptions) {
    this.#options = options;
  }

  get counts(): Iterable<{ readonly part: string; readonly reason: string; readonly side: string; readonly count: number }> {
    return this.#counts.values();
  }

  note({ part, reason, side, who, address, message, code }: ConnectionRefusal): void {
    const { logger, clock } = this.#options;
    const kind = `${part} ${reason} ${side}`;
    const counted = this.#counts.get(kind) ?? { part, reason, side, count: 0 };
    counted.count++;
    this.#counts.set(kind, counted);
    const alike = this.#pace.due(kind, clock.now());
    if (alike === undefined) return;
    logger.warn(
      { connection: part, reason, who, address, alike, why: message, code },
      side === 'caller' ? 'refused a connection: nothing of it was taken' : 'gave up a connection: it is not to whom it should be',
    );
  }
}
