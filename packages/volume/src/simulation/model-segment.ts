import { annulPoint, isBatchValid, lastEpoch, mergeHistories, type EpochRun, type EpochStart } from '../epoch-history.ts';
import { countsForWriter, type SegmentClaim } from '../open-protocol.ts';

/** A redo batch without its bytes; `id` tells two batches at the same place apart. */
export interface ModelBatch {
  readonly epoch: bigint;
  readonly previousEpoch: bigint;
  readonly backlink: bigint;
  readonly endLsn: bigint;
  readonly id: string;
}

export const BASE_EPOCH = 1n;
export const BASE_LSN = 100n;

export type Refusal = 'fenced' | 'taken';

/** The protocol's rules that tests leave out one at a time: the simulation must notice. */
export interface Rules {
  /** Which history a segment holds after it heard of another one. */
  readonly merge: typeof mergeHistories;
  /** Whether a writer counts a segment's SCL towards its quorum. */
  readonly counts: typeof countsForWriter;
}

export const RULES: Rules = { merge: mergeHistories, counts: countsForWriter };

/**
 * What a storage daemon must do, and no more: the reference that the real one is held against. Every change is durable before
 * the answer, so a crash loses only messages on their way.
 */
export class ModelSegment {
  readonly name: string;
  epoch = BASE_EPOCH;
  holder = 'import';
  history: readonly EpochStart[] = [{ epoch: BASE_EPOCH, startLsn: BASE_LSN }];
  log: ModelBatch[] = [];

  readonly #rules: Rules;

  constructor(name: string, rules: Rules = RULES) {
    this.name = name;
    this.#rules = rules;
  }

  get scl(): bigint {
    return this.log.at(-1)?.endLsn ?? BASE_LSN;
  }
  get lastBatchEpoch(): bigint {
    return this.log.at(-1)?.epoch ?? BASE_EPOCH;
  }

  claim(): SegmentClaim {
    const { epoch, scl, lastBatchEpoch, history } = this;
    return { phase: 'READY', epoch, scl, lastBatchEpoch, baseEpoch: BASE_EPOCH, baseLsn: BASE_LSN, history };
  }

  openEpoch(epoch: bigint, writer: string): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    if (epoch === this.epoch && writer !== this.holder) return 'taken';
    this.epoch = epoch;
    this.holder = writer;
    return this.claim();
  }

  /** Truncate, and the hello of a stream: only the holder of a quorum's promises sends them, so the holder is not asked. */
  install(epoch: bigint, history: readonly EpochStart[]): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    this.#raise(epoch);
    this.#adopt(history);
    return this.claim();
  }

  append(epoch: bigint, batch: ModelBatch): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    this.#take(batch);
    return this.claim();
  }

  /** One peer's history and log, by gossip and FetchRedo. */
  pullFrom(history: readonly EpochStart[], log: readonly ModelBatch[]): void {
    this.#adopt(history);
    for (const batch of log) if (batch.endLsn > this.scl) this.#take(batch);
  }

  /** Nobody else may open with an epoch that a writer already uses, even where that writer never asked for it. */
  #raise(epoch: bigint): void {
    if (epoch <= this.epoch) return;
    this.epoch = epoch;
    this.holder = '';
  }

  #adopt(history: readonly EpochStart[]): void {
    const merged = this.#rules.merge(this.history, history, this.epoch);
    if (merged === this.history) return;
    this.history = merged;
    this.#raise(lastEpoch(merged));
    const cut = annulPoint(merged, this.#runs());
    if (cut === undefined) return;
    const kept = this.log.filter((batch) => batch.endLsn <= cut);
    if ((kept.at(-1)?.endLsn ?? BASE_LSN) !== cut) throw new Error(`${this.name}: the cut at ${cut} is inside a batch`);
    this.log = kept;
  }

  #runs(): EpochRun[] {
    const runs: { epoch: bigint; fromLsn: bigint; toLsn: bigint }[] = [];
    for (const batch of this.log) {
      const last = runs.at(-1);
      if (last?.epoch === batch.epoch) last.toLsn = batch.endLsn;
      else runs.push({ epoch: batch.epoch, fromLsn: batch.backlink, toLsn: batch.endLsn });
    }
    return runs;
  }

  #take(batch: ModelBatch): void {
    const follows = batch.backlink === this.scl && batch.previousEpoch === this.lastBatchEpoch;
    if (follows && isBatchValid(this.history, batch)) this.log.push(batch);
  }
}
