import { checkRedoBatch } from '@kube-aurora/volume';
import { pageOfKey } from '../pages/page-store.ts';
import { openValue, StoredValueError } from '../pages/stored-value.ts';
import { LogGoneError, LogReadError } from '../redo-log/log-errors.ts';
import type { Segment } from '../segment/segment.ts';

/**
 * Reads everything that is stored back, slowly and for ever, and has what fails its check repaired before someone needs
 * it. A few pages and a stretch of log a step; the steps come from a timer outside.
 */

export interface ScrubHooks {
  readonly onCorruption: (kind: 'page' | 'log', error: Error) => void;
  readonly repairLog: (segment: Segment, lsn: bigint) => Promise<boolean>;
  readonly onScrubbed: (bytes: number) => void;
}

export class Scrubber {
  readonly #segment: Segment;
  readonly #hooks: ScrubHooks;
  #afterKey: Buffer | undefined;
  #logLsn = 0n;
  /** Whole passes over the pages. */
  passes = 0;

  constructor(segment: Segment, hooks: ScrubHooks) {
    this.#segment = segment;
    this.#hooks = hooks;
  }

  /** Checks about `bytes` of pages and as much log. */
  async step(bytes: number): Promise<void> {
    if (this.#segment.phase !== 'READY') return;
    await this.#scrubPages(bytes);
    await this.#scrubLog(bytes);
    this.#hooks.onScrubbed((await this.#segment.storage?.scrubTables(bytes)) ?? 0);
  }

  async #scrubPages(bytes: number): Promise<void> {
    const { storage } = this.#segment;
    if (storage === undefined) return;
    let done = 0;
    const damaged: Buffer[] = [];
    for await (const { key, value } of storage.store.entries(this.#afterKey)) {
      done += value.length;
      this.#afterKey = key;
      try {
        openValue(key, value);
      } catch (error) {
        if (!(error instanceof StoredValueError)) throw error;
        this.#hooks.onCorruption('page', error);
        damaged.push(key);
      }
      if (done >= bytes) break;
    }
    this.#hooks.onScrubbed(done);
    if (done < bytes) {
      this.#afterKey = undefined;
      this.passes++;
    }
    for (const key of damaged) {
      const page = pageOfKey(key);
      // The checkpoint’s own values are written anew by the next one.
      if (page === undefined) storage.checkpointer.request();
      else await storage.reader.repairPage(page);
    }
  }

  async #scrubLog(bytes: number): Promise<void> {
    const log = this.#segment.storage?.log;
    if (log === undefined) return;
    const { startLsn } = log;
    if (this.#logLsn < startLsn || this.#logLsn >= log.durable.lsn) this.#logLsn = startLsn;
    try {
      const batches = log.reader.batchesFrom(this.#logLsn, bytes);
      for (let at = 0; at < batches.length;) {
        const header = checkRedoBatch(batches, at);
        this.#logLsn = header.endLsn;
        at += header.totalBytes;
      }
      this.#hooks.onScrubbed(batches.length);
    } catch (error) {
      if (error instanceof LogGoneError) {
        this.#logLsn = 0n;
        return;
      }
      if (!(error instanceof LogReadError)) throw error;
      this.#hooks.onCorruption('log', error);
      if (!(await this.#hooks.repairLog(this.#segment, error.lsn))) this.#logLsn = 0n;
    }
  }
}
