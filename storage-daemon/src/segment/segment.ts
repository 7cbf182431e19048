import { join } from 'node:path';
import { maxLsn } from '@kube-aurora/pg-format/lsn';
import { AuroraRpcError, type SegmentState, type StandbyXmins, type WriterSign } from '@kube-aurora/rpc';
import {
  LEASE_MS_MAX,
  type EpochStart,
  type LeaseHolder,
  type RedoBatchHeader,
  type ReportedLease,
  type SegmentRole,
} from '@kube-aurora/volume';
import type { DiskRoom } from '../disk/disk-room.ts';
import { DurableEvent } from '../redo-log/durable-event.ts';
import { fitOf } from './batch-fit.ts';
import { ConditionWaiter } from './condition-waiter.ts';
import { CurrentControl } from './current-control.ts';
import { freshKey, SegmentKey } from './segment-key.ts';
import { Epochs } from './epochs.ts';
import { Followers } from './followers.ts';
import { Leases } from './leases.ts';
import { ReadFloors } from './read-floors.ts';
import type { HeldRedo } from './retention.ts';
import type { ControlChange, Fill, FillBeside } from './replacement.ts';
import { SegmentLifecycle } from './segment-lifecycle.ts';
import { refuseRole } from './segment-identity.ts';
import type { PeersHighest, SegmentOptions } from './segment-options.ts';
import { segmentState } from './segment-state.ts';
import { SegmentView } from './segment-view.ts';
import { WriterHeard } from './writer-heard.ts';
import { WriterSessions, type AppendSession } from './writer-sessions.ts';

/** unwritable: the disk is full or fails. */
export type AppendOutcome = 'appended' | 'duplicate' | 'gap' | 'unwritable';

/**
 * One copy of one protection group: the epochs it obeys, the content it holds, and those who write to it and wait for
 * it. Here is what it takes: redo, and the points up to which redo is durable and read. What it holds, and how it is, is
 * in segment-view.ts.
 */
export class Segment extends SegmentView {
  /** The readers that follow it. */
  readonly followers = new Followers();
  readonly #options: SegmentOptions<Segment>;
  readonly #control: CurrentControl;
  readonly #key: SegmentKey;
  readonly #conditions: ConditionWaiter;
  readonly #sessions: WriterSessions;
  readonly #lifecycle: SegmentLifecycle;
  readonly #epochs: Epochs;
  readonly #readFloors = new ReadFloors();
  readonly #leases: Leases;
  readonly #writer: WriterHeard;

  private constructor(options: SegmentOptions<Segment>, directory: string, control: CurrentControl) {
    super(options, control);
    const { disk, engines, limits, logger, clock, events } = options;
    const durable = new DurableEvent();
    const conditions = new ConditionWaiter(clock);
    const sessions = new WriterSessions(durable);
    durable.subscribe(() => {
      conditions.recheck();
      this.followers.moved();
    });
    this.#options = options;
    this.#control = control;
    this.#key = new SegmentKey(control, options.keys);
    this.#conditions = conditions;
    this.#sessions = sessions;
    this.#lifecycle = new SegmentLifecycle({
      onEpoch: (epoch) => sessions.fenceBelow(epoch),
      directory,
      disk,
      engines,
      control,
      key: this.#key,
      durable,
      conditions,
      limits,
      logger,
      clock,
      events,
      fetchPage: (page, lsn) => options.fetchPage(this, page, lsn),
      lowestPeerScl: () => options.lowestPeerScl(this),
      highestPeerScl: () => options.highestOfPeers(this).scl,
    });
    if (control.value.role === 'TAIL') {
      for (const { id, checkpointLsn } of options.fullPeers)
        this.#lifecycle.holdFor(`pages of ${id}`, () => maxLsn(checkpointLsn(this), this.#standInCheckpoint(id)));
    }
    this.#writer = new WriterHeard(control, clock, () => this.followers.writerChanged());
    const { startedAtMs } = options;
    this.#leases = new Leases({ control, refuseLower: (epoch) => this.#epochs.refuseLower(epoch), clock, startedAtMs });
    this.#epochs = new Epochs({
      notedLeases: (promised, leaseMs) => this.#leases.notedWith(promised, leaseMs),
      control,
      lifecycle: this.#lifecycle,
      sessions,
      conditions,
      logger,
      state: () => this.state(),
      highestPeerEpoch: () => options.highestOfPeers(this).epoch,
      askPeers: () => options.askPeers(this),
    });
  }

  /** Opens a segment, or makes an empty one in memory (its directory comes with its first promise). */
  static async open(options: SegmentOptions<Segment>, volumeId: string, pg: number): Promise<Segment> {
    const directory = join(options.directory, volumeId, String(pg));
    const id = { volumeId, pg };
    const control = CurrentControl.read(options.disk, directory, id, options.identity.role, () => freshKey(options.keys, id));
    const segment = new Segment(options, directory, control);
    if (control.damage !== undefined) {
      options.events.corruption('control');
      options.logger.error({ volume: volumeId, err: control.damage }, 'one copy of the control file is damaged; writing both anew');
      await control.save({});
      options.events.repair('control');
    }
    // What the file replaced goes, and what it names is shown to peers and writers, only once the loss of power would
    // not bring the old one back.
    await control.exclusive(() => Promise.resolve());
    await segment.#lifecycle.start();
    return segment;
  }

  protected override get lifecycle(): SegmentLifecycle {
    return this.#lifecycle;
  }

  // What it says of itself ------------------------------------------------------------------------------------------

  /** Up to where this segment's own pages have all redo in the place of that peer's. */
  #standInCheckpoint(id: string): bigint {
    return this.control.standIn?.of === id ? (this.pages?.checkpointLsn ?? 0n) : 0n;
  }

  state(): SegmentState {
    this.storage?.refresh();
    return segmentState(this.identity, this.control, this.#lifecycle);
  }
  /** The same, with who writes and who follows: what computes need to choose another writer. */
  stateForComputes(): SegmentState {
    return { ...this.state(), writer: this.#writer.seen, followers: this.followers.seen(this.#options.clock.now()) };
  }
  /** Of the writer that it obeys. */
  get writerSign(): WriterSign {
    return this.#writer.sign;
  }

  /**
   * Resolves true once the condition holds, which is looked at whenever something moves here; false at the deadline
   * (ms, the clock's `now`).
   */
  until(isMet: () => boolean, deadline: number): Promise<boolean> {
    return this.#conditions.until(isMet, deadline);
  }

  // Redo ------------------------------------------------------------------------------------------------------------

  /**
   * Takes a checked batch, from a writer or a peer. 'appended' and 'duplicate' are durable only once SCL says so.
   * Throws AuroraRpcError INVALID when it cannot belong to this log, NOT_READY while it cannot be told.
   */
  append(header: RedoBatchHeader, batch: Buffer): AppendOutcome {
    const { control, storage, pg } = this;
    if (storage === undefined || this.annulling !== undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${this.phase}`);
    storage.takeBack();
    const fit = fitOf(header, { pg, history: control.history, tail: storage.tail });
    if (fit !== 'next') return fit;
    if (this.unwritable !== undefined) return 'unwritable';
    storage.append(header, batch);
    return 'appended';
  }

  /** A writer has said something on its stream. */
  noteWriterHeard(epoch: bigint, writerId: string): void {
    this.#writer.note({ epoch, writerId });
  }

  /** A VDL heard from someone of `epoch`. */
  noteVdl(vdl: bigint, epoch: bigint): void {
    if (!this.#epochs.isCurrent(epoch)) return;
    this.storage?.noteVdl(vdl);
    this.followers.moved();
  }

  /** A compute of `epoch` says that it reads at `lsn` or later. */
  noteReadFloor(compute: string, lsn: bigint, epoch: bigint): void {
    if (!this.#epochs.isCurrent(epoch)) return;
    this.#readFloors.noteWriter(compute, lsn, this.#options.clock.now());
    this.raiseReadFloor();
  }

  /** A reader, which has no epoch, says that it reads at `lsn` or later; 0n: nothing more may be forgotten yet. */
  noteReadersFloor(reader: string, lsn: bigint): void {
    this.#readFloors.noteReader(reader, lsn, this.#options.clock.now());
    this.raiseReadFloor();
  }

  /** The same reader says what its snapshots may need. */
  noteReadersXmins(reader: string, xmins: StandbyXmins): void {
    this.#readFloors.noteXmins(reader, xmins);
  }

  /** What the snapshots of those readers that are heard may need, for the writer to hear. */
  get readersXmins(): StandbyXmins {
    return this.#readFloors.lowestXmins(this.#options.clock.now());
  }

  /** A reader's stream is over: it may come back for a while. */
  readerLeft(reader: string): void {
    this.#readFloors.left(reader, this.#options.clock.now());
  }

  /** A peer whose history ends with `epoch` says that no compute reads below `lsn`. */
  notePeersReadFloor(lsn: bigint, epoch: bigint): void {
    if (!this.#epochs.isCurrent(epoch)) return;
    this.#readFloors.notePeers(lsn);
    this.raiseReadFloor();
  }

  /** A compute reads no more: it was overtaken. */
  releaseReadFloor(compute: string): void {
    this.#readFloors.release(compute);
  }

  /**
   * Pages may be stored as of what nobody reads below. Called now and then too: time alone ends the hold of a compute
   * that is silent.
   */
  raiseReadFloor(): void {
    this.storage?.notePgmrpl(this.#readFloors.lowest(this.#options.clock.now()));
  }

  /** The computes that are heard, and from where on each reads. */
  get readers(): ReturnType<ReadFloors['holders']> {
    return this.#readFloors.holders();
  }

  /**
   * Throws AuroraRpcError REFUSED when whoever speaks takes the segment for something else: it would count it wrongly.
   */
  refuseOtherRole(role: SegmentRole, field: string): void {
    refuseRole(this.control.role, role, field);
  }

  // Epochs: see epochs.ts -------------------------------------------------------------------------------------------

  /** Resolves when the log may be appended to again; undefined when it may be now. */
  get annulling(): Promise<unknown> | undefined {
    return this.#epochs.annulling;
  }
  /** Throws AuroraRpcError FENCED when `epoch` was overtaken. */
  refuseLower(epoch: bigint): void {
    this.#epochs.refuseLower(epoch);
  }
  /** Throws AuroraRpcError when `epoch` is too far ahead of every epoch that is known; peers are asked first. */
  refuseJump(epoch: bigint, field: string): Promise<void> {
    return this.#epochs.refuseJump(epoch, field);
  }
  /** Throws AuroraRpcError when a copy of what `peer` holds would bring in an epoch or history that breaks a rule. */
  refuseCopy(peer: SegmentState): Promise<void> {
    return this.#epochs.refuseCopy(peer);
  }
  /** Promises `epoch` to `writerId`, whose leases will be no longer than `leaseMs`: durable when it resolves. */
  async openEpoch(epoch: bigint, writerId: string, leaseMs = LEASE_MS_MAX): Promise<SegmentState> {
    const state = await this.#epochs.open(epoch, writerId, leaseMs);
    this.#writer.note({ epoch, writerId });
    return state;
  }
  /** Takes an opener's history, which ends with its epoch, and annuls what it rules out. */
  installHistory(epoch: bigint, history: readonly EpochStart[]): Promise<SegmentState> {
    return this.#epochs.install(epoch, history);
  }
  /** Takes the history that a peer answered with, when it is the newer one. */
  takeHistory(history: readonly EpochStart[]): Promise<void> {
    return this.#epochs.takeHistory(history);
  }
  /** A writer's stream begins: it hears of what is durable, and that it was overtaken, until `detach`. */
  attach(session: AppendSession, writerId: string, history: readonly EpochStart[]): Promise<void> {
    return this.#epochs.attach(session, writerId, history);
  }
  detach(session: AppendSession): void {
    this.#sessions.remove(session);
  }

  // Leases: see leases.ts -------------------------------------------------------------------------------------------

  /** Grants the writer a lease; gives what others may have. Throws AuroraRpcError FENCED, NOT_READY. */
  async renewLease(holder: LeaseHolder, leaseMs: number): Promise<readonly ReportedLease[]> {
    const others = await this.#leases.renew(holder, leaseMs);
    this.#writer.note(holder);
    return others;
  }
  /** The holder's PostgreSQL is dead; `reopens`: it opens the volume anew at once. */
  giveBackLease(holder: LeaseHolder, reopens = false): Promise<readonly ReportedLease[]> {
    // Who would take its place hears it before the disk does.
    if (!reopens) this.#writer.gone(holder);
    return this.#leases.giveBack(holder);
  }
  /** A new volume was imported: nobody has answered anything from it. */
  forgetUnknownLeases(): void {
    this.#leases.forgetUnknown();
  }
  /** Those that may be live, and those that were given back a moment ago. */
  get leases(): readonly ReportedLease[] {
    return this.#leases.all;
  }

  // What it holds: see segment-lifecycle.ts -------------------------------------------------------------------------

  /** Replaces the pages by what `fill` writes. */
  replace(fill: Fill): Promise<void> {
    return this.#lifecycle.replace(fill);
  }
  /** Of a tail: has its log start anew where `decide` says, or go on where it reaches that. */
  replaceRedo(decide: () => Promise<ControlChange>): Promise<void> {
    return this.#lifecycle.replaceRedo(decide);
  }
  /** Of a tail: gives it the pages that `fill` writes, in a full segment's place. */
  addPages(fill: FillBeside): Promise<void> {
    return this.#lifecycle.addPages(fill);
  }
  /** Of a tail that stands in: lets go of its pages. */
  dropPages(): Promise<void> {
    return this.#lifecycle.dropPages();
  }
  /** Drops redo that is not needed here and that nobody holds. */
  dropRedo(): Promise<void> {
    return this.#lifecycle.dropRedo();
  }
  /** Peers have shown that what was lost here was never durable. */
  clearRecovery(): Promise<void> {
    const control = this.#control;
    return control.exclusive(() => (control.value.recoverToLsn > 0n ? control.save({ recoverToLsn: 0n }) : Promise.resolve()));
  }
  /** Holds redo from the checkpoint on for `name`, who will come for it; until what this gives is called. */
  holdRedo(name: string): () => void {
    return this.#lifecycle.holdRedo(name);
  }
  /** Who holds redo here, from the lowest floor on. */
  get heldRedo(): readonly HeldRedo[] {
    return this.#lifecycle.heldRedo;
  }
  /** Takes a look at the disk. */
  noteRoom(room: DiskRoom): void {
    this.#lifecycle.noteRoom(room);
    if (this.unwritable !== undefined) this.storage?.takeBack();
  }
  /** The most that was measured since the daemon started. */
  get bytesUsedMost(): number {
    return this.#lifecycle.bytesUsedMost;
  }
  /** Refreshes the size on disk. */
  measure(): Promise<void> {
    return this.#lifecycle.measure();
  }

  /** Other keys were given: the one that wraps now wraps this segment's data key, durably when it resolves. Gives whether it did not before. */
  rewrap(): Promise<boolean> {
    return this.#key.rewrap();
  }

  // Its peers -------------------------------------------------------------------------------------------------------

  /** Asks every peer for its state; resolves when all have answered or failed, or soon. */
  askPeers(): Promise<void> {
    return this.#options.askPeers(this);
  }
  /** What the peers last answered. */
  get highestOfPeers(): PeersHighest {
    return this.#options.highestOfPeers(this);
  }

  // Its end ---------------------------------------------------------------------------------------------------------

  /** Ends every writer's and every reader's stream. */
  closeSessions(): void {
    this.#sessions.closeAll();
    this.followers.closeAll();
  }

  async close(): Promise<void> {
    this.closeSessions();
    await this.#control.idle();
    await this.#lifecycle.close();
  }
}
