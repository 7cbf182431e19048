import { Backoff, type Clock, type Timer } from '@kube-aurora/clock';
import { encodeAppendRequest, fromServiceError, type AppendResponse, type AppendStream, type SegmentState } from '@kube-aurora/rpc';
import { countsForWriter, type RedoRing, type EpochStart, type SegmentRole } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import type { Sink } from './fan-out.ts';
import { STREAM_TABLE, type StreamEvent, type StreamPhase } from './stream-table.ts';

/**
 * Redo sent to one segment and not yet acknowledged. More than a disk's moment of slowness, less than would hurt six
 * times.
 */
const IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024;
/** How often a segment that is not fed is asked how far it is. */
const ASK_EVERY_MS = 1000;
const STATUS_DEADLINE_MS = 1000;

/** One segment as its stream knows it. */
export interface SegmentStreamState {
  readonly phase: StreamPhase;
  /** Highest SCL it acknowledged to us. */
  readonly scl: bigint;
  /** Failures of the stream since the epoch began. */
  readonly errors: number;
  readonly lastError: string;
  /** Its disk takes no redo, as it said last. */
  readonly isUnwritable: boolean;
  /** Sent and not acknowledged. */
  readonly inFlightBytes: number;
}

export interface SegmentStreamOptions {
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly history: readonly EpochStart[];
  readonly ring: RedoRing;
  readonly vdl: () => bigint;
  readonly pgmrpl: () => bigint;
  /** The segment holds all redo up to `scl`, and had promised no later writer when it said so. */
  readonly onAcknowledged: (segment: number, scl: bigint) => void;
  /** It acknowledged a batch so many seconds after that was given to its connection. */
  readonly onTook?: ((segment: SegmentEndpoint, seconds: number) => void) | undefined;
  /** The segment knows a later writer. Called at least once; nothing may be acknowledged to PostgreSQL after it. */
  readonly onFenced: (message: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What came with an event. */
interface Seen {
  /** Its SCL, of an answer at our epoch. */
  readonly scl?: bigint;
  readonly message?: string;
}

/** Those that have heard our hello: they hear VDL and PGMRPL too. */
const GREETED: ReadonlySet<StreamPhase> = new Set(['streaming', 'lagging', 'unwritable']);

/**
 * Feeds one segment from the ring over one Append stream, and keeps that stream up. stream-table.ts says what each
 * event does.
 *
 * Invariant: an SCL is passed on only from answers that carry our epoch, on a stream whose hello (with our history) was
 * answered: see QuorumTracker.
 */
export class SegmentStream implements Sink {
  readonly endpoint: SegmentEndpoint;
  readonly #options: SegmentStreamOptions;
  /**
   * Commits may be waiting for this very segment: a daemon that is back is found soon, and a refused connection costs
   * little.
   */
  readonly #backoff: Backoff;
  #phase: StreamPhase = 'away';
  #stream: AppendStream | undefined;
  #blocked = false;
  /** More could have been sent, but too much was in flight. */
  #isHeldBack = false;
  /** Sequence in the ring of the next batch to send. */
  #cursor = 0;
  /** Ends, sizes and times of what was sent on this stream and not acknowledged; #unackedHead is the oldest. */
  #unackedEnd: bigint[] = [];
  #unackedBytes: number[] = [];
  #unackedSentMs: number[] = [];
  #unackedHead = 0;
  #inFlightBytes = 0;
  #scl = 0n;
  #timer: Timer | undefined;
  #lastError = '';
  #isUnwritable = false;
  #isFollowed = false;
  #errors = 0;

  constructor(endpoint: SegmentEndpoint, options: SegmentStreamOptions) {
    this.endpoint = endpoint;
    this.#options = options;
    this.#backoff = new Backoff(50, 300, () => options.clock.random());
  }

  get phase(): StreamPhase {
    return this.#phase;
  }
  get isStreaming(): boolean {
    return this.#phase === 'streaming';
  }
  /** It cannot be spoken to at present. */
  get isAway(): boolean {
    return this.#phase === 'away' || this.#phase === 'connecting';
  }
  get zone(): string {
    return this.endpoint.zone;
  }
  get role(): SegmentRole {
    return this.endpoint.role;
  }
  /** A reader waits there for what becomes durable, as it said last. */
  get isFollowed(): boolean {
    return this.#isFollowed;
  }
  /** Highest SCL it acknowledged to us. */
  get scl(): bigint {
    return this.#scl;
  }
  get state(): SegmentStreamState {
    return {
      phase: this.#phase,
      scl: this.#scl,
      errors: this.#errors,
      lastError: this.#lastError,
      isUnwritable: this.#isUnwritable,
      inFlightBytes: this.#inFlightBytes,
    };
  }

  start(): void {
    this.on('due');
  }

  stop(): void {
    this.on('stop');
  }

  /** Something happened to the segment or its stream. The table decides what comes of it. */
  on(event: StreamEvent, { scl = this.#scl, message = '' }: Seen = {}): void {
    const action = STREAM_TABLE[this.#phase][event];
    switch (action) {
      case 'nothing':
        return;
      case 'throw':
        throw new Error(`the stream of ${this.endpoint.id}, which is ${this.#phase}, was told '${event}'`);
      case 'connect':
        this.#connect();
        return;
      case 'acknowledge':
        this.#acknowledged(scl);
        this.#options.onAcknowledged(this.endpoint.index, scl);
        if (this.#isHeldBack) this.pump();
        return;
      case 'resume':
        this.#acknowledged(scl);
        this.#resume(scl);
        this.#options.onAcknowledged(this.endpoint.index, scl);
        return;
      case 'lag':
        this.#notFed('lagging');
        return;
      case 'hold':
        // It hears VDL and PGMRPL on this stream, takes nothing, and says when that is over.
        this.#isUnwritable = true;
        this.#noteError(`${this.endpoint.id} takes no redo: ${message}`);
        this.#acknowledged(scl);
        this.#notFed('unwritable');
        return;
      case 'ask':
        void this.#ask();
        return;
      case 'askLater':
        this.#later(ASK_EVERY_MS);
        return;
      case 'reconnect':
        this.#noteError(message);
        this.#drop();
        this.#phase = 'away';
        this.#later(this.#backoff.next());
        return;
      case 'fence':
        this.#phase = 'fenced';
        this.#options.onFenced(message);
        return;
      case 'stop':
        this.#phase = 'stopped';
        this.#timer?.cancel();
        this.#drop();
        return;
    }
  }

  /** Sends what the ring has and the segment may be sent. On the path of every commit. */
  pump(): void {
    const stream = this.#stream;
    if (this.#phase !== 'streaming' || stream === undefined) return;
    const { ring } = this.#options;
    this.#isHeldBack = false;
    // A write may find that the stream has broken.
    while (!this.#blocked && stream === this.#stream) {
      if (this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX) {
        this.#isHeldBack = true;
        return;
      }
      if (this.#cursor < ring.nextSequence && ring.get(this.#cursor) === undefined) {
        this.on('fellOff');
        return;
      }
      const entry = ring.get(this.#cursor);
      if (entry === undefined) return;
      this.#cursor++;
      this.#unackedEnd.push(entry.endLsn);
      this.#unackedBytes.push(entry.message.length);
      this.#unackedSentMs.push(this.#options.clock.now());
      this.#inFlightBytes += entry.message.length;
      // What is written in one turn goes as one write of the socket.
      if (!stream.write(entry.message)) this.#blocked = stream === this.#stream;
    }
  }

  /** Tells the segment the present VDL and PGMRPL when there is no redo to carry them. */
  heartbeat(message: Buffer): void {
    if (GREETED.has(this.#phase) && !this.#blocked) this.#stream?.write(message);
  }

  #connect(): void {
    this.#phase = 'connecting';
    const { identity, epoch, history, vdl, pgmrpl } = this.#options;
    const stream = this.endpoint.client.append();
    this.#stream = stream;
    stream.on('data', (response: AppendResponse) => {
      if (stream === this.#stream) this.#receive(response);
    });
    stream.on('drain', () => {
      if (stream !== this.#stream) return;
      this.#blocked = false;
      this.pump();
    });
    stream.on('error', (error: unknown) => {
      if (stream !== this.#stream) return;
      const known = fromServiceError(error, this.endpoint.id);
      this.on(known.code === 'FENCED' ? 'overtaken' : 'broke', known);
    });
    stream.on('end', () => {
      if (stream === this.#stream) this.on('broke', { message: `${this.endpoint.id} ended the stream` });
    });
    stream.write({
      hello: { segment: identity.segment, epoch, writerId: identity.writerId, history: [...history], role: this.endpoint.role },
      batches: undefined,
      vdl: vdl(),
      pgmrpl: pgmrpl(),
    });
  }

  #receive(response: AppendResponse): void {
    const { epoch } = this.#options;
    const { id } = this.endpoint;
    const { result, scl } = response;
    if (response.epoch > epoch) {
      const why = response.message === '' ? '' : `: ${response.message}`;
      this.on('overtaken', { message: `${id} has volume epoch ${response.epoch}, ours is ${epoch}${why}` });
      return;
    }
    const message = `${id} answered ${result} at its SCL ${scl}: ${response.message}`;
    // Four hold our epoch, so whoever refuses it is one that somebody else, who raced us for it and lost, was promised
    // by.
    if (result === 'FENCED' || result === 'REFUSED') this.on('refused', { message });
    else if (result === 'GAP') this.on('gap', { message });
    if (response.epoch !== epoch) return;
    this.#isFollowed = response.followed;
    if (result === 'UNWRITABLE') this.on('diskFull', { scl, message: response.message });
    else if (result === 'OK') this.on('answered', { scl });
  }

  #acknowledged(scl: bigint): void {
    if (scl > this.#scl) this.#scl = scl;
    const { onTook, clock } = this.#options;
    const now = clock.now();
    while (this.#unackedHead < this.#unackedEnd.length) {
      const end = this.#unackedEnd[this.#unackedHead];
      if (end === undefined || end > scl) break;
      this.#inFlightBytes -= this.#unackedBytes[this.#unackedHead] ?? 0;
      onTook?.(this.endpoint, (now - (this.#unackedSentMs[this.#unackedHead] ?? now)) / 1000);
      this.#unackedHead++;
    }
    if (this.#unackedHead === this.#unackedEnd.length) {
      this.#unackedEnd.length = 0;
      this.#unackedBytes.length = 0;
      this.#unackedSentMs.length = 0;
      this.#unackedHead = 0;
    } else if (this.#unackedHead > 1024) {
      this.#unackedEnd = this.#unackedEnd.slice(this.#unackedHead);
      this.#unackedBytes = this.#unackedBytes.slice(this.#unackedHead);
      this.#unackedSentMs = this.#unackedSentMs.slice(this.#unackedHead);
      this.#unackedHead = 0;
    }
  }

  /** Goes on from the segment's SCL, or leaves it to its peers when the ring no longer has that redo. */
  #resume(scl: bigint): void {
    if (this.#phase === 'connecting') {
      this.#backoff.reset();
      this.#lastError = '';
    }
    this.#isUnwritable = false;
    const sequence = this.#options.ring.sequenceAfter(scl);
    if (sequence === undefined) {
      this.#notFed('lagging');
      return;
    }
    if (this.#phase !== 'connecting')
      this.#options.logger.info({ segment: this.endpoint.id, scl }, 'segment has caught up, feeding it again');
    this.#cursor = sequence;
    this.#phase = 'streaming';
    this.#timer?.cancel();
    this.pump();
  }

  #notFed(phase: 'lagging' | 'unwritable'): void {
    if (this.#phase !== 'lagging' && this.#phase !== 'unwritable') {
      this.#options.logger.warn(
        { segment: this.endpoint.id, scl: this.#scl, ringStart: this.#options.ring.startLsn },
        'segment is not fed: it is too far behind, or takes nothing; its peers feed it, and it is asked how far it is',
      );
    }
    this.#phase = phase;
    this.#unackedEnd = [];
    this.#unackedBytes = [];
    this.#unackedSentMs = [];
    this.#unackedHead = 0;
    this.#inFlightBytes = 0;
    this.#later(ASK_EVERY_MS);
  }

  #later(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(ms, () => this.on('due'));
  }

  async #ask(): Promise<void> {
    const { identity, epoch, onAcknowledged } = this.#options;
    const { id, index, client } = this.endpoint;
    let state: SegmentState;
    try {
      state = await client.status(identity.segment, { deadlineMs: STATUS_DEADLINE_MS });
    } catch (error) {
      if (this.#phase === 'lagging' || this.#phase === 'unwritable') this.#noteError(fromServiceError(error, id).message);
      this.on('statusUnknown');
      return;
    }
    const { scl, message } = state;
    if (state.epoch > epoch) this.on('overtaken', { message: `${id} has volume epoch ${state.epoch}, ours is ${epoch}` });
    else if (!countsForWriter(state, epoch)) this.on('statusUnknown');
    else if (state.fault?.kind === 'DISK_FULL' || state.fault?.kind === 'DISK_ERROR') {
      this.on('statusFull', { scl, message });
      if (GREETED.has(this.#phase)) onAcknowledged(index, scl);
    } else this.on('statusWell', { scl });
  }

  #noteError(message: string): void {
    this.#errors++;
    if (message !== this.#lastError)
      this.#options.logger.warn({ segment: this.endpoint.id, reason: message }, 'append stream failed, connecting again');
    this.#lastError = message;
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#isFollowed = false;
    this.#blocked = false;
    this.#unackedEnd = [];
    this.#unackedBytes = [];
    this.#unackedSentMs = [];
    this.#unackedHead = 0;
    this.#inFlightBytes = 0;
    stream?.cancel();
  }
}

/** One message for all streams that carries the points alone. */
export function heartbeatMessage(vdl: bigint, pgmrpl: bigint): Buffer {
  return encodeAppendRequest([], vdl, pgmrpl);
}
