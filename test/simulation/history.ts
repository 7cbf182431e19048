import { decodeRecord, formatLsn, type Lsn, type WalRecord } from '@kube-aurora/pg-format';
import {
  applyEffects,
  decodeVolumeState,
  encodeVolumeState,
  redo,
  touchedPages,
  type Effect,
  type PageId,
  type VolumeState,
} from '@kube-aurora/redo';
import type { BatchRecord } from '@kube-aurora/volume';

/**
 * What the volume has promised to whom, kept by someone who sees everything and forgets nothing; and what every page is
 * at every LSN of every epoch. Whatever the volume says is held against it.
 *
 *   - no acknowledged record is ever lost, and none that was shown: an epoch starts at or past everything that the epochs before
 *     it acknowledged, and an older writer acknowledges nothing past the start of a later one;
 *   - one writer an epoch;
 *   - a reader is given redo of the volume that is durable, and none that a later epoch annuls;
 *   - no writer answers a client any more once a writer of a later epoch has answered one;
 *   - a page that is read is the page as of an LSN that may be read, and the state a writer starts from is the one at its start.
 */

const SHOWN_ENDS = 200;

/** The volume broke a promise. */
export class BrokenPromise extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'BrokenPromise';
  }
}

/** A page from a record on. Made when somebody asks for it: most versions nobody ever does. */
interface PageVersion {
  /** Start of the record that made it so. */
  readonly lsn: bigint;
  page: Buffer | undefined | (() => Buffer | undefined);
}

/** The records of one epoch, and the pages they made. */
class Branch {
  readonly epoch: bigint;
  readonly writer: string;
  /** Its records follow this; what its parent has past it is annulled. */
  readonly startLsn: bigint;
  readonly parent: Branch | undefined;
  readonly pages = new Map<string, PageVersion[]>();
  /** Up to here its writer was told that redo is durable. */
  acknowledgedLsn = 0n;
  /** Its writer has told a client something. */
  hasAnswered = false;
  /**
   * Up to here four segments had it, as its writer or a later opener could know: nobody may apply more of it, or annul
   * less.
   */
  provenLsn: bigint;
  /** The volume's state where it starts, encoded. */
  readonly #base: Buffer;
  readonly #records: WalRecord[] = [];
  /** Its records as they are in WAL, by where they start. */
  readonly #raw = new Map<bigint, Buffer>();
  /** The state with all of its records. */
  readonly #state: VolumeState;

  constructor(epoch: bigint, writer: string, startLsn: bigint, parent: Branch | undefined, base: Buffer) {
    this.epoch = epoch;
    this.writer = writer;
    this.startLsn = startLsn;
    this.provenLsn = startLsn;
    this.parent = parent;
    this.#base = base;
    this.#state = decodeVolumeState(base);
  }

  /** Takes its next record; gives what it does beside changing pages. */
  push(record: WalRecord, raw: Buffer): readonly Effect[] {
    this.#records.push(record);
    this.#raw.set(record.lsn, Buffer.from(raw));
    return applyEffects(this.#state, record);
  }

  /** Is this its record there? */
  has(lsn: bigint, raw: Buffer): boolean {
    return this.#raw.get(lsn)?.equals(raw) === true;
  }

  /** Does it have everything that `other` has up to `lsn`? */
  covers(other: Branch, lsn: bigint): boolean {
    if (this === other) return true;
    return this.parent !== undefined && lsn <= this.startLsn && this.parent.covers(other, lsn);
  }

  /** The page with every record that starts below `lsn`. */
  page(key: string, lsn: bigint): Buffer | undefined {
    const own = this.pages.get(key)?.findLast((version) => version.lsn < lsn);
    if (own !== undefined) return made(own);
    return this.parent?.page(key, lsn < this.startLsn ? lsn : this.startLsn);
  }

  /** Undefined where no record ends. */
  state(lsn: bigint): Buffer | undefined {
    if (lsn === this.startLsn) return this.#base;
    if (lsn < this.startLsn) return this.parent?.state(lsn);
    const state = decodeVolumeState(this.#base);
    for (const record of this.#records) {
      applyEffects(state, record);
      if (record.endLsn === lsn) return encodeVolumeState(state);
    }
    return undefined;
  }
}

export class VolumeHistory {
  readonly #branches = new Map<bigint, Branch>();
  #hasBegun = false;
  readonly #shownEnds: bigint[] = [];
  /** By epoch, how far readers were given its redo. */
  readonly #shown = new Map<bigint, { readonly lsn: bigint; readonly who: string }>();
  /** Every page that anything was ever said of. */
  readonly #known = new Map<string, PageId>();
  /** Called with what broke where nobody would hear an error. */
  onBroken: (broken: BrokenPromise) => void = (broken) => {
    throw broken;
  };
  /** Called whenever a writer was told that something is durable. */
  onAcknowledged: () => void = () => undefined;
  acknowledgements = 0;
  answers = 0;
  records = 0;
  recordsShown = 0;
  pagesCompared = 0;

  /** The volume's first content, at `lsn`. */
  imported(epoch: bigint, lsn: bigint, state: Buffer, pages: readonly { readonly page: PageId; readonly bytes: Buffer }[]): void {
    const base = new Branch(epoch, 'initdb', lsn, undefined, state);
    for (const { page, bytes } of pages) base.pages.set(this.#keyOf(page), [{ lsn: lsn - 1n, page: bytes }]);
    this.#branches.set(epoch, base);
  }

  get isImported(): boolean {
    return this.#branches.size > 0;
  }

  /** A writer has had the volume: an import that was attempted, and came to nothing, is no volume yet. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** `writer` has the volume, from `startLsn` on, which is the end of a batch of `previousEpoch`. */
  began(epoch: bigint, writer: string, startLsn: bigint, previousEpoch: bigint, state: VolumeState): void {
    const parent = this.#branches.get(previousEpoch);
    if (parent === undefined) throw new BrokenPromise(`epoch ${epoch} follows epoch ${previousEpoch}, which nobody had`);
    const known = this.#branches.get(epoch);
    if (known !== undefined) throw new BrokenPromise(`epoch ${epoch} is ${known.writer}'s, and ${writer} was given it too`);
    const stateThere = parent.state(startLsn);
    if (stateThere === undefined)
      throw new BrokenPromise(`epoch ${epoch} starts at ${at(startLsn)}, where epoch ${previousEpoch} has no record's end`);
    if (!stateThere.equals(encodeVolumeState(state)))
      throw new BrokenPromise(`epoch ${epoch} is given a state that is not the one at its start ${at(startLsn)}`);
    for (const branch of this.#branches.values()) {
      if (branch.epoch < epoch && branch.acknowledgedLsn > startLsn) {
        throw new BrokenPromise(
          `epoch ${epoch} of ${writer} starts at ${at(startLsn)}; epoch ${branch.epoch} of ${branch.writer} had acknowledged up to ${at(branch.acknowledgedLsn)}`,
        );
      }
    }
    // Four held it when the epoch was opened.
    this.proven(previousEpoch, startLsn);
    this.#hasBegun = true;
    const branch = new Branch(epoch, writer, startLsn, parent, stateThere);
    this.#branches.set(epoch, branch);
    for (const [shownEpoch, { lsn, who }] of this.#shown) this.#refuseAnnulling(branch, this.#branchOf(shownEpoch), lsn, who);
  }

  /** A reader was given a record: whose it is. It must be durable, and so be the volume's for good. */
  shown(who: string, lsn: bigint, endLsn: bigint, raw: Buffer): bigint {
    const branch = [...this.#branches.values()].find((one) => one.provenLsn >= endLsn && one.has(lsn, raw));
    if (branch === undefined) throw new BrokenPromise(`${who} is given a record from ${at(lsn)} to ${at(endLsn)} that is not durable`);
    for (const later of this.#branches.values()) if (later.epoch > branch.epoch) this.#refuseAnnulling(later, branch, endLsn, who);
    if (endLsn > (this.#shown.get(branch.epoch)?.lsn ?? 0n)) this.#shown.set(branch.epoch, { lsn: endLsn, who });
    this.recordsShown++;
    this.#shownEnds.push(endLsn);
    if (this.#shownEnds.length > SHOWN_ENDS) this.#shownEnds.shift();
    return branch.epoch;
  }

  /** Where records ended that readers were given lately: what may be read from. */
  get shownEnds(): readonly bigint[] {
    return this.#shownEnds;
  }

  #refuseAnnulling(later: Branch, shown: Branch, lsn: bigint, who: string): void {
    if (later.covers(shown, lsn)) return;
    throw new BrokenPromise(
      `epoch ${later.epoch} of ${later.writer} starts at ${at(later.startLsn)}; ${who} had been given redo of epoch ${shown.epoch} up to ${at(lsn)}`,
    );
  }

  /** A record that the writer of `epoch` made; nothing is promised of it yet. */
  wrote(epoch: bigint, { lsn, endLsn, raw }: BatchRecord): void {
    const branch = this.#branchOf(epoch);
    const record = decodeRecord(raw, lsn, endLsn);
    for (const touched of touchedPages(record, true)) {
      const key = this.#keyOf(touched);
      this.#set(branch, key, lsn, () => redo(copyOf(branch.page(key, lsn)), record, touched));
    }
    for (const effect of branch.push(record, raw)) {
      if (effect.kind !== 'truncate') continue;
      const { spcOid, dbOid, relNumber, fork } = effect.fork;
      for (const [key, page] of this.#known) {
        const isCut = page.spcOid === spcOid && page.dbOid === dbOid && page.relNumber === relNumber && page.fork === fork;
        if (isCut && page.block >= effect.blocks) this.#set(branch, key, lsn, undefined);
      }
    }
    this.records++;
  }

  #set(branch: Branch, key: string, lsn: bigint, page: PageVersion['page']): void {
    const versions = branch.pages.get(key);
    if (versions === undefined) branch.pages.set(key, [{ lsn, page }]);
    else versions.push({ lsn, page });
  }

  /** Storage told the writer of `epoch` that everything up to `lsn` is durable. */
  acknowledged(epoch: bigint, writer: string, lsn: bigint): void {
    const branch = this.#branchOf(epoch);
    if (branch.writer !== writer) throw new BrokenPromise(`${writer} was acknowledged redo in epoch ${epoch}, which is ${branch.writer}'s`);
    for (const later of this.#branches.values()) {
      if (later.epoch > epoch && later.startLsn < lsn) {
        throw new BrokenPromise(
          `epoch ${epoch} of ${writer} was acknowledged up to ${at(lsn)}, past the start ${at(later.startLsn)} of epoch ${later.epoch}`,
        );
      }
    }
    if (lsn > branch.acknowledgedLsn) branch.acknowledgedLsn = lsn;
    this.proven(epoch, lsn);
    this.acknowledgements++;
    this.onAcknowledged();
  }

  /**
   * A client of `writer` was told something: that a commit is durable, or what a row is. `bears`: do the clocks of the
   * two writers, and those of storage, run as leases need it?
   */
  answered(epoch: bigint, writer: string, bears: (earlier: string, later: string) => boolean): void {
    const branch = this.#branchOf(epoch);
    branch.hasAnswered = true;
    this.answers++;
    for (const later of this.#branches.values()) {
      if (later.epoch > epoch && later.hasAnswered && bears(writer, later.writer))
        this.break(`${writer} answers a client in epoch ${epoch}, after ${later.writer} has answered one in epoch ${later.epoch}`);
    }
  }

  break(message: string): void {
    this.onBroken(new BrokenPromise(message));
  }

  /** Four segments had the redo of `epoch` up to `lsn`, and somebody could know it. */
  proven(epoch: bigint, lsn: bigint): void {
    const branch = this.#branches.get(epoch);
    if (branch !== undefined && lsn > branch.provenLsn) branch.provenLsn = lsn;
  }

  /** Up to where redo of `epoch` is known to be on a quorum; undefined for an epoch that nobody began. */
  provenLsn(epoch: bigint): bigint | undefined {
    return this.#branches.get(epoch)?.provenLsn;
  }

  /** Where an epoch's redo begins, and after which one's. */
  startOf(epoch: bigint): { readonly startLsn: bigint; readonly previousEpoch: bigint | undefined } | undefined {
    const branch = this.#branches.get(epoch);
    return branch === undefined ? undefined : { startLsn: branch.startLsn, previousEpoch: branch.parent?.epoch };
  }

  /** The newest epoch that had anything acknowledged, and up to where: what anyone may read. */
  get newest(): { readonly epoch: bigint; readonly lsn: bigint } | undefined {
    const acknowledged = [...this.#branches.values()].filter((branch) => branch.acknowledgedLsn > 0n);
    const branch = acknowledged.reduce<Branch | undefined>(
      (best, one) => (best === undefined || one.epoch > best.epoch ? one : best),
      undefined,
    );
    return branch === undefined ? undefined : { epoch: branch.epoch, lsn: branch.acknowledgedLsn };
  }

  /** The page as the writer of `epoch` must see it at `lsn`; undefined: it does not exist. */
  page(epoch: bigint, page: PageId, lsn: bigint): Buffer | undefined {
    return this.#branchOf(epoch).page(this.#keyOf(page), lsn);
  }

  /** Did any writer drop the page at or past the LSN? */
  isDroppedPast(page: PageId, lsn: bigint): boolean {
    const key = this.#keyOf(page);
    return [...this.#branches.values()].some(
      (branch) => branch.pages.get(key)?.some((one) => one.lsn >= lsn && one.page === undefined) === true,
    );
  }

  /** Someone was given `bytes` (zeros: it does not exist) for a page as of an LSN from `fromLsn` to `toLsn`. */
  read(who: string, epoch: bigint, page: PageId, bytes: Buffer, fromLsn: bigint, toLsn: bigint): void {
    this.pagesCompared++;
    const branch = this.#branchOf(epoch);
    const key = this.#keyOf(page);
    const candidates = [branch.page(key, fromLsn), ...this.#between(branch, key, fromLsn, toLsn)];
    if (candidates.some((candidate) => (candidate ?? ZERO_PAGE).equals(bytes))) return;
    const { relNumber, block } = page;
    throw new BrokenPromise(
      `${who} gives for block ${block} of ${relNumber} in epoch ${epoch} as of ${at(fromLsn)}..${at(toLsn)} a page of LSN ${lsnOf(bytes)}; it should be of ${candidates.map((one) => (one === undefined ? 'none' : lsnOf(one))).join(' or ')}`,
    );
  }

  #between(branch: Branch, key: string, fromLsn: bigint, toLsn: bigint): (Buffer | undefined)[] {
    const own = (branch.pages.get(key) ?? []).filter((version) => version.lsn >= fromLsn && version.lsn < toLsn).map(made);
    if (branch.parent === undefined || fromLsn >= branch.startLsn) return own;
    return [...own, ...this.#between(branch.parent, key, fromLsn, toLsn < branch.startLsn ? toLsn : branch.startLsn)];
  }

  #branchOf(epoch: bigint): Branch {
    const branch = this.#branches.get(epoch);
    if (branch === undefined) throw new RangeError(`nobody began epoch ${epoch}`);
    return branch;
  }

  #keyOf({ spcOid, dbOid, relNumber, fork, block }: PageId): string {
    const key = `${spcOid}/${dbOid}/${relNumber}/${fork}/${block}`;
    if (!this.#known.has(key)) this.#known.set(key, { spcOid, dbOid, relNumber, fork, block });
    return key;
  }
}

const ZERO_PAGE = Buffer.alloc(8192);

function made(version: PageVersion): Buffer | undefined {
  if (typeof version.page === 'function') version.page = version.page();
  return version.page;
}

function copyOf(page: Buffer | undefined): Buffer | undefined {
  return page === undefined ? undefined : Buffer.from(page);
}

function at(lsn: bigint): string {
  return formatLsn(lsn as Lsn);
}

function lsnOf(page: Buffer): string {
  return page.every((byte) => byte === 0) ? 'none' : at((BigInt(page.readUInt32LE(0)) << 32n) | BigInt(page.readUInt32LE(4)));
}
