import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { encodePageKey, type PageId, postgres18 } from '@kube-aurora/redo';
import { AuroraRpcError, type CopySegmentChunk, type ImportBaseRequest, type PeerApi } from '@kube-aurora/rpc';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import type { Disk } from '../disk/disk.ts';
import { copyFromPeer, serveCopy } from '../peers/copy-segment.ts';
import { TooOldError } from '../pages/page-plan.ts';
import { logDirectory } from '../segment/open-storage.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';
import { DEFAULT_LIMITS, type SegmentLimits } from '../segment/limits.ts';
import type { GivenKeys } from '../segment/segment-key.ts';
import { Segment } from '../segment/segment.ts';
import { importBase } from '../service/import-base.ts';
import { batchAfter, filledPage, syntheticState, type ChainEnd } from './synthetic-records.ts';
import { ENGINES, readPage } from './postgres-pages.ts';
import { storedVersion } from './stored-version.ts';

/**
 * One segment, the volume that it is of, and what it said: it can be started anew after a crash anywhere, and what it
 * said before counts afterwards. What it goes through is in crash-steps.ts.
 */

const VOLUME = '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10';
const ID = { volumeId: VOLUME, pg: 0 };
export const TABLE = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
export const INDEX = { ...TABLE, relNumber: 16_385 };
export const DATABASE = { spcOid: 1663, dbOid: 5 };
export const COPY = { spcOid: 1663, dbOid: 6 };
export const CHAIN_MAX = 4;
const WAIT_MS = 20_000;

const LIMITS: SegmentLimits = {
  ...DEFAULT_LIMITS,
  logFileBytes: 24 * 1024,
  tailCacheBytes: 16 * 1024,
  chainMax: CHAIN_MAX,
  flushPages: 4,
  checkpointBytes: 1024 * 1024 * 1024,
};

/** Every page that the scenario knows. */
export const PAGES: readonly PageId[] = [TABLE, INDEX, { ...TABLE, ...COPY }, { ...INDEX, ...COPY }].flatMap((fork) =>
  Array.from({ length: 6 }, (_, block) => ({ ...fork, block })),
);

/** What the volume's writer knows, whatever becomes of this segment: its peers have it. */
interface WrittenBatch {
  readonly batch: Buffer;
  readonly end: ChainEnd;
}

export class CrashScenario {
  readonly directory: string;
  #disk: Disk;
  readonly #known: Map<string, string>;
  #segment: Segment | undefined;
  /** The chain of the volume. */
  written: WrittenBatch[] = [];
  epoch = 0n;
  history: { epoch: bigint; startLsn: bigint }[] = [];
  isDamaged = false;
  /** Undefined: nothing is sealed. */
  keys: GivenKeys | undefined;
  /** What the segment has said, and may not take back. */
  said = { scl: 0n, epoch: 0n, ready: false };
  /** Set when the disk has died: waits end. */
  isOver: () => boolean = () => false;

  /** `known`: pages at LSNs, as they were first seen. */
  constructor(directory: string, disk: Disk, known = new Map<string, string>()) {
    this.#known = known;
    this.directory = directory;
    this.#disk = disk;
  }

  /** The same segment and volume, with its files copied to another directory. This one must be closed. */
  fork(directory: string, disk: Disk): CrashScenario {
    fs.cpSync(this.directory, directory, { recursive: true });
    const other = new CrashScenario(directory, disk, this.#known);
    const { written, epoch, history, isDamaged, keys, said } = this;
    Object.assign(other, { written: [...written], epoch, history, isDamaged, keys, said: { ...said } });
    return other;
  }

  get disk(): Disk {
    return this.#disk;
  }

  /** Throws when the segment has taken back what it said. */
  check(): void {
    if (!this.said.ready && this.segment.phase === 'EMPTY') return;
    const { phase, epoch, scl, recoverToLsn, fault, message } = this.segment.state();
    const isSound = fault === undefined || (fault.kind === 'LOST_REDO' && this.isDamaged);
    if (phase !== 'READY' || !isSound) throw new Error(`the segment is ${phase}: ${message}`);
    if (epoch < this.said.epoch) throw new Error(`epoch ${this.said.epoch} was promised, and is ${epoch}`);
    const known = scl > recoverToLsn ? scl : recoverToLsn;
    if (known < this.said.scl)
      throw new Error(`redo was acknowledged up to ${this.said.scl}; it is held up to ${scl} and to be recovered up to ${recoverToLsn}`);
  }

  get segment(): Segment {
    if (this.#segment === undefined) throw new Error('the segment is not open');
    return this.#segment;
  }

  get storage(): SegmentStorage {
    const { pages: storage } = this.segment;
    if (storage === undefined) throw new Error(`the segment has no content: ${this.segment.state().message}`);
    return storage;
  }

  get end(): ChainEnd {
    return this.written.at(-1)?.end ?? { lsn: this.history[0]?.startLsn ?? 0n, epoch: this.history[0]?.epoch ?? 0n };
  }

  /** Starts the segment. */
  async open(disk = this.#disk): Promise<void> {
    this.#disk = disk;
    this.#segment = await Segment.open(
      {
        directory: this.directory,
        disk,
        keys: this.keys,
        engines: ENGINES,
        identity: { role: 'FULL', daemonId: 'd0', zone: 'a' },
        limits: LIMITS,
        logger: silentLogger(),
        startedAtMs: 0,
        clock: systemClock(),
        events: { corruption: () => {}, repair: () => {} },
        fetchPage: () => Promise.reject(new AuroraRpcError('DAMAGED', 'there are no peers')),
        lowestPeerScl: (segment) => segment.scl,
        fullPeers: [],
        highestOfPeers: () => ({ scl: 0n, epoch: 0n, isWritten: false }),
        askPeers: () => Promise.resolve(),
      },
      VOLUME,
      0,
    );
  }

  async close(): Promise<void> {
    const segment = this.#segment;
    this.#segment = undefined;
    await segment?.close();
  }

  async until(isThere: () => boolean): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!isThere()) {
      if (this.isOver()) throw new Error('the disk is gone');
      if (this.segment.state().fault?.kind === 'REDO_FAILED') throw new Error(this.segment.state().message);
      if (Date.now() > deadline) throw new Error(`it did not come to that: ${this.segment.state().message}`);
      await new Promise(setImmediate);
    }
  }

  /** Has the segment take all that it lacks of the volume's log, which its writer or its peers send. */
  async feed(): Promise<void> {
    for (const { batch, end } of this.written) {
      if (end.lsn > this.storage.tail.lsn) this.segment.append(decodeRedoBatchHeader(batch), batch);
    }
    await this.until(() => this.segment.scl >= this.end.lsn);
    if (this.segment.scl > this.said.scl) this.said.scl = this.segment.scl;
  }

  /**
   * Makes what was written so far durable for the volume, batch by batch, with computes that read at the end of each.
   * What they see must be what was seen there the first time.
   */
  async apply(): Promise<void> {
    const { storage, segment } = this;
    for (const { end } of this.written) {
      const at = end.lsn;
      if (at <= storage.checkpointLsn) continue;
      segment.noteVdl(end.lsn, this.epoch);
      storage.expediteTo(at);
      await this.until(() => storage.hasApplied(at));
      await this.#lookAt(at);
      segment.noteReadFloor('compute', end.lsn, this.epoch);
      await new Promise(setImmediate);
    }
  }

  async #lookAt(lsn: bigint): Promise<void> {
    for (const [index, page] of PAGES.entries()) {
      const bytes = await this.#pageAt(page, lsn);
      if (bytes === 'newer') continue;
      const key = `${index} ${lsn}`;
      const hash = bytes === undefined ? 'none' : createHash('sha1').update(bytes).digest('hex');
      if (this.#known.get(key) === undefined) this.#known.set(key, hash);
      else if (this.#known.get(key) !== hash) throw new Error(`page ${index} at ${lsn} is not what it was`);
    }
  }

  /** 'newer' where computes had read past it before the crash. */
  async #pageAt(page: PageId, lsn: bigint): Promise<Buffer | undefined | 'newer'> {
    try {
      return await readPage(this.storage, page, lsn);
    } catch (error) {
      if (error instanceof TooOldError) return 'newer';
      throw error;
    }
  }

  /** Until nothing is being written. A store whose checkpoint is behind makes one at once. */
  async checkpoint(): Promise<void> {
    const { storage } = this;
    const before = storage.stats().checkpoints;
    if (storage.checkpointLsn < this.end.lsn) {
      storage.requestCheckpoint();
      await this.until(() => storage.stats().checkpoints > before && storage.checkpointLsn >= this.end.lsn);
    }
    await this.until(() => !storage.stats().isCheckpointing);
  }

  write(raws: readonly Buffer[]): void {
    const { batch, end } = batchAfter(this.end, this.epoch, raws);
    this.written.push({ batch, end });
  }

  async openEpoch(epoch: bigint): Promise<void> {
    await this.segment.openEpoch(epoch, `w/${epoch}`);
    if (epoch > this.said.epoch) this.said.epoch = epoch;
    if (this.history.at(-1)?.epoch !== epoch) this.history = [...this.history, { epoch, startLsn: this.end.lsn }];
    this.epoch = epoch;
    await this.segment.installHistory(epoch, this.history);
  }

  /** Pages as of the volume's end. */
  async pages(): Promise<(string | undefined)[]> {
    const found: (string | undefined)[] = [];
    for (const page of PAGES) found.push((await readPage(this.storage, page, this.end.lsn))?.toString('latin1'));
    return found;
  }

  /** State, stored pages, and which directories there are. */
  async held(): Promise<{ state: string; stored: string[]; directories: string[] }> {
    const { storage } = this;
    const stored: string[] = [];
    for (const page of PAGES) {
      const version = await storedVersion(storage, page);
      if (version !== undefined) stored.push(`${encodePageKey(page).toString('hex')} ${version.page.toString('latin1')}`);
    }
    const names = this.#disk.list(join(this.directory, VOLUME, '0'));
    const directories = names.flatMap((name) => /^(pages|log)-/.exec(name)?.[1] ?? []).toSorted();
    return { state: (await storage.stateAt(storage.appliedLsn)).encoded.toString('hex'), stored, directories };
  }

  /** The file that holds the batch after `lsn`. */
  logFileOf(lsn: bigint): { readonly path: string; readonly offset: number } {
    const { logGeneration } = this.segment.control;
    const batch = this.written.find(({ batch: one }) => decodeRedoBatchHeader(one).backlink === lsn)?.batch;
    if (batch === undefined) throw new Error('there is no such batch');
    const directory = logDirectory(join(this.directory, VOLUME, '0'), logGeneration);
    for (const name of this.#disk.list(directory)) {
      const bytes = this.#disk.readFile(join(directory, name));
      // What its header says of the chain, which is the same where it is sealed.
      const at = bytes?.indexOf(batch.subarray(8, 56)) ?? -1;
      if (at >= 8) return { path: join(directory, name), offset: at - 8 };
    }
    throw new Error('no log file holds that batch');
  }

  async copyItself(): Promise<void> {
    const { segment } = this;
    // A peer that has the same.
    const chunks: CopySegmentChunk[] = [];
    for await (const chunk of serveCopy(segment, systemClock())) chunks.push(chunk);
    const client: Pick<PeerApi, 'copySegment'> = {
      copySegment: async function* () {
        yield* await Promise.resolve(chunks);
      },
    };
    const terms = { recoverToLsn: 0n, epoch: 0n, history: [] };
    await copyFromPeer(segment, { role: 'FULL', id: 'd1', client: client as PeerApi }, terms, systemClock(), new AbortController().signal);
  }

  async import(): Promise<void> {
    const { encoded, baseLsn } = syntheticState(0x150_0028n, [
      { fork: TABLE, blocks: 3 },
      { fork: INDEX, blocks: 6 },
    ]);
    const pages = [TABLE, INDEX].flatMap((fork) =>
      Array.from({ length: fork === TABLE ? 3 : 6 }, (_, block) => ({
        key: encodePageKey({ ...fork, block }),
        page: filledPage(10 + block),
      })),
    );
    const begin = {
      segment: ID,
      epoch: 1n,
      baseLsn,
      systemIdentifier: 7n,
      volumeState: encoded,
      engine: postgres18.id,
      role: 'FULL',
    } as const;
    const requests = async function* (): AsyncGenerator<ImportBaseRequest> {
      yield await Promise.resolve({ begin, pages: [], finish: false });
      yield { begin: undefined, pages, finish: true };
    };
    await importBase(requests(), {
      all: () => [this.segment],
      known: () => this.segment,
      take: () => Promise.resolve(this.segment),
      identity: this.segment.identity,
    });
    this.history = [{ epoch: 1n, startLsn: baseLsn }];
    this.epoch = 1n;
    this.said.ready = true;
  }
}
