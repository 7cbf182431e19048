import type { ServerResponse } from 'node:http';
import type { StatusVersion } from './status-version.ts';

/** Longer is nobody kept waiting: what lies between may forget a connection on which nothing comes. */
const STATUS_WAIT_MS_MAX = 30_000;
/** Whoever comes when so many wait is answered at once. */
const WAITING_MAX = 32;

/** `GET /status?after=VERSION&waitMs=MS`: the answer is held back until the version is another, for so long at most. */
type StatusWait = { readonly kind: 'wait'; readonly after: string; readonly waitMs: number } | { readonly kind: 'now' };

/** What the query asks for; undefined when it cannot be understood. */
export function readStatusWait(query: URLSearchParams): StatusWait | undefined {
  const [after, waitMs] = [query.get('after'), query.get('waitMs')];
  if (after === null && waitMs === null) return { kind: 'now' };
  if (after === null || waitMs === null || !/^\d{1,9}$/.test(waitMs)) return undefined;
  return { kind: 'wait', after, waitMs: Math.min(Number(waitMs), STATUS_WAIT_MS_MAX) };
}

/** Those who wait for a change. */
export class StatusWaiters {
  readonly #version: StatusVersion;
  #count = 0;

  constructor(version: StatusVersion) {
    this.#version = version;
  }

  /** Resolves when there is something to answer; gives false when nobody is there to be answered any more. */
  async wait({ after, waitMs }: Extract<StatusWait, { kind: 'wait' }>, response: ServerResponse): Promise<boolean> {
    if (this.#count >= WAITING_MAX) return true;
    this.#count++;
    const over = Promise.withResolvers<void>();
    const timer = setTimeout(over.resolve, waitMs);
    response.once('close', over.resolve);
    try {
      await Promise.race([this.#version.otherThan(after), over.promise]);
      return !response.destroyed;
    } finally {
      clearTimeout(timer);
      response.off('close', over.resolve);
      this.#count--;
    }
  }
}
