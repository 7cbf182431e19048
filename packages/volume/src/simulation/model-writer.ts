import type { EpochStart } from '../epoch-history.ts';
import { OpenProtocol, type OpenRequest, type SegmentClaim } from '../open-protocol.ts';
import { QuorumTracker } from '../quorum.ts';
import { RedoRing } from '../redo-ring.ts';
import { RULES, type ModelBatch, type ModelSegment, type Refusal, type Rules } from './model-segment.ts';
import type { World } from './world.ts';

/** What a writer tells whoever watches over the volume's promises. */
export interface Witness {
  /** PostgreSQL would start now, and show all redo up to `batches`' last. */
  opened(writer: ModelWriter, batches: readonly ModelBatch[]): void;
  /** A commit that ends with this batch would be acknowledged now. */
  acknowledged(writer: ModelWriter, batch: ModelBatch): void;
}

const RETRY = 30;
/** How often a segment that its peers feed is greeted anew, as on a new stream; else it is asked for its status only. */
const GREETING_RATE = 0.2;
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
  readonly #rules: Rules;
  readonly #protocol: OpenProtocol;
  #tracker: QuorumTracker | undefined;
  #ring: RedoRing | undefined;
  #batches: ModelBatch[] = [];
  #acked = 0;
  #lastEpoch = 0n;
  #scl: bigint[];

  constructor(name: string, world: World, segments: readonly ModelSegment[], witness: Witness, rules: Rules = RULES) {
    this.name = name;
    this.#world = world;
    this.#segments = segments;
    this.#witness = witness;
    this.#rules = rules;
    this.#protocol = new OpenProtocol({ copies: segments.length });
    this.#scl = segments.map(() => 0n);
    segments.forEach((segment, index) => this.#driveOpen(segment, index));
  }

  /** Where it wants to begin, from when it has chosen until it is fenced or begins: the volume must not lose that again. */
  get chosen(): { readonly epoch: bigint; readonly startLsn: bigint; readonly history: readonly EpochStart[] } | undefined {
    const { step, epoch, startLsn, history } = this.#protocol;
    const waits = !this.dead && !this.fenced && (step === 'install-history' || step === 'catch-up');
    return waits ? { epoch, startLsn, history } : undefined;
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
    if (answer === 'refused') this.#protocol.fail(index, request, 'unavailable');
    else if (answer === 'fenced' || answer === 'taken') this.#protocol.fail(index, request, 'overtaken');
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

  /**
   * Sends what follows the segment's SCL, or asks how far its peers have brought it: by its status, which also those answer
   * who have promised a later writer.
   */
  #feed(segment: ModelSegment, index: number): void {
    if (this.dead || this.fenced) return;
    const ring = this.#ring;
    const from = ring?.sequenceAfter(this.#scl[index] ?? 0n);
    const { history } = this.#protocol;
    if (ring === undefined || from === undefined) {
      const greets = this.#world.chance(GREETING_RATE);
      this.#call(
        segment,
        () => (greets ? segment.install(this.epoch, history) : segment.claim()),
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
            return typeof greeted === 'string' ? greeted : segment.append(this.epoch, batch, this.#tracker?.point ?? 0n);
          },
          (answer) => this.#fed(index, answer),
        );
      }
    }
    this.#world.after(RETRY * (0.5 + this.#world.random()), () => this.#feed(segment, index));
  }

  #fed(index: number, answer: SegmentClaim | Refusal): void {
    const tracker = this.#tracker;
    if (tracker === undefined || answer === 'refused') return;
    if (answer === 'fenced' || answer === 'taken') {
      this.fenced = true;
      return;
    }
    if (!this.#rules.counts(answer, this.epoch)) {
      if (answer.epoch > this.epoch) this.fenced = true;
      return;
    }
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

/** A segment's side of the requests by which a writer opens the volume. */
export function handleOpen(segment: ModelSegment, request: OpenRequest, writer: string): SegmentClaim | Refusal {
  switch (request.kind) {
    case 'status':
      return segment.claim();
    case 'open-epoch':
      return segment.openEpoch(request.epoch, writer);
    case 'install-history':
      return segment.install(request.epoch, request.history);
    case 'catch-up':
      return request.epoch < segment.epoch ? 'fenced' : segment.claim();
  }
}
