import type { Clock, Timer } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type AppendCall, type AppendRequest, type AppendResult, type SegmentId, type TakenAppend } from '@kube-aurora/rpc';
import { batchesIn, RedoBatchError } from '@kube-aurora/volume';
import { StreamLane } from './stream-lane.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { Refusals } from '../edge/refusals.ts';
import type { AppendSession } from '../segment/writer-sessions.ts';

/** One writer's Append stream to one segment. Requests are taken in order; acknowledgements name the durable SCL. */

export interface AppendStreamOptions {
  readonly logger: Logger;
  /** Throws AuroraRpcError NOT_READY when there is no such segment. */
  readonly find: (id: SegmentId) => Segment;
  readonly refusals: Refusals;
  /** Redo is missing here: fetch it from peers. */
  readonly onGap: (segment: Segment) => void;
  /** Seconds from a message's arrival to its acknowledgement, and who took it. */
  readonly onAcknowledged: OnAcknowledged;
  readonly clock: Clock;
}

/** thread: the one that has the connection, which the stream was lent to. program: this program, by all rules. */
export type OnAcknowledged = (seconds: number, by: 'thread' | 'program') => void;

export function serveAppend(call: AppendCall, options: AppendStreamOptions): void {
  new AppendStream(call, options).start();
}

/** Arrival times that are remembered for the latency metric; the rest goes uncounted. */
const TIMED_MAX = 1024;

/**
 * What a writer says of VDL and of its reads is for work in the background, which gathers redo for longer than this,
 * and for reads, which bring it with them: it is passed on once for many batches, and at the latest with so many bytes
 * of redo.
 */
const POINTS_MS = 25;
const POINTS_BYTES = 128 * 1024;

class AppendStream implements AppendSession {
  epoch = 0n;
  #writerId = '';
  /** Who reads at the floor that the stream announces. */
  #compute = '';
  readonly #call: AppendCall;
  readonly #options: AppendStreamOptions;
  #segment: Segment | undefined;
  /** Set once the hello is settled. */
  #lane: StreamLane | undefined;
  #backlog: AppendRequest[] = [];
  #working = false;
  #ended = false;
  #acknowledged = 0n;
  /** The newest that was heard of both, and bytes of redo since they were passed on. */
  #vdl = 0n;
  #pgmrpl = 0n;
  #bytesSincePoints = 0;
  #pointsTimer: Timer | undefined;
  #timed: { endLsn: bigint; at: number }[] = [];

  constructor(call: AppendCall, options: AppendStreamOptions) {
    this.#call = call;
    this.#options = options;
  }

  start(): void {
    const call = this.#call;
    call.on('data', (request: AppendRequest) => this.#receive(request));
    call.on('end', () => {
      if (!this.#working) this.#end();
    });
    call.on('cancelled', () => this.#stop());
  }

  #receive(request: AppendRequest): void {
    if (this.#ended) return;
    this.#lane?.passed(request.batches?.length ?? 0);
    // Most requests need no waiting: they are taken here and now.
    if (!this.#working && this.#segment !== undefined && this.#segment.annulling === undefined) {
      this.#guard(() => this.#take(request));
      this.#throttle();
      return;
    }
    this.#backlog.push(request);
    if (!this.#working) void this.#work();
  }

  /** Requests that must wait: for the hello to be settled, or for redo to be annulled. */
  async #work(): Promise<void> {
    this.#working = true;
    this.#call.pause();
    try {
      for (let request = this.#backlog.shift(); request !== undefined && !this.#ended; request = this.#backlog.shift()) {
        if (this.#segment === undefined) await this.#hello(request);
        await this.#segment?.annulling;
        const one = request;
        this.#guard(() => this.#take(one));
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#working = false;
      this.#call.resume();
    }
  }

  async #hello(request: AppendRequest): Promise<void> {
    const { hello } = request;
    if (hello === undefined) throw new AuroraRpcError('INVALID', 'hello: the first message must carry it');
    checkMessage('AppendHello', hello, 'hello');
    const segment = this.#options.find(hello.segment);
    segment.refuseOtherRole(hello.role, 'hello.role');
    this.epoch = hello.epoch;
    this.#writerId = hello.writerId;
    this.#compute = `${hello.writerId}@${hello.epoch}`;
    try {
      await segment.attach(this, hello.writerId, hello.history);
    } catch (error) {
      if (error instanceof AuroraRpcError && error.code === 'FENCED') {
        this.#segment = segment;
        this.fence(segment.control.epoch);
        return;
      }
      throw error;
    }
    this.#segment = segment;
    this.#lane = new StreamLane({
      call: this.#call,
      segment,
      epoch: this.epoch,
      clock: this.#options.clock,
      onTaken: (taken, endLsn) => this.#taken(taken, endLsn),
    });
    segment.noteWriterHeard(this.epoch, this.#writerId);
    this.#respond(segment.scl, 'OK', '');
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #take(request: AppendRequest): void {
    const segment = this.#segment;
    if (segment === undefined || this.#ended) return;
    const { batches, vdl, pgmrpl } = request;
    checkMessage('AppendPoints', request);
    if (vdl > this.#vdl) this.#vdl = vdl;
    if (pgmrpl > this.#pgmrpl) this.#pgmrpl = pgmrpl;
    if (batches !== undefined && batches.length > 0) {
      this.#takeBatches(segment, batches);
      this.#bytesSincePoints += batches.length;
      if (this.#bytesSincePoints < POINTS_BYTES) {
        this.#pointsTimer ??= this.#options.clock.after(POINTS_MS, () => this.#notePoints());
        return;
      }
    }
    this.#notePoints();
  }

  #notePoints(): void {
    this.#pointsTimer?.cancel();
    this.#pointsTimer = undefined;
    this.#bytesSincePoints = 0;
    const segment = this.#segment;
    segment?.noteWriterHeard(this.epoch, this.#writerId);
    if (this.#vdl > 0n) segment?.noteVdl(this.#vdl, this.epoch);
    if (this.#pgmrpl > 0n) segment?.noteReadFloor(this.#compute, this.#pgmrpl, this.epoch);
  }

  /** Requests that the connection's thread has taken and acknowledged. */
  #taken(taken: readonly TakenAppend[], endLsn: bigint): void {
    if (endLsn > this.#acknowledged) this.#acknowledged = endLsn;
    for (const { vdl, pgmrpl, batches, waitSeconds } of taken) {
      if (vdl > this.#vdl) this.#vdl = vdl;
      if (pgmrpl > this.#pgmrpl) this.#pgmrpl = pgmrpl;
      if (batches.length > 0) this.#options.onAcknowledged(waitSeconds, 'thread');
    }
    this.#notePoints();
  }

  /** Takes batches in order up to the first that does not fit: what follows it would not fit either. */
  #takeBatches(segment: Segment, batches: Buffer): void {
    let endLsn = 0n;
    try {
      for (const { header, batch } of batchesIn(batches)) {
        if (header.epoch > this.epoch) throw new RedoBatchError('epoch', `${header.epoch} is past the stream's epoch ${this.epoch}`);
        const outcome = segment.append(header, batch);
        if (outcome === 'unwritable') {
          this.#respond(segment.scl, 'UNWRITABLE', segment.unwritable ?? '');
          return;
        }
        if (outcome === 'gap') {
          this.#respond(segment.scl, 'GAP', '');
          this.#options.onGap(segment);
          return;
        }
        endLsn = header.endLsn;
      }
      if (endLsn <= segment.scl) this.#respond(segment.scl, 'OK', '');
      else if (this.#timed.length < TIMED_MAX) this.#timed.push({ endLsn, at: this.#options.clock.now() });
    } catch (error) {
      if (error instanceof RedoBatchError || (error instanceof AuroraRpcError && error.code === 'INVALID')) {
        const refusal = new AuroraRpcError('INVALID', error.message, 'batch');
        this.#options.refusals.note('Append', refusal, { volume: segment.volumeId });
        this.#respond(segment.scl, 'REFUSED', error.message);
      } else throw error;
    }
  }

  /** Holds the stream back while the disk, the index or what is applied is behind. */
  #throttle(): void {
    const segment = this.#segment;
    if (segment === undefined || segment.queuedBytes <= segment.limits.queueBytes) return;
    segment.storage?.takeBack();
    this.#call.pause();
    const half = segment.limits.queueBytes / 2;
    void segment
      .until(() => segment.queuedBytes <= half, this.#options.clock.now() + 1000)
      .then(() => {
        if (!this.#working) this.#call.resume();
      });
  }

  acknowledge(scl: bigint): void {
    if (scl <= this.#acknowledged) return;
    this.#acknowledged = scl;
    this.#respond(scl, 'OK', '');
    const now = this.#options.clock.now();
    let count = 0;
    while (count < this.#timed.length && (this.#timed[count]?.endLsn ?? 0n) <= scl) {
      this.#options.onAcknowledged((now - (this.#timed[count]?.at ?? now)) / 1000, 'program');
      count++;
    }
    if (count > 0) this.#timed.splice(0, count);
    this.#lane?.consider();
  }

  fence(epoch: bigint): void {
    // Everything that was acknowledged is here before anybody hears of the new epoch.
    this.#lane?.end();
    this.#segment?.releaseReadFloor(this.#compute);
    this.#respond(this.#segment?.scl ?? 0n, 'FENCED', `epoch ${this.epoch} is over; the segment has promised ${epoch}`);
    this.#end();
  }

  close(): void {
    this.#fail(new AuroraRpcError('NOT_READY', 'the storage daemon is stopping'));
  }

  #respond(scl: bigint, result: AppendResult, message: string): void {
    if (this.#ended) return;
    const followed = this.#segment?.followers.areWaiting ?? false;
    this.#call.write({ scl, result, epoch: this.#segment?.control.epoch ?? 0n, message, followed });
  }

  #fail(error: unknown): void {
    if (this.#ended) return;
    this.#stop();
    this.#options.refusals.note('Append', error);
    this.#call.fail(error);
  }

  #end(): void {
    if (this.#ended) return;
    this.#stop();
    this.#call.end();
  }

  #stop(): void {
    this.#lane?.end();
    if (this.#pointsTimer !== undefined) this.#notePoints();
    this.#ended = true;
    this.#backlog = [];
    this.#segment?.detach(this);
  }
}
