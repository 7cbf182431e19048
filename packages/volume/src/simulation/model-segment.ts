import { annulPoint, isBatchValid, lastEpoch, mergeHistories, type EpochRun, type EpochStart } from '../epoch-history.ts';
import { refuseSplitBatch, refuseEpoch, refuseHistory } from '../history-rules.ts';
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

export type Refusal = 'fenced' | 'taken' | 'refused';

/** The protocol's rules that tests leave out one at a time: the simulation must notice. */
export interface Rules {
  /** Which history a segment holds after it heard of another one. */
  readonly merge: typeof mergeHistories;
  /** Whether a writer counts a segment's SCL towards its quorum. */
  readonly counts: typeof countsForWriter;
  /** Whether a history may take the place of a segment's own. */
  readonly refuses: typeof refuseHistory;
}

export const RULES: Rules = { merge: mergeHistories, counts: countsForWriter, refuses: refuseHistory };

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
  /** Everything at or below is durable on a quorum, as far as was heard. */
  vdl = BASE_LSN;
  /** Histories and epochs that broke a rule: none of an honest writer's does. */
  refusals = 0;

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

  /** Redo that it has, and knows to be durable: never annulled. */
  get durableLsn(): bigint {
    return this.vdl < this.scl ? this.vdl : this.scl;
  }

  claim(): SegmentClaim {
    const { epoch, scl, lastBatchEpoch, history } = this;
    return { phase: 'READY', epoch, scl, appliedLsn: this.durableLsn, lastBatchEpoch, baseEpoch: BASE_EPOCH, baseLsn: BASE_LSN, history };
  }

  openEpoch(epoch: bigint, writer: string): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    if (epoch === this.epoch && writer !== this.holder) return 'taken';
    if (refuseEpoch(epoch, this.epoch) !== undefined) return this.#refuse();
    this.epoch = epoch;
    this.holder = writer;
    return this.claim();
  }

  /** InstallHistory, and the hello of a stream: only the holder of a quorum's promises sends them, so the holder is not asked. */
  install(epoch: bigint, history: readonly EpochStart[]): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    if (lastEpoch(history) !== epoch || !this.#adopt(history)) return this.#refuse();
    this.#raise(epoch);
    return this.claim();
  }

  append(epoch: bigint, batch: ModelBatch, vdl: bigint): SegmentClaim | Refusal {
    if (epoch < this.epoch) return 'fenced';
    this.noteVdl(vdl, epoch);
    this.#take(batch);
    return this.claim();
  }

  /** One peer's history and log, by gossip and FetchRedo. */
  pullFrom(history: readonly EpochStart[], log: readonly ModelBatch[], vdl: bigint): void {
    if (!this.#adopt(history)) {
      this.#refuse();
      return;
    }
    this.noteVdl(vdl, lastEpoch(history));
    for (const batch of log) if (batch.endLsn > this.scl) this.#take(batch);
  }

  /** Counts only from someone who has the same history. */
  noteVdl(vdl: bigint, epoch: bigint): void {
    if (epoch === lastEpoch(this.history) && vdl > this.vdl) this.vdl = vdl;
  }

  #refuse(): 'refused' {
    this.refusals++;
    return 'refused';
  }

  /** Nobody else may open with an epoch that a writer already uses, even where that writer never asked for it. */
  #raise(epoch: bigint): void {
    if (epoch <= this.epoch) return;
    this.epoch = epoch;
    this.holder = '';
  }

  /** False, with nothing changed, when the history breaks a rule. */
  #adopt(history: readonly EpochStart[]): boolean {
    const merged = this.#rules.merge(this.history, history, this.epoch);
    if (merged === this.history) return true;
    const known = { highestEpoch: this.epoch, fromLsn: 0n, durableLsn: this.vdl };
    if (this.#rules.refuses(this.history, history, known) !== undefined) return false;
    const ends = (lsn: bigint): boolean => lsn === BASE_LSN || this.log.some((batch) => batch.endLsn === lsn);
    if (refuseSplitBatch(merged, this.#runs(), ends) !== undefined) return false;
    const durable = this.durableLsn;
    this.history = merged;
    this.#raise(lastEpoch(merged));
    const cut = annulPoint(merged, this.#runs());
    if (cut === undefined) return true;
    if (cut < durable) throw new Error(`${this.name}: redo up to ${durable} is durable and was annulled past ${cut}`);
    const kept = this.log.filter((batch) => batch.endLsn <= cut);
    if ((kept.at(-1)?.endLsn ?? BASE_LSN) !== cut) throw new Error(`${this.name}: the cut at ${cut} is inside a batch`);
    this.log = kept;
    return true;
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
