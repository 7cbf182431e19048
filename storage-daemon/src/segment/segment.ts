import type { Disk } from '../disk/disk.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import { formatLsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { PageId } from '@kube-aurora/redo';
import { AuroraRpcError, type SegmentPhase, type SegmentState } from '@kube-aurora/rpc';
import { isBatchValid, type RedoBatchHeader } from '@kube-aurora/volume';
import { describeLink, linkTo } from '../redo-log/log-chain.ts';
import type { SegmentStorage } from './segment-storage.ts';
import type { SegmentControl } from './control-file.ts';
import { CurrentControl } from './current-control.ts';
import { Epochs } from './epochs.ts';
import { SegmentLifecycle, type SegmentEvents } from './segment-lifecycle.ts';
import type { SegmentLimits } from './limits.ts';
import { ConditionWaiter } from './condition-waiter.ts';
import { WriterSessions } from './writer-sessions.ts';

export interface SegmentIdentity {
  readonly daemonId: string;
  readonly zone: string;
}

/** What peers last answered; zeros when none did. */
export interface PeersHighest {
  readonly scl: bigint;
  readonly epoch: bigint;
  /** Does one of them have redo of this volume? */
  readonly isWritten: boolean;
}

export interface SegmentDeps {
  readonly directory: string;
  readonly disk: Disk;
  readonly identity: SegmentIdentity;
  readonly limits: SegmentLimits;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly events: SegmentEvents;
  readonly fetchPage: (segment: Segment, page: PageId, lsn: number) => Promise<Buffer | undefined>;
  /** Lowest SCL among the peers, as last heard; undefined while one is unknown. */
  readonly lowestPeerScl: (segment: Segment) => bigint | undefined;
  readonly highestOfPeers: (segment: Segment) => PeersHighest;
  /** Asks every peer for its state; resolves when all have answered or failed, or soon. */
  readonly askPeers: (segment: Segment) => Promise<void>;
}

/** LSNs are numbers in memory, exact up to here. */
const MAX_LSN = BigInt(Number.MAX_SAFE_INTEGER);

/** unwritable: the disk is full or fails. */
export type AppendOutcome = 'appended' | 'duplicate' | 'gap' | 'unwritable';

/**
 * One copy of one protection group: the epochs it obeys, the content it holds, and those who write to it and wait for it.
 * Here is what it says of itself and what it takes: redo, and the points up to which redo is durable and read.
 */
export class Segment {
  readonly volumeId: string;
  readonly pg: number;
  readonly deps: SegmentDeps;
  readonly epochs: Epochs;
  readonly lifecycle: SegmentLifecycle;
  readonly sessions = new WriterSessions();
  readonly conditions: ConditionWaiter;
  readonly #control: CurrentControl;

  private constructor(deps: SegmentDeps, directory: string, control: CurrentControl) {
    const { disk, limits, logger, clock, events } = deps;
    this.conditions = new ConditionWaiter(clock);
    const { sessions, conditions } = this;
    this.deps = deps;
    this.#control = control;
    this.volumeId = control.value.volumeId;
    this.pg = control.value.pg;
    this.lifecycle = new SegmentLifecycle({
      directory,
      disk,
      control,
      sessions,
      conditions,
      limits,
      logger,
      clock,
      events,
      fetchPage: (page, lsn) => deps.fetchPage(this, page, lsn),
      lowestPeerScl: () => deps.lowestPeerScl(this),
      highestPeerScl: () => deps.highestOfPeers(this).scl,
    });
    this.epochs = new Epochs({
      control,
      lifecycle: this.lifecycle,
      sessions,
      conditions,
      logger,
      state: () => this.state(),
      highestPeerEpoch: () => deps.highestOfPeers(this).epoch,
      askPeers: () => deps.askPeers(this),
    });
  }

  /** Opens a segment, or makes an empty one in memory (its directory comes with its first promise). */
  static async open(deps: SegmentDeps, volumeId: string, pg: number): Promise<Segment> {
    const directory = join(deps.directory, volumeId, String(pg));
    const control = CurrentControl.read(deps.disk, directory, volumeId, pg);
    const segment = new Segment(deps, directory, control);
    if (control.damage !== undefined) {
      deps.events.corruption('control');
      deps.logger.error({ volume: volumeId, err: control.damage }, 'one copy of the control file is damaged; writing both anew');
      await control.save({});
      deps.events.repair('control');
    }
    await segment.lifecycle.removeLeftovers();
    if (control.value.ready) await segment.lifecycle.open();
    return segment;
  }

  get id(): { volumeId: string; pg: number } {
    return { volumeId: this.volumeId, pg: this.pg };
  }
  get control(): SegmentControl {
    return this.#control.value;
  }
  get storage(): SegmentStorage | undefined {
    return this.lifecycle.storage;
  }
  get phase(): SegmentPhase {
    return this.lifecycle.phase;
  }
  /** Durable SCL; 0n when there is no log. */
  get scl(): bigint {
    return this.lifecycle.scl;
  }

  state(): SegmentState {
    const { epoch, baseEpoch, baseLsn, systemIdentifier, history, recoverToLsn } = this.control;
    const { storage, lifecycle } = this;
    const fault = lifecycle.fault;
    return {
      phase: this.phase,
      epoch,
      scl: this.scl,
      lastBatchEpoch: storage?.log.durable.epoch ?? baseEpoch,
      baseEpoch,
      baseLsn,
      appliedLsn: BigInt(storage?.applier.appliedLsn ?? 0),
      vdl: BigInt(storage?.applier.vdl ?? 0),
      logStartLsn: storage?.log.startLsn ?? 0n,
      systemIdentifier,
      history: history.map((entry) => ({ ...entry })),
      message: fault?.message ?? '',
      daemonId: this.deps.identity.daemonId,
      zone: this.deps.identity.zone,
      pgmrpl: BigInt(storage?.pgmrpl ?? 0),
      bytesUsed: BigInt(lifecycle.bytesUsed),
      fault: fault?.fault,
      recoverToLsn: lifecycle.mustRecover ? recoverToLsn : 0n,
    };
  }

  /**
   * Takes a checked batch, from a writer or a peer. 'appended' and 'duplicate' are durable only once SCL says so.
   * Throws AuroraRpcError INVALID when it cannot belong to this log, NOT_READY while it cannot be told.
   */
  append(header: RedoBatchHeader, batch: Buffer): AppendOutcome {
    const { storage } = this.lifecycle;
    if (header.endLsn > MAX_LSN)
      throw new AuroraRpcError('INVALID', `batch.end_lsn: ${formatLsn(header.endLsn)} is past ${formatLsn(MAX_LSN)}`);
    if (storage === undefined || this.epochs.settling !== undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
    if (header.pg !== this.pg) throw new AuroraRpcError('INVALID', `batch.pg: ${header.pg}, this segment is of ${this.pg}`);
    if (!isBatchValid(this.control.history, header)) {
      throw new AuroraRpcError(
        'INVALID',
        `batch.epoch: epoch ${header.epoch} ends at ${formatLsn(header.endLsn)}, which the epoch history rules out`,
      );
    }
    const { tail } = storage.log;
    const link = linkTo(tail, header);
    if (link === 'forked') throw new AuroraRpcError('INVALID', `batch.backlink: ${describeLink(tail, header)}`);
    if (link !== 'next') return link;
    if (this.lifecycle.unwritable !== undefined) return 'unwritable';
    storage.append(header, batch);
    return 'appended';
  }

  /** Bytes that wait for the disk or the index. */
  get queuedBytes(): number {
    const { storage } = this.lifecycle;
    return storage === undefined ? 0 : storage.log.pendingBytes + storage.applier.waitingBytes;
  }

  /** A VDL heard from someone of `epoch`. */
  noteVdl(vdl: bigint, epoch: bigint): void {
    if (this.epochs.isCurrent(epoch)) this.lifecycle.storage?.applier.noteVdl(Number(vdl));
  }

  /** The lowest LSN that a compute may still read at, heard from someone of `epoch`. */
  notePgmrpl(pgmrpl: bigint, epoch: bigint): void {
    if (this.epochs.isCurrent(epoch)) this.lifecycle.storage?.notePgmrpl(Number(pgmrpl));
  }

  async close(): Promise<void> {
    this.sessions.closeAll();
    await this.#control.idle();
    await this.lifecycle.close();
  }
}
