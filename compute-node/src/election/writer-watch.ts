import { Backoff, type Timer } from '@kube-aurora/clock';
import type { WriterSign } from '@kube-aurora/rpc';
import { quorumsOf } from '../segments.ts';
import { askWriter, type AskWriterOptions } from './ask-writer.ts';
import { Candidacy, type CandidateOptions, type OpenTurn } from './candidacy.ts';
import { suspectAt, type HeardSign } from './suspect-writer.ts';

/**
 * Between two askings while the streams say too little of a writer that lives, or too few segments answer: never more than
 * half of the silence after which it counts as gone.
 */
const ASK_AGAIN_MS = [250, 1000] as const;
/** Streams have begun by then, or the segments are asked. */
const BEGUN_MS = 500;

export interface WriterWatchOptions extends AskWriterOptions, CandidateOptions {
  /** It is our turn to open the volume. Told once; the watch is over. */
  readonly onElected: (turn: OpenTurn) => void;
}

/**
 * Beside a reader: sees by what its Follow streams bring whether the volume has a writer, and says when it is this
 * reader's turn to take its place.
 *
 * Invariants:
 * - nothing is asked while the streams say that the writer is heard (suspect-writer.ts);
 * - elected is only who has asked all segments a moment ago, found the writer gone (judge-writer.ts), and has let those
 *   before it have their turn;
 * - whoever waits for its turn stands down when a higher epoch shows: it asks anew, and finds a writer that lives.
 */
export class WriterWatch {
  readonly #options: WriterWatchOptions;
  readonly #signs: (HeardSign | undefined)[];
  readonly #candidacy: Candidacy;
  readonly #pace: Backoff;
  readonly #over = new AbortController();
  /** The highest epoch that any stream has told of, and whether its writer is known to be gone. */
  #epoch = 0n;
  #isGone = false;
  #isAsking = false;
  #timer: Timer | undefined;
  /** Ends a wait: something has changed. */
  #wake = new AbortController();

  constructor(options: WriterWatchOptions) {
    const { segments, clock } = options;
    this.#options = options;
    this.#signs = segments.map(() => undefined);
    this.#candidacy = new Candidacy(options, true);
    this.#pace = new Backoff(...ASK_AGAIN_MS, () => clock.random());
  }

  /** From now on it expects to hear of the writer. */
  start(): void {
    this.#lookIn(BEGUN_MS);
  }

  stop(): void {
    this.#over.abort();
    this.#wake.abort();
    this.#timer?.cancel();
  }

  /** What a message of that segment's stream says of the writer. */
  note(index: number, sign: WriterSign): void {
    this.#signs[index] = { sign, atMs: this.#options.clock.now() };
    const { writerEpoch, writerGaveBack } = sign;
    if (writerEpoch < this.#epoch || (writerEpoch === this.#epoch && (this.#isGone || !writerGaveBack))) return;
    this.#epoch = writerEpoch;
    this.#isGone = writerGaveBack;
    this.#wake.abort();
    if (writerGaveBack) this.#lookIn(0);
  }

  #lookIn(ms: number): void {
    if (this.#over.signal.aborted || this.#isAsking) return;
    const { clock } = this.#options;
    this.#timer?.cancel();
    // A process that was kept waiting first hears what has arrived.
    this.#timer = clock.after(Math.max(0, ms), () => clock.soon(() => this.#look()));
  }

  #look(): void {
    if (this.#over.signal.aborted || this.#isAsking) return;
    const { segments, place, clock } = this.#options;
    const inMs = suspectAt(this.#signs, quorumsOf(segments), place.failoverAfterMs) - clock.now();
    if (inMs > 0) {
      this.#pace.reset();
      this.#lookIn(inMs);
    } else void this.#ask();
  }

  /** Until the writer is known to live, or we are to take its place. */
  async #ask(): Promise<void> {
    const { logger, onElected } = this.#options;
    this.#isAsking = true;
    try {
      for (;;) {
        this.#wake = new AbortController();
        const { states, verdict } = await askWriter(this.#options, this.#over.signal);
        if (this.#over.signal.aborted) return;
        if (verdict.kind === 'alive') {
          this.#candidacy.end();
          // What has come since may say otherwise.
          if (this.#wake.signal.aborted) continue;
          break;
        }
        if (verdict.kind === 'unknown') {
          this.#candidacy.end();
          await this.#sleep(Math.max(verdict.inMs, this.#askAgainInMs()));
          continue;
        }
        this.#pace.reset();
        const turn = this.#candidacy.look(verdict, states);
        if ('kind' in turn) {
          const { why, from, goneForMs } = turn;
          logger.warn({ why, writer: from?.writerId, epoch: from?.epoch, goneForMs }, 'the writer is gone: this reader takes its place');
          this.stop();
          onElected(turn);
          return;
        }
        const { rank, waitMs } = turn;
        logger.info({ rank, waitMs: Math.round(waitMs) }, 'the writer is gone: others may take its place first');
        await this.#sleep(waitMs);
      }
    } finally {
      this.#isAsking = false;
    }
    // The streams may still say too little, when segments that we do not hear are what it lives by.
    this.#lookIn(this.#askAgainInMs());
  }

  #askAgainInMs(): number {
    return Math.min(this.#pace.next(), this.#options.place.failoverAfterMs / 2);
  }

  #sleep(ms: number): Promise<void> {
    return this.#options.clock.sleep(ms, AbortSignal.any([this.#over.signal, this.#wake.signal]));
  }
}
