import { buildRecord, RECORD_HEADER, recordCrc, RMGR, WAL_PAGE_BYTES, WalPageWriter, type Lsn } from '@kube-aurora/pg-format';
import type { PageId } from '@kube-aurora/redo';
import { AuroraRpcError } from '@kube-aurora/rpc';
import type { BatchRecord } from '@kube-aurora/volume';
import type { Permit } from '../../compute-node/src/lease/writer-lease.ts';
import type { Database, StartPoint, VolumeAccess } from '../../compute-node/src/session/database.ts';
import type { DrainOutcome } from '../../compute-node/src/switchover/drain-outcome.ts';
import type { WalSource } from '../../compute-node/src/write-path/wal-reader.ts';
import { deltaRecord, imageRecord, truncateRecord } from '../../storage-daemon/src/testing/synthetic-records.ts';
import type { VolumeHistory } from './history.ts';
import type { Machine } from './machine.ts';
import { RELATION } from './synthetic-volume.ts';
import type { Owner } from './world.ts';

/**
 * In PostgreSQL's place: a load that writes WAL, says so now and then, asks for flushes and reads pages. What it is
 * told it tells the history.
 */

const NOOP = 0x20;
const WAL_PAGE = BigInt(WAL_PAGE_BYTES);
/** Between two questions of clients. */
const CLIENT_MS: readonly [number, number] = [5, 80];
/** What it takes to end all of PostgreSQL's processes. */
const ENDS_MS: readonly [number, number] = [1, 400];

export interface SimulatedDatabaseOptions {
  readonly writer: string;
  readonly epoch: bigint;
  readonly machine: Machine;
  readonly history: VolumeHistory;
  readonly isLoaded: () => boolean;
  readonly vdl: () => bigint;
  /** Do the clocks of these two writers, and storage's, run as leases need it? */
  readonly bearsLeases: (earlier: string, later: string) => boolean;
  /** Told of each record that the load makes, before anybody is sent it. */
  readonly onRecord: (record: BatchRecord) => void;
}

export class SimulatedDatabase implements Database {
  readonly #options: SimulatedDatabaseOptions;
  #wal: SimulatedWal | undefined;
  #volume: VolumeAccess | undefined;
  #isOver = false;
  /** It writes and reads. */
  isStarted = false;
  /** Replies may leave until then, by the machine's clock. */
  #permittedUntilMs = 0;
  /** Flushes that have returned before their quorum, with who waits for it. */
  #promised: { readonly lsn: bigint; readonly settle: () => void }[] = [];
  #promisedLsn = 0n;
  readonly pid = undefined;

  constructor(options: SimulatedDatabaseOptions) {
    this.#options = options;
  }

  prepare(start: StartPoint): Promise<WalSource> {
    this.#wal = new SimulatedWal(start, this.#options.onRecord);
    return Promise.resolve(this.#wal);
  }

  start({ first }: StartPoint, volume: VolumeAccess): Promise<void> {
    const { history, epoch, writer } = this.#options;
    history.acknowledged(epoch, writer, first.endLsn);
    this.#volume = volume;
    // Of some the quorum is far: sessions wait for it by themselves.
    if (this.#options.machine.world.aside.integer(0, 2) === 0) this.#waitInSessions(volume);
    if (this.#wal !== undefined) void this.#work(this.#wal, volume);
    this.isStarted = true;
    this.#serve();
    return Promise.resolve();
  }

  #waitInSessions({ flushes }: VolumeAccess): void {
    flushes?.watch(({ durableLsn, promisedLsn }) => {
      if (promisedLsn < this.#promisedLsn) throw new Error('flushes are promised for less than before');
      this.#promisedLsn = promisedLsn;
      for (const { lsn, settle } of this.#promised) if (lsn <= durableLsn) settle();
      this.#promised = this.#promised.filter(({ lsn }) => lsn > durableLsn);
    });
    flushes?.returnFlushes('sent');
  }

  permit({ untilMs }: Permit): void {
    this.#permittedUntilMs = untilMs;
  }

  /**
   * Clients that read what is in PostgreSQL's cache, for as long as any of its processes lives: it goes on when the agent
   * is stopped beside it.
   */
  #serve(): void {
    const { machine } = this.#options;
    const { world } = machine;
    const backends: Owner = {
      get life() {
        return machine.life;
      },
      pausedUntil: 0,
    };
    const next = (): void => {
      if (this.#isOver) return;
      this.#reply();
      world.after(world.spread(...CLIENT_MS, world.aside), next, backends);
    };
    world.after(world.spread(...CLIENT_MS, world.aside), next, backends);
  }

  /** To a client that waits for one; while none may leave it goes on waiting. */
  #reply(): void {
    const { machine, history, epoch, writer, bearsLeases } = this.#options;
    if (!this.#isOver && machine.clock.now() < this.#permittedUntilMs) history.answered(epoch, writer, bearsLeases);
  }

  /** It has no transactions that could be cut off. */
  drain(): Promise<DrainOutcome> {
    return Promise.resolve({ waitedMs: 0 });
  }

  shutDown(): Promise<void> {
    return this.kill();
  }

  /** Where leases are tried its processes take a while to end, and answer until then. */
  async kill(): Promise<void> {
    const { world, clock } = this.#options.machine;
    if (world.mix.mixture === 'leases' && this.isStarted && !this.#isOver) await clock.sleep(world.spread(...ENDS_MS, world.aside));
    this.#isOver = true;
  }

  answers(): Promise<boolean> {
    return Promise.resolve(this.isStarted && !this.#isOver);
  }

  async #work(wal: SimulatedWal, volume: VolumeAccess): Promise<void> {
    const { machine, isLoaded } = this.#options;
    const { world, clock } = machine;
    const { recordsMax, flushChance, readChance, pauseMs } = world.mix.load;
    while (!this.#isOver) {
      if (isLoaded()) this.#write(wal, volume, world.random.integer(1, recordsMax));
      if (world.chance(flushChance) || !isLoaded()) void this.#flush(volume, wal.writtenLsn);
      if (world.chance(readChance)) void this.#read(volume);
      await clock.sleep(world.spread(...pauseMs));
    }
  }

  #write(wal: SimulatedWal, volume: VolumeAccess, count: number): void {
    for (let i = 0; i < count; i++) {
      wal.write(this.#nextRecord(wal));
      // Written, and whether it is ever flushed is open.
      if (this.#options.machine.world.chance(0.3)) volume.wrote(wal.writtenLsn);
    }
  }

  /** Many records at once, and their flush. */
  burst(count: number): void {
    if (this.#wal === undefined || this.#volume === undefined || this.#isOver) return;
    this.#write(this.#wal, this.#volume, count);
    void this.#flush(this.#volume, this.#wal.writtenLsn);
  }

  #nextRecord(wal: SimulatedWal): Buffer {
    const { machine, history, epoch } = this.#options;
    const { world } = machine;
    const { random } = world;
    const { blocks, imageShare, truncateShare } = world.mix.load;
    const block = random.integer(0, blocks - 1);
    if (world.chance(truncateShare)) return truncateRecord(RELATION, random.integer(0, blocks - 1));
    if (world.chance(0.06))
      return buildRecord({ rmid: RMGR.XLOG, info: NOOP, xid: 0, prev: 0n as Lsn, mainData: Buffer.alloc(random.integer(0, 3000), 7) });
    const exists = history.page(epoch, { ...RELATION, block }, wal.endLsn + 1n) !== undefined;
    if (!exists || world.chance(imageShare)) return imageRecord(RELATION, block, random.integer(1, 255));
    return deltaRecord(RELATION, block, random.integer(100, 8000), Buffer.alloc(random.integer(1, 100), random.integer(1, 255)));
  }

  async #flush(volume: VolumeAccess, writtenLsn: bigint): Promise<void> {
    const outcome = await volume.flush(writtenLsn);
    if (outcome.kind === 'durable') this.#acknowledge(outcome.durableLsn);
    if (outcome.kind !== 'sent') return;
    const { sentLsn } = outcome;
    if (sentLsn > this.#promisedLsn) throw new Error('a flush has returned that nobody holds its sessions back for');
    if (sentLsn <= this.#options.vdl()) this.#acknowledge(sentLsn);
    else this.#promised.push({ lsn: sentLsn, settle: () => this.#acknowledge(sentLsn) });
  }

  /** To the client that has waited for it. */
  #acknowledge(lsn: bigint): void {
    const { history, epoch, writer } = this.#options;
    history.acknowledged(epoch, writer, lsn);
    this.#reply();
  }

  async #read(volume: VolumeAccess): Promise<void> {
    const { machine, history, epoch, writer, vdl } = this.#options;
    const page: PageId = { ...RELATION, block: machine.world.random.integer(0, machine.world.mix.load.blocks - 1) };
    const lsn = vdl();
    const request = { ...page, count: 1, lsn, holesSince: lsn, room: 0 };
    try {
      // Read ahead and asked for again: whichever of the two this is given, it is of the LSN or later.
      if (machine.world.chance(0.5)) volume.expectPages({ ...request, count: Math.min(4, machine.world.mix.load.blocks - page.block) });
      const bytes = Buffer.concat(await volume.readPages(request));
      if (!this.#isOver) history.read(writer, epoch, page, bytes, lsn, vdl());
    } catch (error) {
      if (!(error instanceof AuroraRpcError)) throw error;
    }
  }
}

/** What PostgreSQL would do with WAL: records into pages, pages into a file, whole pages at a time. */
export class SimulatedWal implements WalSource {
  readonly #wal: WalPageWriter;
  readonly #onRecord: (record: BatchRecord) => void;
  #previous: Lsn;

  constructor({ image, first }: StartPoint, onRecord: (record: BatchRecord) => void = () => undefined) {
    const firstPage = first.walPages.at(-1)?.bytes;
    const { control } = image.state;
    this.#wal = new WalPageWriter({
      systemIdentifier: control.systemIdentifier,
      timeline: control.checkPointCopy.timeline,
      startLsn: first.endLsn,
      ...(firstPage === undefined || first.endLsn % WAL_PAGE === 0n ? {} : { firstPage }),
    });
    this.#previous = first.checkpointLsn;
    this.#onRecord = onRecord;
  }

  get endLsn(): bigint {
    return this.#wal.position;
  }

  /** End of the WAL page that the last record ends in: so much is in the file. */
  get writtenLsn(): bigint {
    const { position } = this.#wal;
    return position % WAL_PAGE === 0n ? position : position - (position % WAL_PAGE) + WAL_PAGE;
  }

  /** Gives the record its place: its link to the one before, and its CRC. */
  write(raw: Buffer): BatchRecord {
    raw.writeBigUInt64LE(this.#previous, RECORD_HEADER.prev.at);
    raw.writeUInt32LE(recordCrc(raw), RECORD_HEADER.crc.at);
    const record = { ...this.#wal.append(raw), raw };
    this.#previous = record.lsn;
    this.#onRecord(record);
    return record;
  }

  read(from: Lsn, to: bigint, bytesMax: number): Buffer {
    const inPage = Number(from % WAL_PAGE);
    const page = this.#wal.pages().find(({ lsn }) => lsn === from - BigInt(inPage));
    if (page === undefined) throw new RangeError(`WAL at ${from} was not written`);
    const length = Math.min(Number(to - from), bytesMax, WAL_PAGE_BYTES - inPage);
    return Buffer.from(page.bytes.subarray(inPage, inPage + length));
  }
}
