import { Backoff, type Clock, type Timer } from '@kube-aurora/clock';
import { formatLsn, recordStart, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { NEVER_PROMOTED, type FollowedRedo, type FollowHello, type SegmentId, type StandbyXmins, type WriterSign } from '@kube-aurora/rpc';
import { batchesIn, REDO_BATCH_HEADER_BYTES, recordBytesInBatch, recordsOf, RedoBatchError, type BatchInBuffer } from '@kube-aurora/volume';
import type { SegmentEndpoint } from '../segments.ts';
import type { DurableRedo } from './durable-redo.ts';
import { FloorLink, FollowLink, type FollowFailure, type FollowPoints } from './follow-link.ts';

/** How often every segment hears where we read, and how far we are, when nothing else says it. */
const BEAT_MS = 1000;
/** Beats without a word of the source: it answers each. */
const SILENT_BEATS = 3;
/** Beats in which nothing came of what another segment knew to be durable a beat before. */
const BEHIND_BEATS = 2;
/** Redo taken after which its source is told: a quarter of what it sends ahead. */
const TELL_BYTES = 512 * 1024;
/** A source that gives nothing for so long of what somebody waits for, and what is durable, is left for the next. */
const HASTE_MS = 250;
/** How long a source that is not the best stays one. */
const SETTLED_MS = 30_000;
/** Between two rounds in which no segment could be followed. */
const ROUND_MS = [50, 2000] as const;

export interface RedoFeedOptions {
  /** The protection group's. */
  readonly segments: readonly SegmentEndpoint[];
  readonly segment: SegmentId;
  /** Names us to the segments: our read floor is kept by it. */
  readonly computeId: string;
  /** 0 to 15: our place among those that may become the writer, which may change; NEVER_PROMOTED: we never do. */
  readonly promotionTier: () => number;
  readonly zone: string;
  /** Redo is wanted from here on: a record's end that was durable. */
  readonly startLsn: Lsn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onRedo: (redo: DurableRedo) => void;
  /** So far redo is durable, as a segment has said; it rises. */
  readonly onVdl: (lsn: Lsn) => void;
  /** No segment that answers has the redo that would follow. Told once, and nothing comes any more. */
  readonly onTooOld: (message: string) => void;
  /** What a segment, by its index, says of the writer that it obeys: with each message of each stream. */
  readonly onWriterSign: (index: number, sign: WriterSign) => void;
  /** The lowest LSN that we may still read a page at. */
  readonly readFloor: () => bigint;
  /** What snapshots here may need. */
  readonly xmins: () => StandbyXmins;
}

/** The best source first: of our own zone, and one that has nothing to do but that. */
export function bySource(segments: readonly SegmentEndpoint[], zone: string): SegmentEndpoint[] {
  const rank = (one: SegmentEndpoint): number => (one.zone === zone ? 0 : 2) + (one.role === 'TAIL' ? 0 : 1);
  return segments.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * A reader's redo: the volume's, from `startLsn` on, once it is durable, from one segment. Another takes its place when
 * it fails, is silent, or is behind what others know. Every segment is told where we read.
 *
 * Invariants:
 * - what is given begins where the last ended, whichever segments it came from: each batch is checked, and must link to
 *   it. The first of a source may begin earlier; then it is cut where a record ends;
 * - nothing is given past the VDL that came with it;
 * - while paused nothing is given and nothing is said to be taken, so that what waits here is bounded by what a segment
 *   sends ahead.
 */
export class RedoFeed {
  readonly #options: RedoFeedOptions;
  readonly #order: readonly SegmentEndpoint[];
  readonly #floors: readonly FloorLink[];
  readonly #rounds: Backoff;
  #position: Lsn;
  #vdl: bigint;
  #source: FollowLink | undefined;
  /** The source has answered. */
  #isFed = false;
  #sourceSinceMs = 0;
  #next = 0;
  /** Segments that failed since the last that did not, and what one said that has not the redo any more. */
  #failures = 0;
  #tooOld: string | undefined;
  #waiting: BatchInBuffer[] = [];
  #takenBytes = 0;
  #isPaused = false;
  #isStopped = false;
  #isGiving = false;
  #beat: Timer | undefined;
  #retry: Timer | undefined;
  #haste: Timer | undefined;
  #hasteLsn = 0n;
  #silentBeats = 0;
  #behindBeats = 0;
  /** At the last beat: what some segment knew to be durable, and how far we were. */
  #vdlBefore = 0n;
  /** As the segments know it. */
  #toldTier: number;
  #standsDown = false;
  #positionBefore: bigint;

  constructor(options: RedoFeedOptions) {
    const { segments, segment, computeId, promotionTier, zone, startLsn, clock } = options;
    this.#toldTier = promotionTier();
    this.#options = options;
    this.#order = bySource(segments, zone);
    this.#position = startLsn;
    this.#positionBefore = startLsn;
    this.#vdl = startLsn;
    this.#rounds = new Backoff(...ROUND_MS, () => clock.random());
    this.#floors = segments.map((endpoint) => {
      // Pages are read there most of all, as of what is durable now.
      const wants = endpoint.zone === zone && endpoint.role === 'FULL' ? 'VDL' : 'FLOOR';
      return new FloorLink({
        endpoint,
        hello: () => ({ segment, readerId: computeId, wants, promotionTier: this.#toldTier }),
        points: () => this.#points,
        onMessage: (message) => this.#hear(endpoint.index, message),
        clock,
      });
    });
  }

  /** The highest VDL that was heard. */
  get vdl(): Lsn {
    return this.#vdl as Lsn;
  }

  /** End of what was given. */
  get position(): Lsn {
    return this.#position;
  }

  /** The segment that redo comes from; undefined while there is none. */
  get source(): string | undefined {
    return this.#isFed ? this.#source?.endpoint.id : undefined;
  }

  start(): void {
    for (const floor of this.#floors) floor.start();
    this.#follow();
    this.#beatOn();
  }

  /** Nothing is given until `resume`. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#give();
    this.#tell();
  }

  /** Redo up to here is durable, whoever has said so, and somebody waits for it. */
  hasten(lsn: Lsn): void {
    this.#noteVdl(lsn);
    this.#hasteLsn = lsn;
    if (this.#haste === undefined) this.#hastenOn();
  }

  #hastenOn(): void {
    const source = this.#source;
    const before = this.#position;
    this.#haste = this.#options.clock.after(HASTE_MS, () => {
      this.#haste = undefined;
      if (this.#isStopped || this.#position >= this.#hasteLsn) return;
      const givesNothing = !this.#isPaused && source !== undefined && source === this.#source && before === this.#position;
      if (givesNothing)
        this.#failed({ code: 'BEHIND', message: `redo up to ${formatLsn(this.#hasteLsn as Lsn)} is durable and waited for` });
      this.#hastenOn();
    });
  }

  /** This reader ends: from now on it is told to every segment as one that never becomes the writer. */
  standDown(): void {
    this.#standsDown = true;
    if (!this.#isStopped) this.#tellTier();
  }

  stop(): void {
    this.#isStopped = true;
    this.#beat?.cancel();
    this.#haste?.cancel();
    this.#retry?.cancel();
    this.#source?.cancel();
    this.#waiting = [];
    for (const floor of this.#floors) floor.stop();
  }

  get #points(): FollowPoints {
    return { takenLsn: this.#position, readFloor: this.#options.readFloor(), xmins: this.#options.xmins() };
  }

  #hear(index: number, message: FollowedRedo): void {
    this.#noteVdl(message.vdl);
    if (!this.#isStopped) this.#options.onWriterSign(index, message);
  }

  #noteVdl(vdl: bigint): void {
    if (this.#isStopped || vdl <= this.#vdl) return;
    this.#vdl = vdl;
    this.#options.onVdl(vdl as Lsn);
  }

  /** Asks the next segment for what follows. */
  #follow(): void {
    if (this.#isStopped) return;
    const { segment, computeId, clock } = this.#options;
    const endpoint = this.#order[this.#next % this.#order.length];
    if (endpoint === undefined) throw new RangeError('a volume has segments');
    this.#next = (this.#next + 1) % this.#order.length;
    this.#isFed = false;
    this.#silentBeats = 0;
    this.#behindBeats = 0;
    this.#sourceSinceMs = clock.now();
    // What waits came from the source before: this one sends it again.
    this.#waiting = [];
    this.#takenBytes = 0;
    const hello: FollowHello = { segment, readerId: computeId, wants: 'REDO', promotionTier: this.#toldTier };
    const link: FollowLink = new FollowLink(endpoint, hello, this.#points, {
      onMessage: (message) => {
        if (link === this.#source) this.#receive(endpoint.index, message);
      },
      onOver: (failure) => {
        if (link === this.#source) this.#failed(failure);
      },
    });
    this.#source = link;
  }

  #receive(index: number, message: FollowedRedo): void {
    const { vdl, batches } = message;
    if (!this.#isFed) {
      this.#isFed = true;
      this.#options.logger.debug({ segment: this.#source?.endpoint.id, from: formatLsn(this.#position) }, 'following a segment');
    }
    this.#hear(index, message);
    if (batches === undefined) return;
    try {
      for (const batch of batchesIn(batches)) {
        if (batch.header.endLsn > vdl)
          throw new RedoBatchError('endLsn', `${formatLsn(batch.header.endLsn)} is past VDL ${formatLsn(vdl)}`);
        this.#waiting.push(batch);
      }
    } catch (error) {
      this.#refuse(error);
      return;
    }
    this.#give();
    if (this.#takenBytes >= TELL_BYTES) this.#tell();
  }

  #give(): void {
    // Whoever is given redo may pause, and go on, in the midst of it.
    if (this.#isGiving) return;
    this.#isGiving = true;
    try {
      while (!this.#isPaused && !this.#isStopped) {
        const next = this.#waiting.shift();
        if (next === undefined) return;
        const redo = this.#follows(next);
        if (redo === undefined) return;
        this.#position = redo.endLsn;
        this.#takenBytes += next.batch.length;
        this.#isWell();
        this.#options.onRedo(redo);
      }
    } finally {
      this.#isGiving = false;
    }
  }

  #follows(batch: BatchInBuffer): DurableRedo | undefined {
    try {
      return redoAfter(this.#position, batch);
    } catch (error) {
      this.#refuse(error);
      return undefined;
    }
  }

  /** What the source sends is not what should follow. */
  #refuse(error: unknown): void {
    if (!(error instanceof RedoBatchError)) throw error;
    this.#failed({ code: 'DAMAGED', message: error.message });
  }

  /** The source has what we want: whatever failed before is forgotten. */
  #isWell(): void {
    this.#failures = 0;
    this.#tooOld = undefined;
    this.#rounds.reset();
  }

  #tell(): void {
    this.#takenBytes = 0;
    this.#source?.say(this.#points);
  }

  #failed({ code, message }: FollowFailure): void {
    const { logger, onTooOld } = this.#options;
    const source = this.#source?.endpoint.id;
    this.#source?.cancel();
    this.#source = undefined;
    this.#isFed = false;
    if (this.#isStopped) return;
    if (code === 'TOO_OLD') this.#tooOld = message;
    this.#failures++;
    logger.info({ segment: source, code, reason: message }, 'a segment cannot be followed any more; asking another');
    if (this.#failures % this.#order.length !== 0) {
      this.#follow();
      return;
    }
    // All were asked. Those that could not answer may have it, but nobody knows when.
    if (this.#tooOld === undefined) {
      this.#retry = this.#options.clock.after(this.#rounds.next(), () => this.#follow());
      return;
    }
    this.stop();
    onTooOld(this.#tooOld);
  }

  #beatOn(): void {
    const { clock } = this.#options;
    this.#beat = clock.after(BEAT_MS, () => {
      // A process that was kept waiting first hears what has arrived.
      clock.soon(() => {
        if (this.#isStopped) return;
        this.#look();
        this.#tellTier();
        for (const floor of this.#floors) floor.say();
        this.#tell();
        this.#beatOn();
      });
    });
  }

  /** A tier is told where a stream begins: all begin anew, and the redo goes on where it is. */
  #tellTier(): void {
    const tier = this.#standsDown ? NEVER_PROMOTED : this.#options.promotionTier();
    if (tier === this.#toldTier) return;
    this.#toldTier = tier;
    for (const floor of this.#floors) floor.beginAnew();
    const source = this.#source;
    if (source === undefined) return;
    source.cancel();
    this.#next = this.#order.indexOf(source.endpoint);
    this.#follow();
  }

  /** Is there a reason to ask another segment? */
  #look(): void {
    const source = this.#source;
    if (source === undefined) return;
    const isStuck = !this.#isPaused && this.#position === this.#positionBefore && this.#position < this.#vdlBefore;
    this.#silentBeats = source.takeHeard() > 0 ? 0 : this.#silentBeats + 1;
    this.#behindBeats = isStuck ? this.#behindBeats + 1 : 0;
    this.#vdlBefore = this.#vdl;
    this.#positionBefore = this.#position;
    if (this.#silentBeats >= SILENT_BEATS) this.#failed({ code: 'DEADLINE', message: `nothing was heard for ${SILENT_BEATS} s` });
    else if (this.#behindBeats >= BEHIND_BEATS) this.#failed({ code: 'BEHIND', message: `others have redo up to ${formatLsn(this.#vdl)}` });
    else if (this.#silentBeats === 0 && this.#behindBeats === 0 && this.#isFed) this.#isWell();
    if (source === this.#source && source.endpoint !== this.#order[0] && this.#options.clock.now() - this.#sourceSinceMs >= SETTLED_MS) {
      source.cancel();
      this.#next = 0;
      this.#follow();
    }
  }
}

/** What of a batch follows `position`. Throws RedoBatchError when it does not link to it. */
function redoAfter(position: Lsn, { header, batch }: BatchInBuffer): DurableRedo {
  const records = batch.subarray(REDO_BATCH_HEADER_BYTES, header.totalBytes);
  if (header.backlink === position) return { startLsn: position, endLsn: header.endLsn, records };
  const wrong = (): RedoBatchError =>
    new RedoBatchError(
      'backlink',
      `a batch from ${formatLsn(header.backlink)} to ${formatLsn(header.endLsn)} does not follow ${formatLsn(position)}`,
    );
  if (header.backlink > position || header.endLsn <= position) throw wrong();
  let skipped = 0;
  const first = recordStart(position);
  for (const { lsn, raw } of recordsOf(batch)) {
    if (lsn === first) return { startLsn: position, endLsn: header.endLsn, records: records.subarray(skipped) };
    skipped += recordBytesInBatch(raw.length);
  }
  throw wrong();
}
