import type { Clock } from '@kube-aurora/clock';
import fs from 'node:fs';
import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { RedoError, type PageId } from '@kube-aurora/redo';
import { AuroraRpcError, type SegmentPhase } from '@kube-aurora/rpc';
import type { Mark } from '../page-store/page-store.ts';
import { StoredValueError } from '../page-store/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import { logDirectory, pagesDirectory, SegmentContent, StoreUnusableError, type ContentHooks } from './content.ts';
import type { SegmentControl } from './control-file.ts';
import type { CurrentControl } from './current-control.ts';
import type { SegmentLimits } from './limits.ts';
import type { Progress } from './progress.ts';
import type { WriterSessions } from './writer-sessions.ts';

/**
 * Whether a segment has content, and which: opened from disk, found damaged, or replaced as a whole by an import or a
 * copy. A segment's phase is what is said of it here.
 */

/** What a segment counts; the daemon's metrics implement it. */
export interface SegmentEvents {
  corruption(kind: 'page' | 'log' | 'state' | 'control'): void;
  repair(kind: 'page' | 'log' | 'copy' | 'control'): void;
}

export interface HeldContentParts {
  readonly directory: string;
  readonly control: CurrentControl;
  readonly sessions: WriterSessions;
  readonly progress: Progress;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly events: SegmentEvents;
  readonly fetchPage: (page: PageId, lsn: number) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: () => bigint | undefined;
}

export class HeldContent {
  readonly #parts: HeldContentParts;
  readonly #volumeId: string;
  #content: SegmentContent | undefined;
  #isImporting = false;
  #damage: { message: string; needsCopy: boolean } | undefined;
  #storeBytes = 0;
  /** While a peer copies from here, the log stays. */
  copiesOut = 0;

  constructor(parts: HeldContentParts) {
    this.#parts = parts;
    this.#volumeId = parts.control.value.volumeId;
  }

  get content(): SegmentContent | undefined {
    return this.#content;
  }

  get phase(): SegmentPhase {
    if (this.#isImporting) return 'IMPORTING';
    if (this.#damage !== undefined) return 'DAMAGED';
    return this.#content === undefined ? 'EMPTY' : 'READY';
  }

  /** Why reads are refused; undefined when they are not. */
  get damage(): string | undefined {
    return this.#damage?.message;
  }

  /** Empty, or with a store that only a copy from a peer can replace. */
  get needsCopy(): boolean {
    return !this.#isImporting && (this.#damage?.needsCopy === true || (this.#content === undefined && this.#damage === undefined));
  }

  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.#content?.log.durable.lsn ?? 0n;
  }

  /** Bytes on disk, the page store's as last measured. */
  get bytesUsed(): number {
    return (this.#content?.log.bytes ?? 0) + this.#storeBytes;
  }

  /** Must it get redo back that it may have acknowledged once? */
  get owes(): boolean {
    return this.#parts.control.value.owesLsn > this.scl && this.#content !== undefined;
  }

  /** Peers have shown that what was lost here was never durable. */
  forgiveOwed(): Promise<void> {
    const { control } = this.#parts;
    return control.exclusive(() => (control.value.owesLsn > 0n ? control.save({ owesLsn: 0n }) : Promise.resolve()));
  }

  /** Refreshes the size on disk. */
  async measure(): Promise<void> {
    this.#storeBytes = (await this.#content?.store.approximateBytes()) ?? 0;
  }

  /** Opens what the control file points to. What cannot be used is reported as damage. */
  async open(): Promise<void> {
    const { directory, control, limits, events, logger } = this.#parts;
    try {
      const content = await SegmentContent.open(directory, control.value, limits, this.#hooks());
      this.#content = content;
      if (content.damage !== undefined) {
        const { claimedLsn, message } = content.damage;
        events.corruption('log');
        logger.error(
          { volume: this.#volumeId, scl: formatLsn(this.scl), lostTo: formatLsn(claimedLsn), why: message },
          'the redo log is damaged; fetching the rest from peers',
        );
        if (claimedLsn > this.scl && claimedLsn > control.value.owesLsn) await control.save({ owesLsn: claimedLsn });
      }
      await this.measure();
    } catch (error) {
      if (!(error instanceof StoreUnusableError || error instanceof StoredValueError || error instanceof LogReadError)) throw error;
      events.corruption('state');
      this.setDamage(error.message, true);
    }
  }

  async close(): Promise<void> {
    await this.#content?.close();
    this.#content = undefined;
  }

  // Damage ---------------------------------------------------------------------------------------------------------

  /** Reads are refused from now on. */
  setDamage(message: string, needsCopy: boolean): void {
    this.#damage = { message, needsCopy };
    this.#parts.logger.error({ volume: this.#volumeId, damage: message }, 'segment damaged; reads are refused');
    this.#parts.progress.moved();
  }

  #onDamage(error: Error): void {
    // Redo that fails fails on every copy of the same bytes: only damaged bytes are worth a copy.
    const ownData = error instanceof StoredValueError || error instanceof LogReadError;
    const where =
      error instanceof RedoError
        ? `LSN ${formatLsn(error.lsn)}, ${error.record}${error.page === undefined ? '' : `, ${error.page}`}: `
        : '';
    this.setDamage(`${where}${error.message}`, ownData);
  }

  #hooks(): ContentHooks {
    const { clock, sessions, progress, events, logger, fetchPage } = this.#parts;
    return {
      clock,
      onDurable: () => {
        sessions.acknowledge(this.scl);
        progress.moved();
      },
      onProgress: () => progress.moved(),
      onLogFailure: (error) => this.setDamage(`the redo log cannot be written: ${error.message}`, false),
      onDamage: (error) => this.#onDamage(error),
      fetchPage,
      dropLimit: (mark) => this.#dropLimit(mark),
      onCorruption: (kind, error) => {
        events.corruption(kind);
        logger.error({ volume: this.#volumeId, kind, err: error }, 'stored data is damaged');
      },
      onRepair: (kind) => {
        events.repair(kind);
        logger.warn({ volume: this.#volumeId, kind }, 'repaired from a peer');
      },
    };
  }

  /** Log that every peer has too may go; beyond the retention limit it goes anyway. */
  #dropLimit(mark: Mark): bigint {
    if (this.copiesOut > 0) return 0n;
    const content = this.#content;
    if (content !== undefined && content.log.bytes > this.#parts.limits.logRetainBytes) return mark.lsn;
    const lowest = this.#parts.lowestPeerScl();
    if (lowest === undefined) return 0n;
    return lowest < mark.lsn ? lowest : mark.lsn;
  }

  // Replacement ----------------------------------------------------------------------------------------------------

  /**
   * Replaces the pages by what `fill` writes into a new directory, then opens them with the log where that fits, and with
   * an empty one where not. For imports and copies from peers. On failure everything is as it was.
   */
  replace(fill: (pagesDirectory: string) => Promise<Partial<SegmentControl>>): Promise<void> {
    if (this.#isImporting) throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
    this.#isImporting = true;
    const { directory, control } = this.#parts;
    const generation = control.value.pagesGeneration + 1;
    const work = async (): Promise<void> => {
      const target = pagesDirectory(directory, generation);
      await fs.promises.rm(target, { recursive: true, force: true });
      await fs.promises.mkdir(target, { recursive: true });
      const change = await fill(target);
      await control.exclusive(() => this.#switch(generation, change));
    };
    return work().finally(() => {
      this.#isImporting = false;
    });
  }

  async #switch(generation: number, change: Partial<SegmentControl>): Promise<void> {
    const { directory, control } = this.#parts;
    const heldTo = this.scl;
    const old = control.value;
    const before = this.#content;
    this.#content = undefined;
    await before?.close();
    this.#damage = undefined;
    await control.save({
      ...change,
      ready: true,
      pagesGeneration: generation,
      ...(old.ready ? {} : { logGeneration: old.logGeneration + 1 }),
    });
    await this.open();
    if (this.damage !== undefined && old.ready) {
      // The log does not reach the new pages: what it held is fetched again.
      this.#damage = undefined;
      await control.save({
        logGeneration: control.value.logGeneration + 1,
        owesLsn: heldTo > control.value.owesLsn ? heldTo : control.value.owesLsn,
      });
      await this.open();
    }
    await fs.promises.rm(pagesDirectory(directory, old.pagesGeneration), { recursive: true, force: true });
    if (control.value.logGeneration !== old.logGeneration) {
      await fs.promises.rm(logDirectory(directory, old.logGeneration), { recursive: true, force: true });
    }
    this.#isImporting = false;
  }
}
