import type { SegmentRole } from '@kube-aurora/volume';
import { pageKeyOf, type PageId } from '@kube-aurora/redo';
import type { AppendResponse, SegmentState } from '@kube-aurora/rpc';
import { pageStoreKey } from '../../storage-daemon/src/pages/store-key.ts';
import { pagesDirectory } from '../../storage-daemon/src/segment/open-storage.ts';
import type { RedoStorage } from '../../storage-daemon/src/segment/redo-storage.ts';
import type { Segment } from '../../storage-daemon/src/segment/segment.ts';
import { durableControl, durableLogEnd } from './durable-view.ts';
import { BrokenPromise, type VolumeHistory } from './history.ts';
import { annulledFrom, epochAt, isQuorum, lastEpoch } from './rules-apart.ts';
import type { WriterView } from './simulated-writer.ts';
import { segmentDirectory, type StorageMachine } from './storage.ts';
import { isDamaged, opened, storedVersion } from './stored-view.ts';

/**
 * What must hold at every moment, checked where it can be seen: on the disk, in what a segment answers, in what a
 * writer believes. Most broken rules show here at once, long before they cost anybody a commit.
 *
 * A disk that lost something without knowing (it lied, it is an old one, a write went astray) makes its segment say
 * what is not so. Of a segment that is `untrusted` only that is asked which no disk can take away.
 */

/** What a segment must never fall behind. */
interface Held {
  /** It has answered that it promised this. */
  epoch: bigint;
  /** Who was promised it. */
  readonly holders: Map<bigint, string>;
  /** Redo that it had and knew to be durable on a quorum: the end, and whose it is. */
  durable: { readonly lsn: bigint; readonly epoch: bigint | undefined };
  /** By epoch, how far it has acknowledged redo of it. */
  readonly acknowledged: Map<bigint, bigint>;
  /** The same of the disks before, as far as it was durable on a quorum. */
  readonly owed: Map<bigint, bigint>;
  /** Of the stored pages that were looked at last. */
  checkpointLsn: bigint;
  pages: number;
  life: number;
  /** What was looked at last of its log and history: nothing has changed since. */
  seen: readonly unknown[];
}

/** The checkpoint's key in a page store. */
const CHECKPOINT_KEY = Buffer.from('m');
/** And that of the note of what is to be removed. */
const REMOVALS_KEY = Buffer.from('r');

const hex = (lsn: bigint | number): string => lsn.toString(16);

export class Invariants {
  readonly #history: VolumeHistory;
  readonly #blocks: readonly PageId[];
  readonly #roles: readonly SegmentRole[];
  readonly #held = new Map<StorageMachine, Held>();
  /** By machine, the life of its process in which a bit of its redo flipped. */
  readonly #flippedIn = new Map<StorageMachine, number>();
  /** Machines whose disk ever lost anything. */
  readonly #lossy = new Set<StorageMachine>();
  readonly #untrusted = new Set<StorageMachine>();
  /** By machine, where a tail's log began in this life of its process. */
  readonly #openedAt = new Map<StorageMachine, { readonly life: number; readonly startLsn: bigint }>();
  /** By writer and epoch, then by segment: up to where it was told that the segment holds redo. */
  readonly #heard = new Map<string, Map<number, bigint>>();
  checks = 0;
  /** Times that a tail began to stand in. */
  standIns = 0;
  readonly #standing = new Set<StorageMachine>();
  /** Tails that ever did. */
  readonly #stoodIn = new Set<StorageMachine>();

  constructor(history: VolumeHistory, blocks: readonly PageId[], roles: readonly SegmentRole[]) {
    this.#history = history;
    this.#blocks = blocks;
    this.#roles = roles;
  }

  /**
   * Its disk is another one: it must get back what was durable by then, at most up to `level`, and the rest is not asked of
   * it again.
   */
  forget(machine: StorageMachine, level?: bigint): void {
    const owed = this.isTrusted(machine) ? this.#owedBy(machine) : new Map<bigint, bigint>();
    this.#held.delete(machine);
    for (const [epoch, lsn] of owed) this.#of(machine).owed.set(epoch, level !== undefined && level < lsn ? level : lsn);
  }

  /** Its disk loses something: it may say so from now on. */
  noteLoss(machine: StorageMachine): void {
    this.#lossy.add(machine);
  }

  /** Of what it acknowledged, what is durable on a quorum: by epoch, up to where. */
  #owedBy(machine: StorageMachine): Map<bigint, bigint> {
    const { owed, acknowledged } = this.#of(machine);
    const all = new Map(owed);
    for (const [epoch, scl] of acknowledged) {
      const proven = this.#history.provenLsn(epoch) ?? 0n;
      const lsn = scl < proven ? scl : proven;
      if (lsn > (all.get(epoch) ?? 0n)) all.set(epoch, lsn);
    }
    return all;
  }

  /** A bit of its redo flipped: until its process reads all of it again, what it holds is not what is on its disk. */
  noteFlip(machine: StorageMachine): void {
    this.#flippedIn.set(machine, machine.life);
  }

  distrust(machine: StorageMachine): void {
    this.#untrusted.add(machine);
  }

  /** It has all up to `level`. What it had acknowledged past that, and lost without knowing, it does not know to be owed. */
  trust(machine: StorageMachine, level: bigint): void {
    if (this.#untrusted.delete(machine)) this.forget(machine, level);
  }

  isTrusted(machine: StorageMachine): boolean {
    return !this.#untrusted.has(machine);
  }

  // What is answered
  // ---------------------------------------------------------------------------------------------------

  /** The segment is about to answer that it promised `epoch` to `writerId`. */
  promised(machine: StorageMachine, epoch: bigint, writerId: string, state: SegmentState, writers: readonly WriterView[]): void {
    if (!this.isTrusted(machine)) return;
    const held = this.#of(machine);
    if (epoch < held.epoch) throw new BrokenPromise(`${machine.id} promises epoch ${epoch} to ${writerId}, and had promised ${held.epoch}`);
    const holder = held.holders.get(epoch);
    // Who opened the volume with the epoch has it from four others, whoever this segment had promised it.
    const hasWon = writers.some((writer) => writer.id === writerId && writer.session?.epoch === epoch);
    if (holder !== undefined && holder !== writerId && !hasWon)
      throw new BrokenPromise(`${machine.id} promises epoch ${epoch} to ${writerId}, and had promised it to ${holder}`);
    held.epoch = epoch;
    held.holders.set(epoch, writerId);
    const durable = durableControl(machine.disk, segmentDirectory())?.epoch ?? 0n;
    if (durable < epoch) throw new BrokenPromise(`${machine.id} answers that it promised epoch ${epoch}; its disk has ${durable}`);
    if (state.phase !== 'READY') return;
    for (const [of, lsn] of this.#owedBy(machine)) {
      if (state.scl < lsn)
        throw new BrokenPromise(
          `${machine.id} promises epoch ${epoch} with redo up to ${hex(state.scl)}; it had acknowledged ${hex(lsn)} of epoch ${of}, which is durable`,
        );
    }
  }

  /** The segment is about to answer on a writer's stream. */
  acknowledges(machine: StorageMachine, { scl, epoch, result }: AppendResponse): void {
    if (!this.isTrusted(machine) || result !== 'OK') return;
    const held = this.#of(machine);
    if (epoch < held.epoch)
      throw new BrokenPromise(`${machine.id} acknowledges redo in epoch ${epoch}, and has promised epoch ${held.epoch}`);
    const control = durableControl(machine.disk, segmentDirectory());
    if (control === undefined || control.epoch < epoch)
      throw new BrokenPromise(`${machine.id} acknowledges redo in epoch ${epoch}; its disk has ${control?.epoch ?? 'none'}`);
    // Without it what it acknowledges may be redo of an older epoch that the writer's history rules out.
    if (lastEpoch(control.history) !== epoch)
      throw new BrokenPromise(
        `${machine.id} acknowledges redo up to ${hex(scl)} in epoch ${epoch}; its disk has the history up to epoch ${lastEpoch(control.history)}`,
      );
    if (this.#flippedIn.get(machine) === machine.life) return;
    const end = durableLogEnd(machine.disk, segmentDirectory(), control.logGeneration);
    if (typeof end === 'string') throw new BrokenPromise(`${machine.id} acknowledges redo up to ${hex(scl)}; on its disk ${end}`);
    if (end !== undefined && end < scl)
      throw new BrokenPromise(`${machine.id} acknowledges redo up to ${hex(scl)}; its disk has it up to ${hex(end)}`);
    const before = held.acknowledged.get(epoch) ?? 0n;
    if (scl > before) held.acknowledged.set(epoch, scl);
    this.checks++;
  }

  /** Something of a segment has come to a writer of `epoch`. */
  heard(writerId: string, epoch: bigint, index: number, scl: bigint): void {
    const key = `${writerId} ${epoch}`;
    let heard = this.#heard.get(key);
    if (heard === undefined) this.#heard.set(key, (heard = new Map<number, bigint>()));
    if (scl > (heard.get(index) ?? 0n)) heard.set(index, scl);
  }

  heardState(writerId: string, epoch: bigint, index: number, state: SegmentState): void {
    const { phase, history } = state;
    if (phase === 'READY' && state.epoch === epoch && lastEpoch(history) === epoch) this.heard(writerId, epoch, index, state.scl);
  }

  /** What a writer believes to be durable has been acknowledged to it by a quorum, in its own epoch. */
  checkWriter({ id, session }: WriterView): void {
    if (session === undefined) return;
    const { vdl, epoch, startLsn, readFloor, oldestRead } = session;
    this.#history.proven(epoch, vdl);
    if (oldestRead !== undefined && readFloor > oldestRead)
      throw new BrokenPromise(`${id} gives up what is below ${hex(readFloor)}, and reads at ${hex(oldestRead)}`);
    if (vdl <= startLsn) return;
    const heard = this.#heard.get(`${id} ${epoch}`);
    const told = [...(heard ?? [])].filter(([, scl]) => scl >= vdl).map(([index]) => index);
    if (!isQuorum(told, this.#roles))
      throw new BrokenPromise(`${id} takes ${hex(vdl)} of epoch ${epoch} for durable; segments ${told.join(' ')} have told it so`);
  }

  // What is held
  // -------------------------------------------------------------------------------------------------------

  checkSegment(machine: StorageMachine, segment: Segment, writers: readonly WriterView[], machines: readonly StorageMachine[]): void {
    const { control, storage, annulling, scl } = segment;
    const held = this.#of(machine);
    if (this.isTrusted(machine) && control.epoch < held.epoch)
      throw new BrokenPromise(`${machine.id} had promised epoch ${held.epoch} and knows of ${control.epoch}`);
    if (control.epoch < lastEpoch(control.history))
      throw new BrokenPromise(`${machine.id} is of epoch ${control.epoch}, and its history ends with ${lastEpoch(control.history)}`);
    if (segment.damage !== undefined && !this.#lossy.has(machine)) {
      const { fault, message } = segment.state();
      if (fault !== undefined && fault.kind !== 'DISK_FULL' && fault.kind !== 'DISK_ERROR')
        throw new BrokenPromise(`${machine.id} says that it is damaged, and its disk lost nothing: ${message}`);
    }
    if (control.standIn === undefined) this.#standing.delete(machine);
    else if (!this.#standing.has(machine)) {
      this.#standing.add(machine);
      this.#stoodIn.add(machine);
      this.standIns++;
    }
    if (storage === undefined || annulling !== undefined) return;
    const { appliedLsn, vdl, startLsn, tail, checkpointLsn } = storage;
    const seen = [storage, control.history, startLsn, tail, scl, appliedLsn, vdl, checkpointLsn, segment.phase];
    if (seen.every((one, at) => one === held.seen[at])) return;
    held.seen = seen;
    this.checks++;
    this.#checkLine(machine, segment, storage);
    this.#checkApplied(machine, storage);
    if (machine.role === 'TAIL') this.#checkKept(machine, storage, machines);
    if (segment.phase !== 'READY') return;
    if (this.isTrusted(machine)) this.#checkDurable(machine, segment, storage, held);
    if (
      (held.checkpointLsn === checkpointLsn && held.pages === control.pagesGeneration && held.life === machine.life) ||
      !this.isTrusted(machine)
    )
      return;
    held.checkpointLsn = checkpointLsn;
    held.pages = control.pagesGeneration;
    held.life = machine.life;
    this.#checkFloor(machine, segment, checkpointLsn, writers);
    this.#checkStored(machine, segment, storage, writers);
  }

  /** The log is one line of the volume's history, and holds nothing that the segment's own epoch history rules out. */
  #checkLine(machine: StorageMachine, { control }: Segment, { runs }: RedoStorage): void {
    const point = annulledFrom(control.history, runs);
    if (point !== undefined)
      throw new BrokenPromise(
        `${machine.id} keeps redo past ${hex(point)} that its history up to epoch ${lastEpoch(control.history)} annuls`,
      );
    for (const [at, run] of runs.entries()) {
      const before = runs[at - 1];
      const start = this.#history.startOf(run.epoch);
      if (before === undefined || start === undefined) continue;
      if (run.fromLsn !== before.toLsn)
        throw new BrokenPromise(`${machine.id} has a hole in its redo from ${hex(before.toLsn)} to ${hex(run.fromLsn)}`);
      if (start.startLsn !== run.fromLsn || start.previousEpoch !== before.epoch)
        throw new BrokenPromise(
          `${machine.id} has redo of epoch ${run.epoch} follow epoch ${before.epoch} at ${hex(run.fromLsn)}; it follows epoch ${start.previousEpoch} at ${hex(start.startLsn)}`,
        );
    }
  }

  /** Nothing is applied that nobody could know to be durable. */
  #checkApplied(machine: StorageMachine, { appliedLsn: applied, runs }: RedoStorage): void {
    const epoch = epochAt(runs, applied);
    const proven = epoch === undefined ? undefined : this.#history.provenLsn(epoch);
    if (proven !== undefined && applied > proven)
      throw new BrokenPromise(`${machine.id} has applied epoch ${epoch} up to ${hex(applied)}; it is durable up to ${hex(proven)}`);
  }

  /**
   * A tail's redo goes only once in every zone stored pages have it, of the full segment or of the tail that stands in for it; and nothing but
   * its log, or its control file, says how far it is. What a disk lost of it, which shows when it is opened, nobody let go of.
   */
  #checkKept(machine: StorageMachine, { startLsn, durable }: RedoStorage, machines: readonly StorageMachine[]): void {
    // A disk that is not what it should be may show anything.
    const own = this.isTrusted(machine) ? durableControl(machine.disk, segmentDirectory()) : undefined;
    if (own?.ready === true && durable.lsn === startLsn && own.logStart.lsn !== startLsn)
      throw new BrokenPromise(`${machine.id} holds no batch, and its disk does not say that it is at ${hex(startLsn)}`);
    if (this.#openedAt.get(machine)?.life !== machine.life) this.#openedAt.set(machine, { life: machine.life, startLsn });
    if (this.#lossy.has(machine) && startLsn === this.#openedAt.get(machine)?.startLsn) return;
    for (const full of machines.filter(({ role }) => role === 'FULL')) {
      const tail = machines.find(({ role, zone }) => role === 'TAIL' && zone === full.zone);
      // A disk that lost something may be behind what it had said: then others have it.
      if (tail === undefined || this.#lossy.has(full) || (this.#stoodIn.has(tail) && this.#lossy.has(tail))) continue;
      const lsn = highest(storedTo(full), this.#lossy.has(tail) ? undefined : storedTo(tail));
      if (lsn !== undefined && startLsn > lsn)
        throw new BrokenPromise(
          `${machine.id} has dropped redo up to ${hex(startLsn)}; the pages of ${full.id}, or of ${tail.id} in their place, have it up to ${hex(lsn)}`,
        );
    }
  }

  /** What it had and knew to be durable it has still, unless it says that it lost it. */
  #checkDurable(machine: StorageMachine, { scl, control }: Segment, { vdl, runs }: RedoStorage, held: Held): void {
    const { lsn, epoch } = held.durable;
    if (scl < lsn && (control.recoverToLsn < lsn || !this.#lossy.has(machine)))
      throw new BrokenPromise(`${machine.id} had durable redo up to ${hex(lsn)} and has it up to ${hex(scl)}`);
    const there = scl < lsn ? undefined : epochAt(runs, lsn);
    if (there !== undefined && epoch !== undefined && there !== epoch)
      throw new BrokenPromise(
        `${machine.id} had redo of epoch ${epoch} at ${hex(lsn)}, which was durable, and has redo of epoch ${there} there`,
      );
    for (const owed of held.owed.values())
      if (scl < owed && control.recoverToLsn < owed)
        throw new BrokenPromise(
          `${machine.id} has redo up to ${hex(scl)} and takes that for all; before its disk was replaced it had acknowledged ${hex(owed)}, which is durable`,
        );
    const durable = vdl < scl ? vdl : scl;
    if (durable > lsn) held.durable = { lsn: durable, epoch: epochAt(runs, durable) };
  }

  /** Pages as somebody may still read them are not replaced by newer ones. */
  #checkFloor(machine: StorageMachine, { control }: Segment, lsn: bigint, writers: readonly WriterView[]): void {
    const epoch = lastEpoch(control.history);
    for (const { id, session } of writers) {
      if (session?.epoch === epoch && lsn > session.startLsn && lsn > session.readFloor)
        throw new BrokenPromise(`${machine.id} has stored pages as of ${hex(lsn)}; ${id} may read from ${hex(session.readFloor)} on`);
    }
  }

  /** A checkpoint's pages are the volume's pages there, and none is missing. */
  #checkStored(machine: StorageMachine, segment: Segment, { runs, checkpointLsn: lsn }: RedoStorage, writers: readonly WriterView[]): void {
    const directory = pagesDirectory(segmentDirectory(), segment.control.pagesGeneration);
    const store = machine.disk.storeIn(directory);
    const slots = machine.disk.fileView(`${directory}/pages.slots`);
    const checkpoint = store === undefined ? undefined : opened(store, CHECKPOINT_KEY);
    if (store === undefined || slots === undefined || checkpoint === undefined) return;
    const epoch = checkpoint.readBigUInt64BE(8);
    if (this.#history.startOf(epoch) === undefined || checkpoint.readBigUInt64BE(0) !== lsn) return;
    for (const page of this.#blocks) {
      // What was dropped past the checkpoint may be gone ahead of the next one.
      if (this.#history.isDroppedPast(page, lsn)) continue;
      const there = this.#history.page(epoch, page, lsn);
      const key = pageStoreKey(pageKeyOf(page));
      const stored = storedVersion(store, slots, key);
      const where = `${machine.id}, block ${page.block}, checkpoint ${hex(lsn)} of epoch ${epoch}`;
      if (stored === 'damaged') {
        if (!machine.disk.isTampered) throw new BrokenPromise(`${where}: the stored page is damaged, and nobody damaged it`);
        continue;
      }
      if (stored === undefined) {
        if (there !== undefined) throw new BrokenPromise(`${where}: the page is not stored`);
        continue;
      }
      if (stored.lsn > lsn) this.#checkFloor(machine, segment, stored.lsn, writers);
      const of = stored.lsn > lsn ? epochAt(runs, stored.lsn) : epoch;
      if (of === undefined || this.#history.startOf(of) === undefined) continue;
      const right = this.#history.page(of, page, stored.lsn);
      // What was dropped since is removed later.
      if (right !== undefined && !right.equals(stored.bytes))
        throw new BrokenPromise(`${where}: the stored page is not the one at its LSN ${hex(stored.lsn)}`);
      if (stored.lsn <= lsn && there === undefined && opened(store, REMOVALS_KEY) === undefined && !isDamaged(store, REMOVALS_KEY))
        throw new BrokenPromise(`${where}: the stored page, of LSN ${hex(stored.lsn)}, was dropped, and nobody knows that it is to go`);
      if (stored.lsn <= lsn && there !== undefined && !there.equals(stored.bytes))
        throw new BrokenPromise(`${where}: the stored page, of LSN ${hex(stored.lsn)}, lacks redo below the checkpoint`);
    }
  }

  #of(machine: StorageMachine): Held {
    let held = this.#held.get(machine);
    if (held === undefined) {
      held = {
        epoch: 0n,
        holders: new Map(),
        durable: { lsn: 0n, epoch: 0n },
        acknowledged: new Map(),
        owed: new Map(),
        checkpointLsn: -1n,
        pages: 0,
        life: -1,
        seen: [],
      };
      this.#held.set(machine, held);
    }
    return held;
  }
}

/** Up to where the stored pages that a machine's disk has have all redo; undefined when its disk has no segment. */
function storedTo({ disk }: StorageMachine): bigint | undefined {
  const control = durableControl(disk, segmentDirectory());
  if (control === undefined || !control.ready || (control.role === 'TAIL' && control.standIn === undefined)) return undefined;
  const store = disk.storeIn(pagesDirectory(segmentDirectory(), control.pagesGeneration));
  return (store === undefined ? undefined : opened(store, CHECKPOINT_KEY))?.readBigUInt64BE(0) ?? 0n;
}

function highest(one: bigint | undefined, other: bigint | undefined): bigint | undefined {
  if (one === undefined || other === undefined) return one ?? other;
  return one > other ? one : other;
}
