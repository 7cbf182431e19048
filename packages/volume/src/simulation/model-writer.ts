import { lastEpoch } from '../epoch-history.ts';
import { OpenProtocol, countsForWriter, type OpenRequest, type SegmentClaim } from '../open-protocol.ts';
import { QuorumTracker } from '../quorum.ts';
import { RedoRing } from '../redo-ring.ts';
import type { ModelBatch, ModelSegment, Refusal } from './model-segment.ts';
import type { World } from './world.ts';

/** What a writer tells whoever watches over the volume's promises. */
export interface Witness {
  /** PostgreSQL would start now, and show all redo up to `batches`' last. */
  opened(writer: ModelWriter, batches: readonly ModelBatch[]): void;
  /** A commit that ends with this batch would be acknowledged now. */
  acknowledged(writer: ModelWriter, batch: ModelBatch): void;
}

const RETRY = 30;
const BATCH_MESSAGE = Buffer.alloc(64);
/** Small, so that segments fall off it. */
const RING_BYTES = 64 * 12;

/** A compute: opens the volume by the real protocol, then writes batches for as long as it lives. */
export class ModelWriter {
  readonly name: string;
  dead = false;
  fenced = false;
  running = false;
  epoch = 0n;
  readonly #world: World;
  readonly #segments: readonly ModelSegment[];
  readonly #witness: Witness;
  readonly #protocol: OpenProtocol;
  #tracker: QuorumTracker | undefined;
  #ring: RedoRing | undefined;
  #batches: ModelBatch[] = [];
  #acked = 0;
  #lastEpoch = 0n;
  #scl: bigint[];

  constructor(name: string, world: World, segments: readonly ModelSegment[], witness: Witness) {
    this.name = name;
    this.#world = world;
    this.#segments = segments;
    this.#witness = witness;
    this.#protocol = new OpenProtocol({ copies: segments.length });
    this.#scl = segments.map(() => 0n);
    segments.forEach((segment, index) => this.#driveOpen(segment, index));
  }

  get waitingFor(): string {
    return `${this.#protocol.step} ${this.#protocol.waitingFor}`;
  }

  #call(segment: ModelSegment, handle: () => SegmentClaim | Refusal, receive: (answer: SegmentClaim | Refusal) => void): void {
    this.#world.send(this.name, segment.name, () => {
      const answer = handle();
      this.#world.send(segment.name, this.name, () => {
        if (!this.dead && !this.fenced) receive(answer);
      });
    });
  }

  #driveOpen(segment: ModelSegment, index: number): void {
    if (this.dead || this.fenced || this.#tracker !== undefined) return;
    const request = this.#protocol.wanted(index);
    if (request !== undefined) {
      this.#call(
        segment,
        () => handleOpen(segment, request, this.name),
        (answer) => this.#opening(index, request, answer),
      );
    }
    this.#world.after(RETRY * (0.5 + this.#world.random()), () => this.#driveOpen(segment, index));
  }

  #opening(index: number, request: OpenRequest, answer: SegmentClaim | Refusal): void {
    if (this.#tracker !== undefined) return;
    if (answer === 'fenced' || answer === 'taken') this.#protocol.fail(index, request, 'overtaken');
    else this.#protocol.answer(index, request, answer);
    if (this.#protocol.inGrace && this.#world.chance(0.5)) this.#protocol.endGrace();
    if (this.#protocol.step === 'overtaken') this.fenced = true;
    if (this.#protocol.step === 'opened') this.#begin();
  }

  #begin(): void {
    const { startLsn, epoch } = this.#protocol;
    const source = this.#segments[this.#protocol.upToDate()[0] ?? 0];
    if (source === undefined) throw new Error('opened without a segment that is up to date');
    this.epoch = epoch;
    this.#tracker = new QuorumTracker(startLsn, this.#segments.length);
    this.#ring = new RedoRing(startLsn, RING_BYTES);
    this.#lastEpoch = this.#protocol.previousEpoch();
    const before = source.log.filter((batch) => batch.endLsn <= startLsn);
    this.#push();
    this.#segments.forEach((segment, index) => this.#feed(segment, index));
    this.#whenFirstIsDurable(() => this.#witness.opened(this, before));
  }

  #shown: (() => void) | undefined;
  #whenFirstIsDurable(run: () => void): void {
    this.#shown = run;
  }

  #push(): void {
    const ring = this.#ring;
    if (ring === undefined) return;
    const backlink = ring.endLsn;
    const endLsn = backlink + BigInt(1 + this.#world.pick(50));
    const batch = { epoch: this.epoch, previousEpoch: this.#lastEpoch, backlink, endLsn, id: `${this.name}#${this.#batches.length}` };
    this.#lastEpoch = this.epoch;
    this.#batches.push(batch);
    ring.push({ backlink, endLsn, message: BATCH_MESSAGE });
  }

  /** One commit, when the ring has room. */
  write(): void {
    if (this.dead || this.fenced || !this.running || this.#ring === undefined || this.#tracker === undefined) return;
    if (this.#ring.hasRoom(BATCH_MESSAGE.length, this.#tracker.point)) this.#push();
  }

  /** Sends what follows the segment's SCL, or asks how far its peers have brought it. */
  #feed(segment: ModelSegment, index: number): void {
    if (this.dead || this.fenced) return;
    const ring = this.#ring;
    const from = ring?.sequenceAfter(this.#scl[index] ?? 0n);
    const { history } = this.#protocol;
    if (ring === undefined || from === undefined) {
      this.#call(
        segment,
        () => segment.install(this.epoch, history),
        (answer) => this.#fed(index, answer),
      );
    } else {
      for (let sequence = from; sequence < ring.nextSequence && sequence < from + 4; sequence++) {
        const batch = this.#batches[sequence];
        if (batch === undefined) break;
        this.#call(
          segment,
          () => {
            const greeted = segment.install(this.epoch, history);
            return typeof greeted === 'string' ? greeted : segment.append(this.epoch, batch);
          },
          (answer) => this.#fed(index, answer),
        );
      }
    }
    this.#world.after(RETRY * (0.5 + this.#world.random()), () => this.#feed(segment, index));
  }

  #fed(index: number, answer: SegmentClaim | Refusal): void {
    const tracker = this.#tracker;
    if (tracker === undefined) return;
    if (answer === 'fenced' || answer === 'taken' || answer.epoch > this.epoch) {
      this.fenced = true;
      return;
    }
    if (!countsForWriter(answer, this.epoch)) return;
    if (lastEpoch(answer.history) !== this.epoch) throw new Error('counted a segment without our history');
    this.#scl[index] = answer.scl;
    if (!tracker.acknowledge(index, answer.scl)) return;
    for (let batch = this.#batches[this.#acked]; batch !== undefined && batch.endLsn <= tracker.point; batch = this.#batches[this.#acked]) {
      if (this.#acked === 0) {
        this.running = true;
        this.#shown?.();
      }
      this.#acked++;
      this.#witness.acknowledged(this, batch);
    }
  }
}

function handleOpen(segment: ModelSegment, request: OpenRequest, writer: string): SegmentClaim | Refusal {
  switch (request.kind) {
    case 'status':
      return segment.claim();
    case 'open-epoch':
      return segment.openEpoch(request.epoch, writer);
    case 'truncate':
      return segment.install(request.epoch, request.history);
    case 'catch-up':
      return request.epoch < segment.epoch ? 'fenced' : segment.claim();
  }
}
