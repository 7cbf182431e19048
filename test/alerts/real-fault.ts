import { setTimeout as delay } from 'node:timers/promises';
import type { LiveSystem } from './live-system.ts';

/** A fault that is really made, and mended. */
export interface RealFault {
  readonly what: string;
  /** Alerts that it makes fire. */
  readonly alerts: readonly string[];
  /** Makes it; what it gives mends it. */
  readonly make: (system: LiveSystem) => Promise<() => Promise<void> | void>;
}

/** Does it over and over until it is stopped. */
export function again(everyMs: number, work: () => Promise<unknown> | void): () => Promise<void> {
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      await work();
      await delay(everyMs);
    }
  })();
  return async () => {
    stop.abort();
    await running;
  };
}
