import fs from 'node:fs';
import { join } from 'node:path';
import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { RedoError, type PageId } from '@kube-aurora/redo';
import { AuroraRpcError, type ImportBegin, type SegmentPhase, type SegmentState } from '@kube-aurora/rpc';
import {
  checkHistory,
  EpochHistoryError,
  isBatchValid,
  lastEpoch,
  mergeHistories,
  type EpochStart,
  type RedoBatchHeader,
} from '@kube-aurora/volume';
import type { Mark } from '../page-store/page-store.ts';
import { AnnulledAppliedError } from '../apply/ingest.ts';
import { StoredValueError } from '../page-store/stored-value.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import { pagesDirectory, logDirectory, SegmentContent, StoreUnusableError, type ContentHooks } from './content.ts';
import { emptyControl, readControl, writeControl, type SegmentControl } from './control-file.ts';
import type { SegmentLimits } from './limits.ts';

/**
 * One copy of one protection group: its promises (epoch, history), its content, and what happens to both.
 *
 * Invariants: an epoch or history counts only once it is in the control file; a history is written before the log is cut
 * by it, so that a crash in between is made good at open; nothing is appended while the log is being cut.
 */

export interface SegmentIdentity {
  readonly daemonId: string;
  readonly zone: string;
}

/** What a segment counts; the daemon's metrics implement it. */
export interface SegmentEvents {
  corruption(kind: 'page' | 'log' | 'state'): void;
  repair(kind: 'page' | 'log' | 'copy'): void;
}

export interface SegmentDeps {
  readonly directory: string;
  readonly identity: SegmentIdentity;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly now: () => number;
  readonly events: SegmentEvents;
  readonly fetchPage: (segment: Segment, page: PageId, lsn: number) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: (segment: Segment) => bigint | undefined;
}

/** A writer's stream, as the segment sees it. */
export interface AppendSession {
  readonly epoch: bigint;
  /** Redo is on disk up to here. */
  acknowledge(scl: bigint): void;
  /** A higher epoch holds from now on. */
  fence(epoch: bigint): void;
  /** The segment goes away. */
  close(): void;
}

export type AppendOutcome = 'appended' | 'duplicate' | 'gap';

interface Waiter {
  readonly isMet: () => boolean;
  readonly resolve: () => void;
}

export class Segment {
  readonly volumeId: string;
  readonly pg: number;
  readonly deps: SegmentDeps;
  readonly #directory: string;
  #control: SegmentControl;
  #content: SegmentContent | undefined;
  #busy: 'IMPORTING' | undefined;
  #damage: { message: string; needsCopy: boolean } | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  /** Set while the log is being cut: appends wait for it. */
  #cutting: Promise<unknown> | undefined;
  readonly #sessions = new Set<AppendSession>();
  #waiters: Waiter[] = [];
  #storeBytes = 0;
  /** While a peer copies from here, the log stays. */
  copiesOut = 0;

  private constructor(deps: SegmentDeps, directory: string, control: SegmentControl) {
    this.deps = deps;
    this.#directory = directory;
    this.#control = control;
    this.volumeId = control.volumeId;
    this.pg = control.pg;
  }

  static directoryOf(dataDirectory: string, volumeId: string, pg: number): string {
    return join(dataDirectory, volumeId, String(pg));
  }

  /** Opens a segment, or makes an empty one in memory (its directory comes with its first promise). */
  static async open(deps: SegmentDeps, volumeId: string, pg: number): Promise<Segment> {
    const directory = Segment.directoryOf(deps.directory, volumeId, pg);
    const control = readControl(join(directory, 'control')) ?? emptyControl(volumeId, pg);
    const segment = new Segment(deps, directory, control);
    if (control.ready) await segment.#openContent();
    return segment;
  }

  get control(): SegmentControl {
    return this.#control;
  }
  get content(): SegmentContent | undefined {
    return this.#content;
  }
  get directory(): string {
    return this.#directory;
  }
  get id(): { volumeId: string; pg: number } {
    return { volumeId: this.volumeId, pg: this.pg };
  }
  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.#content?.log.durable.lsn ?? 0n;
  }
  /** Empty, or with a store that only a copy from a peer can replace. */
  get needsCopy(): boolean {
    return this.#busy === undefined && (this.#damage?.needsCopy === true || (this.#content === undefined && this.#damage === undefined));
  }
  get damage(): string | undefined {
    return this.#damage?.message;
  }

  get phase(): SegmentPhase {
    if (this.#busy !== undefined) return this.#busy;
    if (this.#damage !== undefined) return 'DAMAGED';
    return this.#content === undefined ? 'EMPTY' : 'READY';
  }

  state(): SegmentState {
    const { epoch, baseEpoch, baseLsn, systemIdentifier, history } = this.#control;
    const content = this.#content;
    return {
      phase: this.phase,
      epoch,
      scl: this.scl,
      lastBatchEpoch: content?.log.durable.epoch ?? baseEpoch,
      baseEpoch,
      baseLsn,
      appliedLsn: BigInt(content?.ingest.appliedLsn ?? 0),
      vdl: BigInt(content?.ingest.vdl ?? 0),
      logStartLsn: content?.log.startLsn ?? 0n,
      systemIdentifier,
      history: history.map((entry) => ({ ...entry })),
      message: this.#damage?.message ?? (this.owes ? `lost redo up to ${formatLsn(this.#control.owesLsn)} to damage` : ''),
      daemonId: this.deps.identity.daemonId,
      zone: this.deps.identity.zone,
      pgmrpl: BigInt(content?.pgmrpl ?? 0),
      bytesUsed: BigInt((content?.log.bytes ?? 0) + this.#storeBytes),
    };
  }

  /** One at a time: everything that changes promises or replaces content. */
  #exclusive<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#queue.then(work);
    this.#queue = result.catch(() => {});
    return result;
  }

  async #saveControl(change: Partial<SegmentControl>): Promise<void> {
    this.#control = { ...this.#control, ...change };
    await fs.promises.mkdir(this.#directory, { recursive: true });
    await writeControl(join(this.#directory, 'control'), this.#control);
  }

  // Epochs ---------------------------------------------------------------------------------------------------------

  #raise(epoch: bigint, writerId: string): void {
    this.#control = { ...this.#control, epoch, writerId };
    for (const session of this.#sessions) {
      if (session.epoch >= epoch) continue;
      this.#sessions.delete(session);
      session.fence(epoch);
    }
  }

  #refuseLower(epoch: bigint): void {
    if (epoch < this.#control.epoch) {
      throw new AuroraRpcError('FENCED', `epoch ${epoch} is over; the segment has promised ${this.#control.epoch}`);
    }
  }

  /** Promises `epoch` to `writerId`: durable when it resolves. */
  openEpoch(epoch: bigint, writerId: string): Promise<SegmentState> {
    return this.#exclusive(async () => {
      this.#refuseLower(epoch);
      const { control } = this;
      if (epoch === control.epoch && control.writerId !== '' && control.writerId !== writerId) {
        throw new AuroraRpcError('EPOCH_TAKEN', `epoch ${epoch} belongs to ${control.writerId}`);
      }
      if (this.owes) {
        throw new AuroraRpcError(
          'NOT_READY',
          `redo up to ${formatLsn(control.owesLsn)} was lost to damage and is being fetched from peers; have ${formatLsn(this.scl)}`,
        );
      }
      if (epoch !== control.epoch || control.writerId !== writerId) {
        this.#raise(epoch, writerId);
        await this.#content?.log.flushed();
        await this.#saveControl({});
        this.deps.logger.info({ volume: this.volumeId, epoch, writerId, scl: formatLsn(this.scl) }, 'promised an epoch');
      }
      return this.state();
    });
  }

  /** Must it get redo back that it may have acknowledged once? */
  get owes(): boolean {
    return this.#control.owesLsn > this.scl && this.#content !== undefined;
  }

  /** Peers have shown that what was lost here was never durable. */
  forgiveOwed(): Promise<void> {
    return this.#exclusive(() => (this.#control.owesLsn > 0n ? this.#saveControl({ owesLsn: 0n }) : Promise.resolve()));
  }

  truncate(epoch: bigint, history: readonly EpochStart[]): Promise<SegmentState> {
    return this.#exclusive(async () => {
      this.#refuseLower(epoch);
      this.#checkHistory(history);
      if (lastEpoch(history) !== epoch) throw new AuroraRpcError('INVALID', `history: ends with epoch ${lastEpoch(history)}, not ${epoch}`);
      if (this.#content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
      await this.#install(history);
      return this.state();
    });
  }

  #checkHistory(history: readonly EpochStart[]): void {
    try {
      checkHistory(history);
    } catch (error) {
      if (error instanceof EpochHistoryError) throw new AuroraRpcError('INVALID', `history: ${error.message}`);
      throw error;
    }
  }

  /** Takes a history heard from a writer's hello or a peer, when it is the newer one; annuls what it rules out. */
  takeHistory(history: readonly EpochStart[]): Promise<void> {
    if (mergeHistories(this.#control.history, history, this.#control.epoch) === this.#control.history) return Promise.resolve();
    return this.#exclusive(() => {
      this.#checkHistory(history);
      return this.#install(history);
    });
  }

  async #install(incoming: readonly EpochStart[]): Promise<void> {
    const merged = mergeHistories(this.#control.history, incoming, this.#control.epoch);
    if (merged === this.#control.history || this.#content === undefined) return;
    const epoch = lastEpoch(merged);
    // From before the new history shows until the log is cut by it: nothing is appended, and no VDL is believed.
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#cutting = promise;
    try {
      if (epoch > this.#control.epoch) this.#raise(epoch, '');
      await this.#saveControl({
        history: merged.map((entry) => ({ epoch: entry.epoch, startLsn: entry.startLsn })),
        owesLsn: this.#owedUnder(merged),
      });
      const content = this.#content;
      if (await content.annul(merged)) {
        this.deps.logger.info({ volume: this.volumeId, epoch, scl: formatLsn(this.scl) }, 'annulled redo past the new epoch’s start');
      }
    } catch (error) {
      if (error instanceof AnnulledAppliedError) this.#setDamage(error.message, true);
      throw error;
    } finally {
      this.#cutting = undefined;
      resolve();
      this.#progress();
    }
  }

  /** What is owed of redo that a history annuls is no longer owed. */
  #owedUnder(history: readonly EpochStart[]): bigint {
    const start = history.at(-1)?.startLsn ?? 0n;
    const { owesLsn } = this.#control;
    return owesLsn > start ? start : owesLsn;
  }

  // Appends --------------------------------------------------------------------------------------------------------

  /** A writer's stream begins: raises the epoch and takes its history where this segment was away. */
  async attach(session: AppendSession, writerId: string, history: readonly EpochStart[]): Promise<void> {
    await this.#exclusive(async () => {
      this.#refuseLower(session.epoch);
      if (this.#content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
      this.#checkHistory(history);
      if (lastEpoch(history) !== session.epoch)
        throw new AuroraRpcError('INVALID', `hello.history: ends with epoch ${lastEpoch(history)}, not ${session.epoch}`);
      // A history that ends with the epoch is written only after four segments promised it to one writer. Whoever else holds
      // this segment's promise of the same epoch raced for it and lost, and never gets to write.
      if (session.epoch > this.#control.epoch || writerId !== this.#control.writerId) {
        this.#raise(session.epoch, writerId);
        await this.#saveControl({});
      }
      await this.#install(history);
      this.#sessions.add(session);
    });
  }

  detach(session: AppendSession): void {
    this.#sessions.delete(session);
  }

  /** Resolves when the log may be appended to; undefined when it may be now. */
  get settling(): Promise<unknown> | undefined {
    return this.#cutting;
  }

  /**
   * Takes a checked batch, from a writer or a peer. 'appended' and 'duplicate' are durable only once SCL says so.
   * Throws AuroraRpcError INVALID when it cannot belong to this log.
   */
  append(header: RedoBatchHeader, batch: Buffer): AppendOutcome {
    const content = this.#content;
    if (content === undefined || this.#cutting !== undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
    if (header.pg !== this.pg) throw new AuroraRpcError('INVALID', `batch.pg: ${header.pg}, this segment is of ${this.pg}`);
    if (!isBatchValid(this.#control.history, header)) {
      throw new AuroraRpcError(
        'INVALID',
        `batch.epoch: epoch ${header.epoch} ends at ${formatLsn(header.endLsn)}, which the epoch history rules out`,
      );
    }
    const { tail } = content.log;
    if (header.endLsn <= tail.lsn) return 'duplicate';
    if (header.backlink > tail.lsn) return 'gap';
    if (header.backlink < tail.lsn || header.previousEpoch !== tail.epoch) {
      throw new AuroraRpcError(
        'INVALID',
        `batch.backlink: ${formatLsn(header.backlink)} of epoch ${header.previousEpoch} does not link to the log's end ${formatLsn(tail.lsn)} of epoch ${tail.epoch}`,
      );
    }
    content.append(header, batch);
    return 'appended';
  }

  /** Bytes that wait for the disk or the index. */
  get queuedBytes(): number {
    const content = this.#content;
    return content === undefined ? 0 : content.log.pendingBytes + content.ingest.waitingBytes;
  }

  /** A VDL heard from someone of `epoch`; it counts only under the same history as ours. */
  noteVdl(vdl: bigint, epoch: bigint): void {
    if (this.#cutting === undefined && epoch === lastEpoch(this.#control.history)) this.#content?.ingest.noteVdl(Number(vdl));
  }

  notePgmrpl(pgmrpl: bigint, epoch: bigint): void {
    if (this.#cutting === undefined && epoch === lastEpoch(this.#control.history)) this.#content?.notePgmrpl(Number(pgmrpl));
  }

  // Reads ----------------------------------------------------------------------------------------------------------

  /** Content that can be read at `lsn` by someone of `epoch`; waits until `deadline` (ms, Date.now). */
  async readable(epoch: bigint, lsn: bigint, deadline: number): Promise<SegmentContent> {
    this.#refuseLower(epoch);
    const content = this.#readableNow();
    if (epoch > lastEpoch(this.#control.history)) {
      throw new AuroraRpcError(
        'BEHIND',
        `the segment has not heard how epoch ${epoch} starts; its history ends with ${lastEpoch(this.#control.history)}`,
      );
    }
    // Whoever reads at an LSN knows that it is durable on a quorum.
    if (lsn <= content.log.durable.lsn) this.noteVdl(lsn, epoch);
    if (!content.ingest.hasApplied(Number(lsn))) {
      await this.wait(
        () =>
          this.#content === undefined ||
          this.#damage !== undefined ||
          this.#content.ingest.hasApplied(Number(lsn)) ||
          this.#raiseVdlTo(lsn, epoch),
        deadline,
      );
      const after = this.#readableNow();
      if (!after.ingest.hasApplied(Number(lsn))) {
        throw new AuroraRpcError(
          'BEHIND',
          `the segment has redo applied up to ${formatLsn(BigInt(after.ingest.appliedLsn))}, not ${formatLsn(lsn)}`,
        );
      }
      return after;
    }
    return content;
  }

  #raiseVdlTo(lsn: bigint, epoch: bigint): false {
    if (lsn <= this.scl) this.noteVdl(lsn, epoch);
    return false;
  }

  #readableNow(): SegmentContent {
    if (this.#damage !== undefined) throw new AuroraRpcError('DAMAGED', this.#damage.message);
    if (this.#content === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
    return this.#content;
  }

  /** Resolves true when the condition holds, false at the deadline. Looked at whenever the log or ingest moves. */
  wait(isMet: () => boolean, deadline: number): Promise<boolean> {
    if (isMet()) return Promise.resolve(true);
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter: Waiter = {
      isMet,
      resolve: () => {
        clearTimeout(timer);
        resolve(true);
      },
    };
    const left = Math.max(0, Math.min(deadline - Date.now(), 60_000));
    const timer = setTimeout(() => {
      this.#waiters = this.#waiters.filter((one) => one !== waiter);
      resolve(false);
    }, left);
    this.#waiters.push(waiter);
    return promise;
  }

  #progress(): void {
    if (this.#waiters.length === 0) return;
    const met = this.#waiters.filter((waiter) => waiter.isMet());
    if (met.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !met.includes(waiter));
    for (const waiter of met) waiter.resolve();
  }

  // Content --------------------------------------------------------------------------------------------------------

  #hooks(): ContentHooks {
    return {
      now: this.deps.now,
      onDurable: () => {
        const { scl } = this;
        for (const session of this.#sessions) session.acknowledge(scl);
        this.#progress();
      },
      onProgress: () => this.#progress(),
      onLogFailure: (error) => this.#setDamage(`the redo log cannot be written: ${error.message}`, false),
      onDamage: (error) => this.#onDamage(error),
      fetchPage: (page, lsn) => this.deps.fetchPage(this, page, lsn),
      dropLimit: (mark) => this.#dropLimit(mark),
      onCorruption: (kind, error) => {
        this.deps.events.corruption(kind);
        this.deps.logger.error({ volume: this.volumeId, kind, err: error }, 'stored data is damaged');
      },
      onRepair: (kind) => {
        this.deps.events.repair(kind);
        this.deps.logger.warn({ volume: this.volumeId, kind }, 'repaired from a peer');
      },
    };
  }

  /** Log that every peer has too may go; beyond the retention limit it goes anyway. */
  #dropLimit(mark: Mark): bigint {
    if (this.copiesOut > 0) return 0n;
    const content = this.#content;
    if (content !== undefined && content.log.bytes > this.deps.limits.logRetainBytes) return mark.lsn;
    const lowest = this.deps.lowestPeerScl(this);
    if (lowest === undefined) return 0n;
    return lowest < mark.lsn ? lowest : mark.lsn;
  }

  #onDamage(error: Error): void {
    // Redo that fails fails on every copy of the same bytes: only damaged bytes are worth a copy.
    const ownData = error instanceof StoredValueError || error instanceof LogReadError;
    const where =
      error instanceof RedoError
        ? `LSN ${formatLsn(error.lsn)}, ${error.record}${error.page === undefined ? '' : `, ${error.page}`}: `
        : '';
    this.#setDamage(`${where}${error.message}`, ownData);
  }

  #setDamage(message: string, needsCopy: boolean): void {
    this.#damage = { message, needsCopy };
    this.deps.logger.error({ volume: this.volumeId, damage: message }, 'segment damaged; reads are refused');
    this.#progress();
  }

  async #openContent(): Promise<void> {
    try {
      const content = await SegmentContent.open(this.#directory, this.#control, this.deps.limits, this.#hooks());
      this.#content = content;
      if (content.damage !== undefined) {
        const { claimedLsn, message } = content.damage;
        this.deps.events.corruption('log');
        this.deps.logger.error(
          { volume: this.volumeId, scl: formatLsn(this.scl), lostTo: formatLsn(claimedLsn), why: message },
          'the redo log is damaged; fetching the rest from peers',
        );
        if (claimedLsn > this.scl && claimedLsn > this.#control.owesLsn) await this.#saveControl({ owesLsn: claimedLsn });
      }
      await this.measure();
    } catch (error) {
      if (!(error instanceof StoreUnusableError || error instanceof StoredValueError || error instanceof LogReadError)) throw error;
      this.deps.events.corruption('state');
      this.#setDamage(error.message, true);
    }
  }

  /** Refreshes the size on disk. */
  async measure(): Promise<void> {
    this.#storeBytes = (await this.#content?.store.approximateBytes()) ?? 0;
  }

  /**
   * Replaces the pages by what `fill` writes into a new directory, then opens them with the log where that fits, and with
   * an empty one where not. For imports and copies from peers. On failure everything is as it was.
   */
  replaceContent(fill: (pagesDirectory: string) => Promise<Partial<SegmentControl>>): Promise<SegmentState> {
    if (this.#busy !== undefined) throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
    this.#busy = 'IMPORTING';
    const generation = this.#control.pagesGeneration + 1;
    const work = async (): Promise<SegmentState> => {
      const target = pagesDirectory(this.#directory, generation);
      await fs.promises.rm(target, { recursive: true, force: true });
      await fs.promises.mkdir(target, { recursive: true });
      const change = await fill(target);
      return this.#exclusive(() => this.#switchContent(generation, change));
    };
    return work().finally(() => {
      this.#busy = undefined;
    });
  }

  async #switchContent(generation: number, change: Partial<SegmentControl>): Promise<SegmentState> {
    const before = this.#content;
    const heldTo = before?.log.durable.lsn ?? 0n;
    const old = this.#control;
    this.#content = undefined;
    await before?.close();
    this.#damage = undefined;
    await this.#saveControl({
      ...change,
      ready: true,
      pagesGeneration: generation,
      ...(old.ready ? {} : { logGeneration: old.logGeneration + 1 }),
    });
    await this.#openContent();
    if (this.damage !== undefined && old.ready) {
      // The log does not reach the new pages: what it held is fetched again.
      this.#damage = undefined;
      await this.#saveControl({
        logGeneration: this.#control.logGeneration + 1,
        owesLsn: heldTo > this.#control.owesLsn ? heldTo : this.#control.owesLsn,
      });
      await this.#openContent();
    }
    await fs.promises.rm(pagesDirectory(this.#directory, old.pagesGeneration), { recursive: true, force: true });
    if (this.#control.logGeneration !== old.logGeneration) {
      await fs.promises.rm(logDirectory(this.#directory, old.logGeneration), { recursive: true, force: true });
    }
    this.#busy = undefined;
    return this.state();
  }

  /** Throws FENCED when `epoch` was overtaken meanwhile. */
  checkEpochOf(epoch: bigint): void {
    this.#refuseLower(epoch);
  }

  /** Checks of ImportBase that need no data yet. */
  checkImport(begin: ImportBegin): void {
    this.#refuseLower(begin.epoch);
    if (this.#busy !== undefined) throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
    if (this.#control.ready) throw new AuroraRpcError('INVALID', 'begin: the segment holds a volume already');
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.close();
    this.#sessions.clear();
    await this.#queue;
    await this.#content?.close();
    this.#content = undefined;
  }
}
