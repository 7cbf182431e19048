import { Backoff, type Clock, type Timer } from '@kube-aurora/clock';
import { encodeAppendRequest, fromServiceError, type AppendResponse, type AppendStream, type EpochStart } from '@kube-aurora/rpc';
import { countsForWriter, type RedoRing } from '@kube-aurora/volume';
import type { Logger } from '@kube-aurora/process';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';
import type { Sink } from './fan-out.ts';

/** Redo sent to one segment and not yet acknowledged. More than a disk's moment of slowness, less than would hurt six times. */
const IN_FLIGHT_BYTES_MAX = 4 * 1024 * 1024;
/** How often a segment that its peers feed is asked how far it is. */
const LAGGING_POLL_MS = 1000;
const STATUS_DEADLINE_MS = 1000;

/** connecting: no hello answered yet. streaming: fed from the ring. lagging: fell off the ring, its peers feed it. */
export type StreamPhase = 'connecting' | 'streaming' | 'lagging' | 'stopped';

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

export interface StreamContext {
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly history: readonly EpochStart[];
  readonly ring: RedoRing;
  readonly vdl: () => bigint;
  readonly pgmrpl: () => bigint;
  /** The segment holds all redo up to `scl`, and had promised no later writer when it said so. */
  readonly onAcknowledged: (segment: number, scl: bigint) => void;
  /** The segment knows a later writer. Called at least once; nothing may be acknowledged to PostgreSQL after it. */
  readonly onFenced: (message: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Feeds one segment from the ring over one Append stream, and keeps that stream up.
 *
 * Invariant: an SCL is passed on only from answers that carry our epoch, on a stream whose hello (with our history) was
 * answered: see QuorumTracker.
 */
export class SegmentStream implements Sink {
  readonly endpoint: SegmentEndpoint;
  readonly #context: StreamContext;
  /** Commits may be waiting for this very segment: a daemon that is back is found soon, and a refused connection costs little. */
  readonly #backoff: Backoff;
  #phase: StreamPhase = 'connecting';
  #stream: AppendStream | undefined;
  #blocked = false;
  /** More could have been sent, but too much was in flight. */
  #isHeldBack = false;
  /** Sequence in the ring of the next batch to send. */
  #cursor = 0;
  /** Ends and sizes of what was sent on this stream and not acknowledged; #unackedHead is the oldest. */
  #unackedEnd: bigint[] = [];
  #unackedBytes: number[] = [];
  #unackedHead = 0;
  #inFlightBytes = 0;
  #scl = 0n;
  #timer: Timer | undefined;
  #lastError = '';
  #isUnwritable = false;
  #errors = 0;

  constructor(endpoint: SegmentEndpoint, context: StreamContext) {
    this.endpoint = endpoint;
    this.#context = context;
    this.#backoff = new Backoff(50, 300, () => context.clock.random());
  }

  get phase(): StreamPhase {
    return this.#phase;
  }
  get isStreaming(): boolean {
    return this.#phase === 'streaming';
  }
  get zone(): string {
    return this.endpoint.zone;
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
    this.#connect();
  }

  stop(): void {
    this.#phase = 'stopped';
    this.#timer?.cancel();
    this.#drop();
  }

  /** Sends what the ring has and the segment may be sent. On the path of every commit. */
  pump(): void {
    if (this.#phase !== 'streaming' || this.#stream === undefined) return;
    const { ring } = this.#context;
    this.#isHeldBack = false;
    while (!this.#blocked) {
      if (this.#inFlightBytes >= IN_FLIGHT_BYTES_MAX) {
        this.#isHeldBack = true;
        return;
      }
      if (this.#cursor < ring.nextSequence && ring.get(this.#cursor) === undefined) {
        this.#lag();
        return;
      }
      const entry = ring.get(this.#cursor);
      if (entry === undefined) return;
      this.#cursor++;
      this.#unackedEnd.push(entry.endLsn);
      this.#unackedBytes.push(entry.message.length);
      this.#inFlightBytes += entry.message.length;
      // What is written in one turn goes as one write of the socket.
      if (!this.#stream.write(entry.message)) this.#blocked = true;
    }
  }

  /** Tells the segment the present VDL and PGMRPL when there is no redo to carry them. */
  heartbeat(message: Buffer): void {
    if (this.#phase !== 'connecting' && this.#phase !== 'stopped' && !this.#blocked) this.#stream?.write(message);
  }

  #connect(): void {
    if (this.#phase === 'stopped') return;
    this.#phase = 'connecting';
    const { identity, epoch, history, vdl, pgmrpl } = this.#context;
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
      if (known.code === 'FENCED') this.#context.onFenced(known.message);
      this.#reconnect(known.message);
    });
    stream.on('end', () => {
      if (stream === this.#stream) this.#reconnect(`${this.endpoint.id} ended the stream`);
    });
    stream.write({
      hello: { segment: identity.segment, epoch, writerId: identity.writerId, history: [...history] },
      batches: undefined,
      vdl: vdl(),
      pgmrpl: pgmrpl(),
    });
  }

  #receive(response: AppendResponse): void {
    const { epoch, onFenced, onAcknowledged } = this.#context;
    if (response.epoch > epoch) {
      onFenced(
        `${this.endpoint.id} has volume epoch ${response.epoch}, ours is ${epoch}${response.message === '' ? '' : `: ${response.message}`}`,
      );
      return;
    }
    // Refused at our own epoch: somebody who raced us for it and lost holds this segment's promise. Four hold ours.
    if (response.result === 'FENCED' || response.result === 'REFUSED' || (response.result === 'GAP' && this.#phase === 'streaming')) {
      // What was sent after it would be refused too: begin again from what the segment says it holds.
      this.#reconnect(`${this.endpoint.id} answered ${response.result} at its SCL ${response.scl}: ${response.message}`);
      return;
    }
    if (response.epoch !== epoch) return;
    if (response.result === 'UNWRITABLE') {
      // It hears VDL and PGMRPL on this stream, takes nothing, and says when that is over. What else is in flight it refuses too.
      this.#isUnwritable = true;
      this.#noteError(`${this.endpoint.id} takes no redo: ${response.message}`);
      this.#acknowledged(response.scl);
      if (this.#phase !== 'lagging') this.#lag();
      return;
    }
    this.#acknowledged(response.scl);
    if (this.#phase === 'connecting') {
      this.#backoff.reset();
      this.#lastError = '';
      this.#resume(response.scl);
    }
    onAcknowledged(this.endpoint.index, response.scl);
    if (this.#isHeldBack) this.pump();
  }

  #acknowledged(scl: bigint): void {
    if (scl > this.#scl) this.#scl = scl;
    while (this.#unackedHead < this.#unackedEnd.length) {
      const end = this.#unackedEnd[this.#unackedHead];
      if (end === undefined || end > scl) break;
      this.#inFlightBytes -= this.#unackedBytes[this.#unackedHead] ?? 0;
      this.#unackedHead++;
    }
    if (this.#unackedHead === this.#unackedEnd.length) {
      this.#unackedEnd.length = 0;
      this.#unackedBytes.length = 0;
      this.#unackedHead = 0;
    } else if (this.#unackedHead > 1024) {
      this.#unackedEnd = this.#unackedEnd.slice(this.#unackedHead);
      this.#unackedBytes = this.#unackedBytes.slice(this.#unackedHead);
      this.#unackedHead = 0;
    }
  }

  /** Goes on from the segment's SCL, or leaves it to its peers when the ring no longer has that redo. */
  #resume(scl: bigint): void {
    const sequence = this.#context.ring.sequenceAfter(scl);
    if (sequence === undefined) {
      this.#lag();
      return;
    }
    if (this.#phase === 'lagging') this.#context.logger.info({ segment: this.endpoint.id, scl }, 'segment has caught up, feeding it again');
    this.#cursor = sequence;
    this.#isUnwritable = false;
    this.#phase = 'streaming';
    this.#timer?.cancel();
    this.pump();
  }

  #lag(): void {
    if (this.#phase !== 'lagging') {
      this.#context.logger.warn(
        { segment: this.endpoint.id, scl: this.#scl, ringStart: this.#context.ring.startLsn },
        'segment is not fed: it is too far behind, or takes nothing; its peers feed it, and it is asked how far it is',
      );
    }
    this.#phase = 'lagging';
    this.#unackedEnd = [];
    this.#unackedBytes = [];
    this.#unackedHead = 0;
    this.#inFlightBytes = 0;
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(LAGGING_POLL_MS, () => void this.#pollLagging());
  }

  async #pollLagging(): Promise<void> {
    const { identity, epoch, onAcknowledged, onFenced } = this.#context;
    try {
      const state = await this.endpoint.client.status(identity.segment, { deadlineMs: STATUS_DEADLINE_MS });
      if (this.#phase !== 'lagging') return;
      if (state.epoch > epoch) {
        onFenced(`${this.endpoint.id} has volume epoch ${state.epoch}, ours is ${epoch}`);
        return;
      }
      if (countsForWriter(state, epoch)) {
        this.#acknowledged(state.scl);
        if (state.fault?.kind === 'DISK_FULL' || state.fault?.kind === 'DISK_ERROR') {
          this.#isUnwritable = true;
          this.#noteError(`${this.endpoint.id} takes no redo: ${state.message}`);
          onAcknowledged(this.endpoint.index, state.scl);
          this.#lag();
          return;
        }
        this.#resume(state.scl);
        onAcknowledged(this.endpoint.index, state.scl);
        return;
      }
    } catch (error) {
      this.#noteError(fromServiceError(error, this.endpoint.id).message);
    }
    if (this.#phase === 'lagging') this.#lag();
  }

  #noteError(message: string): void {
    this.#errors++;
    if (message !== this.#lastError)
      this.#context.logger.warn({ segment: this.endpoint.id, reason: message }, 'append stream failed, connecting again');
    this.#lastError = message;
  }

  #reconnect(reason: string): void {
    if (this.#phase === 'stopped') return;
    this.#noteError(reason);
    this.#drop();
    this.#phase = 'connecting';
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(this.#backoff.next(), () => this.#connect());
  }

  #drop(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    this.#blocked = false;
    this.#unackedEnd = [];
    this.#unackedBytes = [];
    this.#unackedHead = 0;
    this.#inFlightBytes = 0;
    stream?.cancel();
  }
}

/** One message for all streams that carries the points alone. */
export function heartbeatMessage(vdl: bigint, pgmrpl: bigint): Buffer {
  return encodeAppendRequest([], vdl, pgmrpl);
}
