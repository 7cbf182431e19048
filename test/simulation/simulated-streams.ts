import { EventEmitter } from 'node:events';
import {
  AuroraRpcError,
  type AppendRequest,
  type AppendStream,
  type FollowStream,
  type ImportCall,
  type Lane,
  type LaneTerms,
  type TakenAppend,
} from '@kube-aurora/rpc';
import type { Channel } from './network.ts';
import type { SimulatedLane } from './simulated-lane.ts';

/** Both ends of streams over the simulated network, and messages that arrived and wait to be taken. */

const WRITE_BUFFER_BYTES = 64 * 1024;

/** The client's end of a stream that it writes. */
export class ClientEnd extends EventEmitter implements AppendStream, FollowStream, ImportCall {
  channel: Channel | undefined;
  onMessage: (message: unknown) => void = () => undefined;
  onEnd: () => void = () => undefined;
  cancel: () => void = () => undefined;
  #waiting = 0;

  write(message: unknown): boolean {
    const bytes = Buffer.isBuffer(message) ? message.length : 1000;
    this.#waiting += bytes;
    const { channel } = this;
    const life = channel?.from.life;
    channel?.send(() => {
      const wasFull = this.#waiting > WRITE_BUFFER_BYTES;
      this.#waiting -= bytes;
      this.onMessage(message);
      // What was under way may arrive after its sender has died: nobody is there to hear of it.
      if (channel.from.life === life && wasFull && this.#waiting <= WRITE_BUFFER_BYTES) this.emit('drain');
    });
    return this.#waiting <= WRITE_BUFFER_BYTES;
  }

  end(): void {
    this.channel?.send(() => this.onEnd());
  }
}

/** The daemon's end of a stream of messages: Append, Follow. */
export class ServerEnd<Request, Response> extends EventEmitter {
  readonly #send: (response: Response) => void;
  onEnd: () => void = () => undefined;
  onError: (error: unknown) => void = () => undefined;
  /** Of an Append stream: see simulated-lane.ts. */
  makeLane: ((terms: LaneTerms, onTaken: (taken: readonly TakenAppend[]) => void) => SimulatedLane) | undefined;
  #lane: SimulatedLane | undefined;
  #paused = false;
  #received: (Request | 'end')[] = [];
  /** What has come since it was to be kept back; undefined: nothing is. */
  #kept: (Request | 'end')[] | undefined;

  constructor(send: (response: Response) => void) {
    super();
    this.#send = send;
  }

  receive(request: Request | 'end'): void {
    if (this.#kept !== undefined) {
      this.#kept.push(request);
      return;
    }
    if (request !== 'end' && this.#received.length === 0 && this.#lane?.offer(request as AppendRequest) === true) return;
    this.#received.push(request);
    this.#flow();
  }

  #flow(): void {
    while (!this.#paused) {
      const next = this.#received.shift();
      if (next === undefined) return;
      if (next === 'end') this.emit('end');
      else this.emit('data', next);
    }
  }

  write(response: Response): void {
    this.#send(response);
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#flow();
  }

  end(): void {
    this.onEnd();
  }

  fail(error: unknown): void {
    this.onError(error);
  }

  /** Of an Append stream; undefined while something waits to be read. */
  lend(terms: LaneTerms, onTaken: (taken: readonly TakenAppend[]) => void): Lane | undefined {
    if (this.#received.length > 0 || this.#paused) return undefined;
    const lane = this.makeLane?.(terms, onTaken);
    this.#lane = lane;
    this.hold(false);
    return lane;
  }

  hold(isToBe: boolean): boolean {
    const kept = this.#kept ?? [];
    this.#kept = isToBe && this.makeLane !== undefined ? kept : undefined;
    if (this.#kept === undefined) for (const request of kept) this.receive(request);
    return this.#kept !== undefined;
  }
}

/** Messages that arrived and wait to be taken. */
export class Inbox<T> {
  readonly #messages: T[] = [];
  #end: 'open' | 'ended' | AuroraRpcError = 'open';
  #wake: () => void = () => undefined;

  push(message: T): void {
    this.#messages.push(message);
    this.#wake();
  }

  end(): void {
    if (this.#end === 'open') this.#end = 'ended';
    this.#wake();
  }

  fail(error: AuroraRpcError): void {
    if (this.#end === 'open') this.#end = error;
    this.#wake();
  }

  /** Undefined at the end. Throws what it failed with. */
  async next(): Promise<{ readonly message: T } | undefined> {
    while (this.#messages.length === 0 && this.#end === 'open') {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const message = this.#messages.shift();
    if (message !== undefined) return { message };
    if (this.#end instanceof AuroraRpcError) throw this.#end;
    return undefined;
  }

  async *all(): AsyncGenerator<T> {
    for (let next = await this.next(); next !== undefined; next = await this.next()) yield next.message;
  }
}
