/**
 * Test fixture: a volume in memory that applies redo, and gives each page exactly as of the LSN that is asked for, the
 * oldest that a real one may give. What PostgreSQL lets go of before the volume has it, or asks for too far back, is
 * lost in this one.
 */
import { decodeRecord, type Lsn, PAGE_BYTES, type WalRecord } from '@kube-aurora/pg-format';
import {
  decodeVolumeState,
  encodePageKey,
  encodeVolumeState,
  postgres18,
  type TouchedPage,
  touchedPages,
  type VolumeState,
} from '@kube-aurora/redo';
import { RecordRun, REDO_BATCH_HEADER_BYTES, recordBytesInBatch } from '@kube-aurora/volume';
import { LocalWal } from '../write-path/local-wal.ts';
import { WalReader } from '../write-path/wal-reader.ts';
import type { ReadPagesRequest } from './shim-protocol.ts';

type EngineState = ReturnType<typeof postgres18.decodeState>;
type PageEffect = ReturnType<EngineState['take']>[number];

interface Change {
  readonly endLsn: Lsn;
  /** Undefined: the page is gone. */
  readonly apply: { readonly record: WalRecord; readonly touched: TouchedPage } | undefined;
}

const SPACE_BYTES = 13;

export class FixtureRedoVolume {
  readonly #base: ReadonlyMap<string, Buffer>;
  readonly #start: Lsn;
  readonly #changes = new Map<string, Map<number, Change[]>>();
  readonly #state: EngineState;
  /** Pages as they were last read, by the hex of their keys: most are read further on. */
  readonly #built = new Map<string, { lsn: bigint; changes: number; page: Buffer | undefined }>();
  #reader: WalReader;
  readonly #run = new RecordRun();
  onRedo: (() => void) | undefined;
  /** What PostgreSQL has made durable, as the payloads of redo batches. */
  readonly redo: { readonly startLsn: Lsn; readonly endLsn: Lsn; readonly records: Buffer }[] = [];

  /** @param pages of the base, by the hex of their keys */
  constructor(
    pages: ReadonlyMap<string, Buffer>,
    state: VolumeState,
    wal: { readonly directory: string; readonly start: Lsn; readonly prev: Lsn },
  ) {
    this.#base = pages;
    this.#start = wal.start;
    this.#state = postgres18.decodeState(encodeVolumeState(state));
    this.#reader = new WalReader(new LocalWal(wal.directory, 1), wal.start, wal.prev, state.control.systemIdentifier);
  }

  get runningLsn(): bigint {
    return this.#reader.runningLsn;
  }

  /** The volume as of now, beside its pages. */
  encodedState(): Buffer {
    return this.#state.encode();
  }

  /** Another PostgreSQL goes on with it: one that was promoted, on a timeline of its own. */
  goesOnIn(walDir: string, timeline: number): void {
    const { lastRecordLsn, control } = decodeVolumeState(this.encodedState());
    this.#reader = new WalReader(new LocalWal(walDir, timeline, 1), this.position, lastRecordLsn, control.systemIdentifier);
  }

  /** Everything that is durable ends here. */
  get position(): Lsn {
    return this.#reader.position;
  }

  /** Takes what PostgreSQL has written; gives how far it is durable. */
  flush(writtenLsn: bigint): bigint {
    if (this.#reader.hasNews(writtenLsn)) {
      this.#reader.begin(writtenLsn);
      for (let state = 'full'; state === 'full';) {
        state = this.#reader.fill(this.#run, 1 << 20);
        this.#take();
      }
    }
    return this.#reader.position;
  }

  /** Pages as of the LSN that is asked for. */
  read(request: ReadPagesRequest): Buffer {
    const pages = Buffer.alloc(request.count * PAGE_BYTES);
    for (let i = 0; i < request.count; i++) this.page({ ...request, block: request.block + i }, request.lsn)?.copy(pages, i * PAGE_BYTES);
    return pages;
  }

  #take(): void {
    const bytes = Buffer.from(this.#run.bytes);
    const startLsn = this.redo.at(-1)?.endLsn ?? this.#start;
    let endLsn = startLsn;
    for (let at = REDO_BATCH_HEADER_BYTES, left = this.#run.count; left > 0; left--) {
      const lsn = bytes.readBigUInt64LE(at) as Lsn;
      const length = bytes.readUInt32LE(at + 8);
      const raw = bytes.subarray(at + 8, at + 8 + length);
      at += recordBytesInBatch(length);
      const record = decodeRecord(raw, lsn);
      endLsn = record.endLsn;
      const touched = touchedPages(record, true);
      const effects = this.#state.take(raw, 0, length, Number(lsn), (space, block) => {
        const page = touched.find((one) => one.space === space && one.block === block);
        if (page !== undefined) this.#changesOf(space, block).push({ endLsn: record.endLsn, apply: { record, touched: page } });
      });
      for (const effect of effects) this.#drop(effect, record.endLsn);
    }
    if (endLsn !== startLsn) {
      this.redo.push({ startLsn, endLsn, records: bytes.subarray(REDO_BATCH_HEADER_BYTES) });
      this.onRedo?.();
    }
    this.#run.clear();
  }

  #changesOf(space: string, block: number): Change[] {
    const blocks = this.#changes.get(space) ?? new Map<number, Change[]>();
    this.#changes.set(space, blocks);
    const changes = blocks.get(block) ?? [];
    blocks.set(block, changes);
    return changes;
  }

  #drop(effect: PageEffect, endLsn: Lsn): void {
    for (const key of this.#allPages()) {
      const isGone =
        effect.kind === 'drop-spaces'
          ? key.space.startsWith(effect.spaces)
          : effect.kind === 'drop-blocks' && key.space === effect.space && key.block >= effect.from && key.block < effect.before;
      if (isGone) this.#changesOf(key.space, key.block).push({ endLsn, apply: undefined });
    }
  }

  *#allPages(): Generator<{ space: string; block: number }> {
    for (const [space, blocks] of this.#changes) for (const block of blocks.keys()) yield { space, block };
    for (const hex of this.#base.keys()) {
      const key = Buffer.from(hex, 'hex');
      yield { space: key.toString('latin1', 0, SPACE_BYTES), block: key.readUInt32BE(SPACE_BYTES) };
    }
  }

  page(id: Parameters<typeof encodePageKey>[0], lsn: bigint): Buffer | undefined {
    const key = encodePageKey(id);
    const hex = key.toString('hex');
    const changes = this.#changes.get(key.toString('latin1', 0, SPACE_BYTES))?.get(id.block) ?? [];
    let built = this.#built.get(hex);
    if (built === undefined || built.lsn > lsn) {
      const base = this.#base.get(hex);
      built = { lsn, changes: 0, page: base === undefined ? undefined : Buffer.from(base) };
      this.#built.set(hex, built);
    }
    for (let next = changes[built.changes]; next !== undefined && next.endLsn <= lsn; next = changes[built.changes]) {
      built.page = next.apply === undefined ? undefined : postgres18.redo(built.page, next.apply.record, next.apply.touched);
      built.changes++;
    }
    built.lsn = lsn;
    return built.page;
  }
}
