import type { Clock } from '@kube-aurora/clock';
import {
  AuroraRpcError,
  NEVER_PROMOTED,
  type FollowCall,
  type FollowHello,
  type FollowRequest,
  type FollowWants,
  type SegmentId,
} from '@kube-aurora/rpc';
import { asRpcError } from '../edge/calls.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { Refusals } from '../edge/refusals.ts';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { Follower } from '../segment/followers.ts';
import type { RedoStorage } from '../segment/redo-storage.ts';
import type { Segment } from '../segment/segment.ts';

/**
 * One reader's Follow stream to one segment.
 *
 * Invariants:
 * - a reader is sent whole batches that end at or below the VDL that the segment knows, and nothing else: what it has
 *   is never annulled;
 * - each batch that it is sent follows the one before; the first is the one that has redo right after where it begins;
 * - what was sent and not taken is at most WINDOW_BYTES and one stretch: a reader that takes nothing costs no more, and
 *   holds nobody up;
 * - from its first word on its read floor counts here, until LEFT_MS after its stream is over;
 * - it hears of another writer's promise as soon as that is on the disk, and of a lease that is given back at once.
 */
const WINDOW_BYTES = 2 * 1024 * 1024;
const STRETCH_BYTES = 256 * 1024;
/** Sixteen computes have one or two each; as many may be named in a segment's state (message-rules.ts). */
const FOLLOWERS_MAX = 128;

export interface FollowStreamOptions {
  /** Throws AuroraRpcError NOT_READY when there is no such segment. */
  readonly find: (id: SegmentId) => Segment;
  readonly refusals: Refusals;
  /** Redo that was to be sent is damaged here. */
  readonly onLogDamage: (segment: Segment, error: LogReadError) => void;
  /** So many bytes of redo were sent. */
  readonly onSent: (bytes: number) => void;
  readonly clock: Clock;
}

export function serveFollow(call: FollowCall, options: FollowStreamOptions): void {
  new FollowSession(call, options).start();
}

class FollowSession implements Follower {
  reader = '';
  wants: FollowWants = 'FLOOR';
  takenLsn = 0n;
  promotionTier = NEVER_PROMOTED;
  heardAtMs = 0;
  readonly #call: FollowCall;
  readonly #options: FollowStreamOptions;
  #segment: Segment | undefined;
  /** End of what was sent; undefined while it is not known which batch is the first. */
  #sentLsn: bigint | undefined;
  /** What was sent and not taken: ends and sizes, oldest first. */
  #untaken: { readonly endLsn: bigint; readonly bytes: number }[] = [];
  #untakenBytes = 0;
  #isPlanned = false;
  #isOver = false;

  constructor(call: FollowCall, options: FollowStreamOptions) {
    this.#call = call;
    this.#options = options;
  }

  start(): void {
    this.#call.on('data', (request) => this.#guard(() => this.#receive(request)));
    this.#call.on('end', () => {
      if (this.#isOver) return;
      this.#stop();
      this.#call.end();
    });
    this.#call.on('cancelled', () => this.#stop());
  }

  moved(): void {
    if (this.wants !== 'REDO' || this.#isPlanned || this.#isOver) return;
    // The writer that is being served goes first.
    this.#isPlanned = true;
    this.#options.clock.soon(() => {
      this.#isPlanned = false;
      this.#guard(() => this.#pump());
    });
  }

  writerChanged(): void {
    if (this.#isOver) return;
    this.#guard(() => this.#write());
  }

  close(): void {
    this.#fail(new AuroraRpcError('NOT_READY', 'the storage daemon is stopping'));
  }

  #receive(request: FollowRequest): void {
    if (this.#isOver) return;
    checkMessage('FollowPoints', request);
    this.heardAtMs = this.#options.clock.now();
    const segment = this.#segment;
    if (segment === undefined) this.#begin(request);
    else if (request.hello !== undefined) throw new AuroraRpcError('INVALID', 'hello: only the first message carries one');
    else {
      segment.noteReadersFloor(this.reader, request.readFloor);
      if (request.xmins !== undefined) segment.noteReadersXmins(this.reader, request.xmins);
      this.#take(request.takenLsn);
      // Whoever says something wants to hear that we are here, and how far.
      this.#write();
    }
    this.#pump();
  }

  #begin({ hello, takenLsn, readFloor }: FollowRequest): void {
    checkMessage('FollowHello', hello as FollowHello, 'hello');
    if (hello === undefined) return;
    if (hello.wants === 'REDO' && takenLsn === 0n)
      throw new AuroraRpcError('INVALID', 'taken_lsn: 0; redo begins at an LSN that a record ends at');
    const segment = this.#options.find(hello.segment);
    if (segment.followers.size >= FOLLOWERS_MAX)
      throw new AuroraRpcError('REFUSED', `follow: ${FOLLOWERS_MAX} readers follow the segment, and no more are taken`, 'too-many');
    heldBy(segment);
    this.reader = hello.readerId;
    this.promotionTier = hello.promotionTier;
    this.wants = hello.wants;
    this.takenLsn = takenLsn;
    this.#segment = segment;
    segment.followers.add(this);
    // Acknowledgements say whether a reader waits: what was lent without it is taken back.
    segment.storage?.takeBack();
    segment.noteReadersFloor(this.reader, readFloor);
    this.#write();
  }

  /** Says how far redo is durable, and how the writer is; with redo, or without. */
  #write(batches?: Buffer): void {
    const segment = this.#segment;
    if (segment !== undefined) this.#call.write({ vdl: segment.storage?.vdl ?? 0n, batches, ...segment.writerSign });
  }

  #take(takenLsn: bigint): void {
    if (takenLsn > this.takenLsn) this.takenLsn = takenLsn;
    let count = 0;
    for (const { endLsn, bytes } of this.#untaken) {
      if (endLsn > takenLsn) break;
      this.#untakenBytes -= bytes;
      count++;
    }
    this.#untaken.splice(0, count);
  }

  /** Sends what is durable and known to be, as much as the reader has room for. */
  #pump(): void {
    const segment = this.#segment;
    if (segment === undefined || this.#isOver) return;
    const storage = heldBy(segment);
    if (this.wants !== 'REDO') return;
    try {
      this.#sentLsn ??= storage.batchAt(this.takenLsn);
      while (this.#sentLsn !== undefined && this.#untakenBytes < WINDOW_BYTES) {
        const { batches, endLsn } = storage.redoToFollow(this.#sentLsn, STRETCH_BYTES);
        if (batches.length === 0) return;
        this.#sentLsn = endLsn;
        this.#untaken.push({ endLsn, bytes: batches.length });
        this.#untakenBytes += batches.length;
        this.#write(batches);
        this.#options.onSent(batches.length);
      }
    } catch (error) {
      if (error instanceof LogReadError) this.#options.onLogDamage(segment, error);
      throw asRpcError(error);
    }
  }

  #guard(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#fail(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#stop();
    this.#options.refusals.note('Follow', error);
    this.#call.fail(error);
  }

  #stop(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#segment?.followers.remove(this);
    this.#segment?.storage?.takeBack();
    if (this.reader !== '') this.#segment?.readerLeft(this.reader);
  }
}

/** Throws AuroraRpcError NOT_READY of a segment that has no redo to give. */
function heldBy(segment: Segment): RedoStorage {
  if (segment.storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return segment.storage;
}
