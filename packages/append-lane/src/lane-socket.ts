import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { getSystemErrorName } from 'node:util';
import type { Clock } from '@kube-aurora/clock';
import { NEWS, type Addon, type ConnectionHandle, type ContextHandle, type News } from './addon.ts';
import { takenIn, type TakenAppend } from './taken.ts';

/** What is lent to a connection's thread: where the chain of a log ends, and where in its newest file the next batch goes. */
export interface LaneTerms {
  readonly descriptor: number;
  readonly offset: number;
  /** The file is filled with zeros up to here, and has room up to `capacity`: it is filled on, in stretches, by whom it is lent to. */
  readonly filled: number;
  readonly capacity: number;
  readonly epoch: bigint;
  readonly pg: number;
  readonly end: { readonly lsn: bigint; readonly epoch: bigint };
  /** Does a reader wait for what becomes durable? */
  readonly isFollowed: boolean;
}

/** A stream that is lent. */
export interface Lane {
  /** Everything that was taken has been told when it returns. */
  refresh(): void;
  /** Takes it back: nothing is taken any more, and everything that was has been told when it returns. */
  reclaim(): void;
}

/** Who is at the other end, as TLS has it. */
export interface ShownCertificate {
  /** DER; undefined: none was shown. */
  readonly certificate: Buffer | undefined;
  /** Is its chain good, by the authorities of the context? */
  readonly isVerified: boolean;
}

/** What the thread tells of at once, mostly. */
const ROOM_BYTES = 512 * 1024;
const NO_ROOM = Buffer.alloc(0);

/** The batches are views, which are others' once it returns. */
type OnTaken = (taken: readonly TakenAppend[]) => void;

interface SocketHandle {
  readonly fd: number;
  reading: boolean;
  readStop(): number;
}

/** What of an accepted socket was read already; its owner reads nothing more of it. */
function takeOver(socket: Socket): { readonly descriptor: number; readonly first: Buffer } {
  // Node has no other way to give a connection to somebody else.
  const handle = (socket as unknown as { readonly _handle: SocketHandle | null })._handle;
  if (handle === null || handle.fd < 0) throw new Error('the connection is over');
  socket.pause();
  const read: Buffer[] = [];
  for (let chunk: unknown = socket.read(); Buffer.isBuffer(chunk); chunk = socket.read()) read.push(chunk);
  // After that: asking for what is there may have it begin to read.
  handle.readStop();
  handle.reading = false;
  return { descriptor: handle.fd, first: Buffer.concat(read) };
}

export interface LaneSocketOptions {
  readonly addon: Addon;
  /** Undefined: plain text. */
  readonly context: ContextHandle | undefined;
  readonly clock: Clock;
}

/**
 * A connection that has a thread of its own (native/connection.h): a stream of bytes as any other, and streams of frames on it can be lent to
 * the thread. The socket that it was made of stays open for as long, and goes with it.
 *
 * Invariants: what was taken is told before anything that came after it; while a lane is being reclaimed nothing but what was taken is told; memory in which
 * something was told is used again only when nobody is hearing of it any more.
 */
export class LaneSocket extends Duplex {
  readonly #addon: Addon;
  readonly #clock: Clock;
  readonly #socket: Socket;
  /** Undefined once nothing is kept of it. */
  #handle: ConnectionHandle | undefined;
  readonly #lanes = new Map<number, OnTaken>();
  /** Taken and not told yet, by stream and in order. */
  readonly #taken = new Map<number, TakenAppend[]>();
  /** Where that stands: made when something is lent, and used again once all of it was told. */
  #room = NO_ROOM;
  #roomIsUsed = false;
  /** Came, and is to be read; and what else is to be told. */
  #unread: Buffer[] = [];
  #flags = 0;
  #failure: Error | undefined;
  #deliveryIsPlanned = false;
  /** Called when the network has taken what waited. */
  #whenWritable: (() => void) | undefined;
  #whenStopped: ((error?: Error | null) => void) | undefined;

  /** Throws when the connection is over already, or no thread can be had. */
  constructor(socket: Socket, { addon, context, clock }: LaneSocketOptions) {
    super();
    this.#addon = addon;
    this.#clock = clock;
    this.#socket = socket;
    const { descriptor, first } = takeOver(socket);
    this.#handle = addon.start(descriptor, context, first, () => this.#hear());
    socket.once('close', () => this.destroy());
  }

  /** Of the handshake: to be asked for at 'secured'. */
  get shown(): ShownCertificate {
    const { certificate, isVerified } = this.#handle === undefined ? { isVerified: false } : this.#addon.peer(this.#handle);
    return { certificate, isVerified };
  }

  /**
   * Lends a stream. Undefined where that cannot be now: something that came on the connection has not been read yet, or too many are lent.
   * `onTaken` hears what was taken, a little later, and when the lane is reclaimed.
   */
  lend(stream: number, terms: LaneTerms, onTaken: OnTaken): Lane | undefined {
    const handle = this.#handle;
    if (handle === undefined || this.destroyed || this.#unread.length > 0) return undefined;
    const { descriptor, offset, filled, capacity, epoch, pg, end, isFollowed } = terms;
    if (!this.#addon.lend(handle, stream, descriptor, offset, filled, capacity, epoch, pg, end.lsn, end.epoch, isFollowed))
      return undefined;
    this.#lanes.set(stream, onTaken);
    if (this.#room === NO_ROOM) this.#room = Buffer.allocUnsafeSlow(ROOM_BYTES);
    return { refresh: () => this.#refresh(stream), reclaim: () => this.#reclaim(stream) };
  }

  /**
   * Has the next message of a stream, and all that comes behind it, kept back, until it is lent or is to be no longer. Gives whether that is so: it
   * is of one stream at a time.
   */
  hold(stream: number, isToBe: boolean): boolean {
    return this.#handle !== undefined && this.#addon.hold(this.#handle, stream, isToBe);
  }

  #reclaim(stream: number): void {
    if (this.#handle === undefined) return;
    this.#addon.reclaim(this.#handle, stream);
    this.#refresh(stream);
    this.#lanes.delete(stream);
  }

  #refresh(stream: number): void {
    this.#collect();
    this.#tell(stream);
    this.#planDelivery();
  }

  /** The thread has news. */
  #hear(): void {
    this.#collect();
    for (const stream of this.#taken.keys()) this.#tell(stream);
    this.#roomIsUsed = false;
    this.#deliver();
  }

  #collect(): void {
    if (this.#handle === undefined) return;
    const room = this.#roomIsUsed ? NO_ROOM : this.#room;
    const news = this.#addon.collect(this.#handle, room);
    if (news.toldBytes > 0) {
      this.#roomIsUsed = true;
      this.#keep(room.subarray(0, news.toldBytes));
    }
    if (news.taken !== undefined) this.#keep(news.taken);
    if (news.passed !== undefined) this.#unread.push(news.passed);
    this.#flags |= news.flags;
    if ((news.flags & NEWS.FAILED) !== 0) this.#failure = failureOf(news);
  }

  #keep(told: Buffer): void {
    for (const one of takenIn(told)) {
      const before = this.#taken.get(one.stream);
      if (before === undefined) this.#taken.set(one.stream, [one]);
      else before.push(one);
    }
  }

  /** Whoever hears it may reclaim its lane, or another one, within. */
  #tell(stream: number): void {
    const taken = this.#taken.get(stream);
    if (taken === undefined) return;
    this.#taken.delete(stream);
    const onTaken = this.#lanes.get(stream);
    if (onTaken === undefined) throw new Error(`stream ${stream} took redo and is not lent`);
    onTaken(taken);
  }

  #planDelivery(): void {
    if (this.#deliveryIsPlanned || (this.#unread.length === 0 && this.#flags === 0 && this.#taken.size === 0)) return;
    this.#deliveryIsPlanned = true;
    this.#clock.soon(() => {
      this.#deliveryIsPlanned = false;
      this.#hear();
    });
  }

  #deliver(): void {
    for (let chunk = this.#unread.shift(); chunk !== undefined; chunk = this.#unread.shift()) if (!this.destroyed) this.push(chunk);
    const flags = this.#flags;
    this.#flags = 0;
    if ((flags & NEWS.SECURED) !== 0) this.emit('secured');
    if ((flags & NEWS.WRITABLE) !== 0) {
      const whenWritable = this.#whenWritable;
      this.#whenWritable = undefined;
      whenWritable?.();
    }
    if ((flags & NEWS.FAILED) !== 0) this.destroy(this.#failure);
    if ((flags & NEWS.ENDED) !== 0 && !this.destroyed) this.push(null);
    if ((flags & NEWS.STOPPED) !== 0) this.#stopped();
  }

  override _read(): void {
    // It comes when it comes; how much may wait here is for frames' windows.
  }

  #send(pieces: readonly Buffer[], done: (error?: Error | null) => void): void {
    if (this.#handle === undefined || this.#addon.send(this.#handle, pieces) === 0) done();
    else this.#whenWritable = done;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send([chunk], done);
  }

  override _writev(chunks: readonly { readonly chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      done,
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    if (this.#handle !== undefined) this.#addon.end(this.#handle);
    done();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (this.#handle === undefined) {
      done(error);
      return;
    }
    this.#whenStopped = () => done(error);
    this.#addon.close(this.#handle);
    this.#socket.destroy();
  }

  /** The thread has said its last. */
  #stopped(): void {
    if (this.#handle !== undefined) this.#addon.free(this.#handle);
    this.#handle = undefined;
    this.#whenStopped?.();
  }
}

function failureOf({ error, problem }: News): Error {
  if (problem !== '') return Object.assign(new Error(problem), { code: problem });
  const code = getSystemErrorName(-error);
  return Object.assign(new Error(`the connection broke: ${code}`), { code });
}
