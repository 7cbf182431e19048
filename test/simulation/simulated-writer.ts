import {
  buildRecord,
  RECORD_HEADER,
  recordCrc,
  RMGR,
  WAL_PAGE_BYTES,
  WalPageWriter,
  type Lsn,
  type StreamRecord,
} from '@kube-aurora/pg-format';
import { decodeVolumeState, encodePageKey, encodeVolumeState, type PageId, type VolumeState } from '@kube-aurora/redo';
import { AuroraRpcError, type PageImage } from '@kube-aurora/rpc';
import { ImportFailedError, importBase } from '../../compute-node/src/bootstrap/import-base.ts';
import { fetchComputeImage } from '../../compute-node/src/open/compute-image.ts';
import { makeFirstBatch, type FirstBatch } from '../../compute-node/src/open/first-batch.ts';
import { openVolume, type OpenedVolume } from '../../compute-node/src/open/open-volume.ts';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import { PageReader } from '../../compute-node/src/read-path/page-reader.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { WritePath, type WalSource } from '../../compute-node/src/write-path/write-path.ts';
import {
  deltaRecord,
  filledPage,
  imageRecord,
  syntheticState,
  truncateRecord,
} from '../../storage-daemon/src/testing/synthetic-records.ts';
import type { VolumeHistory } from './history.ts';
import type { Machine } from './machine.ts';
import { SEGMENT } from './storage.ts';

/**
 * A compute on its machine: open, bootstrap, write path and page reads are the agent's own; in PostgreSQL's place stands a load
 * that writes WAL, asks for flushes and reads pages. What it is told it tells the history.
 */

const CHECKPOINT = 0x150_0028n;
const RELATION = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const BLOCKS = 10;
const RING_BYTES_MAX = 96 * 1024;
const NOOP = 0x20;
const PAUSE_MS: readonly [number, number] = [2, 150];
const WAL_PAGE = BigInt(WAL_PAGE_BYTES);

export class SimulatedWriter {
  readonly id: string;
  readonly #machine: Machine;
  readonly #segments: readonly SegmentEndpoint[];
  readonly #history: VolumeHistory;
  readonly #isLoaded: () => boolean;
  readonly #stop = new AbortController();
  /** It writes and reads; undefined while it opens. */
  session: WriterSession | undefined;
  isOver = false;

  constructor(id: string, machine: Machine, segments: readonly SegmentEndpoint[], history: VolumeHistory, isLoaded: () => boolean) {
    this.id = id;
    this.#machine = machine;
    this.#segments = segments;
    this.#history = history;
    this.#isLoaded = isLoaded;
  }

  /** Resolves when another writer has overtaken it; never when its machine dies. */
  async run(): Promise<void> {
    const { clock, logger, world } = this.#machine;
    const identity = { segment: SEGMENT, writerId: this.id };
    const segments = this.#segments;
    let heldEpoch: bigint | undefined;
    for (;;) {
      const opened = await openVolume({
        segments,
        identity,
        heldEpoch,
        volumeExists: this.#history.isImported,
        clock,
        logger,
        signal: this.#stop.signal,
        onWaiting: () => undefined,
      });
      if (opened.kind === 'stopped' || opened.kind === 'overtaken') break;
      heldEpoch = opened.epoch;
      if (opened.kind === 'bootstrap') {
        await this.#bootstrap(opened.epoch);
        continue;
      }
      world.note(this.id, `opened epoch ${opened.epoch} at ${opened.startLsn.toString(16)}, after epoch ${opened.previousEpoch}`);
      const session = new WriterSession(this.id, this.#machine, segments, this.#history, opened, this.#isLoaded);
      this.session = session;
      const end = await session.run();
      this.session = undefined;
      world.note(this.id, `epoch ${opened.epoch} is over: ${end}`);
      if (end === 'fenced') break;
    }
    this.isOver = true;
  }

  async #bootstrap(epoch: bigint): Promise<void> {
    const blocks = Array.from({ length: BLOCKS / 2 }, (_, block) => ({ page: { ...RELATION, block }, bytes: filledPage(block + 1) }));
    const { encoded, baseLsn } = syntheticState(CHECKPOINT, [{ fork: RELATION, blocks: BLOCKS / 2 }]);
    const pages: PageImage[] = blocks.map(({ page, bytes }) => ({ key: encodePageKey(page), page: bytes }));
    // Known before it is attempted: who finds it done, though this writer never heard of it, must know what it is.
    if (!this.#history.isImported) this.#history.imported(epoch, baseLsn, encoded, blocks);
    try {
      await importBase({
        segments: this.#segments,
        identity: { segment: SEGMENT, writerId: this.id },
        epoch,
        content: { systemIdentifier: 7_000_000_000_000_000_001n, baseLsn, volumeState: encoded, pages },
        clock: this.#machine.clock,
        logger: this.#machine.logger,
      });
    } catch (error) {
      if (!(error instanceof ImportFailedError)) throw error;
    }
  }
}

type SessionEnd = 'fenced' | 'failed';

class WriterSession {
  readonly #id: string;
  readonly #machine: Machine;
  readonly #history: VolumeHistory;
  readonly #segments: readonly SegmentEndpoint[];
  readonly #opened: OpenedVolume;
  readonly #isLoaded: () => boolean;
  readonly #writePath: WritePath;
  readonly #reader: PageReader;
  readonly #ended = Promise.withResolvers<SessionEnd>();
  #isOver = false;
  #load: Load | undefined;

  constructor(
    id: string,
    machine: Machine,
    segments: readonly SegmentEndpoint[],
    history: VolumeHistory,
    opened: OpenedVolume,
    isLoaded: () => boolean,
  ) {
    this.#id = id;
    this.#machine = machine;
    this.#history = history;
    this.#segments = segments;
    this.#opened = opened;
    this.#isLoaded = isLoaded;
    const { clock, logger } = machine;
    const identity = { segment: SEGMENT, writerId: id };
    const onFenced = (): void => this.#end('fenced');
    this.#writePath = new WritePath({
      segments,
      identity,
      epoch: opened.epoch,
      history: opened.history,
      startLsn: opened.startLsn,
      previousEpoch: opened.previousEpoch,
      ringBytesMax: RING_BYTES_MAX,
      placement: SINGLE_GROUP,
      oldestRead: () => this.#reader.oldestRead(),
      onFenced,
      onDamagedWal: (error) => {
        throw error;
      },
      onFlushed: () => undefined,
      clock,
      logger,
    });
    this.#reader = new PageReader({
      segments,
      identity,
      epoch: opened.epoch,
      zone: machine.zone,
      volume: this.#writePath,
      placement: SINGLE_GROUP,
      onFenced,
      onRead: () => undefined,
      onError: () => undefined,
      clock,
      logger,
    });
  }

  /** Everything that was written so far is durable. */
  get isIdle(): boolean {
    return this.#load !== undefined && this.#writePath.vdl === this.#writePath.sentLsn;
  }
  get vdl(): bigint {
    return this.#writePath.vdl;
  }
  get epoch(): bigint {
    return this.#opened.epoch;
  }

  #end(end: SessionEnd): void {
    this.#isOver = true;
    this.#reader.stop();
    this.#writePath.stop();
    this.#ended.resolve(end);
  }

  async run(): Promise<SessionEnd> {
    void this.#run();
    return this.#ended.promise;
  }

  async #run(): Promise<void> {
    const { epoch, startLsn, previousEpoch, upToDate } = this.#opened;
    const { clock, logger } = this.#machine;
    this.#writePath.start();
    let image: { readonly state: VolumeState; readonly slruPages: Map<string, Buffer> };
    try {
      image = await fetchComputeImage({
        segments: upToDate.flatMap((index) => this.#segments[index] ?? []),
        identity: { segment: SEGMENT, writerId: this.#id },
        epoch,
        lsn: startLsn,
        clock,
        logger,
        signal: new AbortController().signal,
      });
    } catch (error) {
      if (!(error instanceof AuroraRpcError)) throw error;
      this.#end(error.code === 'FENCED' ? 'fenced' : 'failed');
      return;
    }
    if (this.#isOver) return;
    const { state, slruPages } = image;
    this.#history.began(epoch, this.#id, startLsn, previousEpoch, state);
    const own = decodeVolumeState(encodeVolumeState(state));
    const first = makeFirstBatch(state, slruPages, clock.wallTime());
    for (const record of first.records) this.#history.wrote(epoch, record, own);
    if ((await this.#writePath.appendFirst(first.records)).kind !== 'durable') return;
    this.#history.acknowledged(epoch, this.#id, first.endLsn);
    const load = new Load(first, state, (record) => this.#history.wrote(epoch, record, own));
    this.#load = load;
    this.#writePath.follow(load, first.checkpointLsn, state.control.systemIdentifier);
    await this.#work(load);
  }

  async #work(load: Load): Promise<void> {
    const { world, clock } = this.#machine;
    const { random } = world;
    while (!this.#isOver) {
      const count = this.#isLoaded() ? random.integer(1, 6) : 0;
      for (let i = 0; i < count; i++) load.write(this.#nextRecord(load));
      if (world.chance(0.8)) void this.#flush(load.writtenLsn);
      if (world.chance(0.4)) void this.#read();
      await clock.sleep(world.spread(...PAUSE_MS));
    }
  }

  #nextRecord(load: Load): Buffer {
    const { random } = this.#machine.world;
    const block = random.integer(0, BLOCKS - 1);
    const dice = random.next();
    if (dice < 0.06) return truncateRecord(RELATION, random.integer(0, BLOCKS - 1));
    if (dice < 0.12)
      return buildRecord({ rmid: RMGR.XLOG, info: NOOP, xid: 0, prev: 0n as Lsn, mainData: Buffer.alloc(random.integer(0, 3000), 7) });
    const exists = this.#history.page(this.epoch, { ...RELATION, block }, load.endLsn + 1n) !== undefined;
    if (!exists || dice < 0.25) return imageRecord(RELATION, block, random.integer(1, 255));
    return deltaRecord(RELATION, block, random.integer(100, 8000), Buffer.alloc(random.integer(1, 100), random.integer(1, 255)));
  }

  async #flush(writtenLsn: bigint): Promise<void> {
    const outcome = await this.#writePath.flush(writtenLsn);
    if (outcome.kind === 'durable') this.#history.acknowledged(this.epoch, this.#id, outcome.durableLsn);
  }

  async #read(): Promise<void> {
    const { random } = this.#machine.world;
    const page: PageId = { ...RELATION, block: random.integer(0, BLOCKS - 1) };
    const lsn = this.vdl;
    try {
      const bytes = await this.#reader.read({ ...page, count: 1 }, lsn);
      if (!this.#isOver) this.#history.read(this.#id, this.epoch, page, bytes, lsn, this.vdl);
    } catch (error) {
      if (!(error instanceof AuroraRpcError)) throw error;
    }
  }
}

/** What PostgreSQL would do with WAL: records into pages, pages into a file, whole pages at a time. */
class Load implements WalSource {
  readonly #wal: WalPageWriter;
  readonly #onRecord: (record: StreamRecord) => void;
  #previous: Lsn;

  constructor(first: FirstBatch, state: VolumeState, onRecord: (record: StreamRecord) => void) {
    const firstPage = first.walPages.at(-1)?.bytes;
    this.#wal = new WalPageWriter({
      systemIdentifier: state.control.systemIdentifier,
      timeline: state.control.checkPointCopy.timeline,
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

  write(raw: Buffer): void {
    raw.writeBigUInt64LE(this.#previous, RECORD_HEADER.prev.at);
    raw.writeUInt32LE(recordCrc(raw), RECORD_HEADER.crc.at);
    const place = this.#wal.append(raw);
    this.#previous = place.lsn;
    this.#onRecord({ ...place, raw });
  }

  read(from: Lsn, to: bigint, bytesMax: number): Buffer {
    const inPage = Number(from % WAL_PAGE);
    const page = this.#wal.pages().find(({ lsn }) => lsn === from - BigInt(inPage));
    if (page === undefined) throw new RangeError(`WAL at ${from} was not written`);
    const length = Math.min(Number(to - from), bytesMax, WAL_PAGE_BYTES - inPage);
    return Buffer.from(page.bytes.subarray(inPage, inPage + length));
  }
}
