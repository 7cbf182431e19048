import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import type { Clock } from '@kube-aurora/clock';
import { LaneSocket, type AppendLanes, type Lane, type LaneTerms, type TakenAppend } from '@kube-aurora/append-lane';
import {
  LAYOUTS,
  ServerConnection,
  type FrameErrorReason,
  type Opening,
  type ServerStream,
  type ServerStreamOwner,
} from '@kube-aurora/frames';
import type { AppendCall, FollowCall } from './api.ts';
import { listenBounded, SERVER_LIMITS, type ConnectionLimits } from './bounded-listener.ts';
import { PLAIN_TEXT, type Credentials } from './credentials.ts';
import { AuroraRpcError } from './errors.ts';
import { APPEND_BYTES_MAX, errorNumber, HELLO, HELLO_TIMEOUT_MS, STREAM_KINDS } from './frame-streams.ts';
import {
  decodeAppendHello,
  decodeAppendRequest,
  decodeFollowHello,
  decodeFollowRequest,
  encodeAppendResponse,
  encodeFollowedHead,
} from './hot-codec.ts';
import type { AppendRequest, AppendResponse, FollowedRedo, FollowRequest } from './hot-messages.ts';
import { serveLeaseRequest } from './lease-request.ts';
import { PageRequests } from './page-requests.ts';
import type { HotHandlers } from './server.ts';
import { WireError } from './wire-fields.ts';

/** What anybody who can reach the port may have of it beside what the hello says. */
export const FRAMES_LIMITS = {
  /** Append streams of one connection: a compute has one for each protection group that a daemon holds. */
  appendStreams: 32,
  /** Follow streams of one connection, as many. */
  followStreams: 32,
} as const;

/** What one acknowledgement takes on the wire. */
const ACKNOWLEDGED_BYTES = LAYOUTS.frame.size + LAYOUTS.acknowledgement.size;

/** Ends that are the other side's doing: the rule that it broke, for the metric. */
const BROKEN_RULES: Partial<Record<FrameErrorReason, string>> = {
  NOT_FRAMES: 'not-frames',
  VERSION: 'version',
  MALFORMED: 'malformed',
  TOO_MUCH: 'too-much',
};

export interface FramesTraffic {
  readonly connections: number;
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

/** A server of frames that is listening. */
export interface FramesListener {
  readonly port: number;
  traffic(): FramesTraffic;
  /** Ends every connection. */
  close(): void;
}

export interface FramesOptions {
  readonly clock: Clock;
  /** A connection was one too many. */
  readonly onTurnedAway: () => void;
  /**
   * A message of which nothing was taken, since it is not what its call takes; a connection ('frames') that spoke
   * otherwise.
   */
  readonly onRefused: (rpc: string, error: AuroraRpcError) => void;
  readonly limits?: ConnectionLimits;
  readonly credentials?: Credentials;
  /** Append streams can be lent to threads. */
  readonly lanes?: AppendLanes;
}

/** Serves Append, Follow, GetPages and RenewLease over frames at `address` (`host:port`; port 0 takes a free one). */
export async function listenFrames(address: string, handlers: HotHandlers, options: FramesOptions): Promise<FramesListener> {
  const { clock, onTurnedAway, onRefused, limits = SERVER_LIMITS, credentials = PLAIN_TEXT } = options;
  const connections = new Set<ServerConnection>();
  let receivedBefore = 0;
  let sentBefore = 0;
  const serve = (stream: Duplex): void => {
    const served = new ServedConnection(handlers, options, stream instanceof LaneSocket ? stream : undefined);
    const connection: ServerConnection = new ServerConnection(stream, {
      hello: HELLO,
      helloTimeoutMs: HELLO_TIMEOUT_MS,
      clock,
      serve: (opening) => served.serve(opening),
      onClosed: (error) => {
        connections.delete(connection);
        receivedBefore += connection.receivedBytes;
        sentBefore += connection.sentBytes;
        const rule = BROKEN_RULES[error.reason];
        if (rule !== undefined) onRefused('frames', new AuroraRpcError('INVALID', error.message, rule));
      },
    });
    connections.add(connection);
  };
  const carried = options.lanes === undefined ? {} : { lanes: options.lanes };
  const accept = credentials.acceptor({ part: 'frames', roles: ['compute'], admitted: serve, ...carried });
  const listener = await listenBounded(address, limits, onTurnedAway, accept);
  return {
    port: listener.port,
    traffic: () => {
      let receivedBytes = receivedBefore;
      let sentBytes = sentBefore;
      for (const connection of connections) {
        receivedBytes += connection.receivedBytes;
        sentBytes += connection.sentBytes;
      }
      return { connections: connections.size, receivedBytes, sentBytes };
    },
    close: () => {
      for (const connection of connections) connection.close();
      listener.close();
    },
  };
}

/** The streams of one connection. */
class ServedConnection {
  readonly #handlers: HotHandlers;
  readonly #options: FramesOptions;
  readonly #pages: PageRequests;
  readonly #lanes: LaneSocket | undefined;
  #appendStreams = 0;
  #followStreams = 0;

  constructor(handlers: HotHandlers, options: FramesOptions, lanes: LaneSocket | undefined) {
    this.#lanes = lanes;
    this.#handlers = handlers;
    this.#options = options;
    this.#pages = new PageRequests(handlers, options.clock);
  }

  serve({ kind, first, deadlineMs, stream }: Opening): ServerStreamOwner | undefined {
    if (kind === STREAM_KINDS.GET_PAGES) {
      return this.#opened('GetPages', stream, () => this.#pages.serve(first, deadlineMs, stream));
    }
    if (kind === STREAM_KINDS.RENEW_LEASE) {
      const { clock } = this.#options;
      return this.#opened('RenewLease', stream, () => serveLeaseRequest(first, deadlineMs, stream, this.#handlers, clock));
    }
    if (kind === STREAM_KINDS.APPEND) {
      return this.#opened('Append', stream, () => {
        const max = FRAMES_LIMITS.appendStreams;
        if (this.#appendStreams >= max)
          throw new AuroraRpcError('REFUSED', `append: ${max} streams are open, and no more are taken`, 'too-many');
        const hello = decodeAppendHello(first);
        this.#appendStreams++;
        const call = new FramedAppendCall(this.#lanes, 'Append', stream, this.#options.onRefused, () => this.#appendStreams--);
        stream.serve(call);
        this.#handlers.append(call);
        call.receive(hello);
        return call;
      });
    }
    if (kind === STREAM_KINDS.FOLLOW) {
      return this.#opened('Follow', stream, () => {
        const max = FRAMES_LIMITS.followStreams;
        if (this.#followStreams >= max)
          throw new AuroraRpcError('REFUSED', `follow: ${max} streams are open, and no more are taken`, 'too-many');
        const hello = decodeFollowHello(first);
        this.#followStreams++;
        const call = new FramedFollowCall('Follow', stream, this.#options.onRefused, () => this.#followStreams--);
        stream.serve(call);
        this.#handlers.follow(call);
        call.receive(hello);
        return call;
      });
    }
    return this.#opened('open', stream, () => {
      throw new AuroraRpcError('INVALID', `open.kind: there is no stream of kind ${kind}`);
    });
  }

  #opened(rpc: string, stream: ServerStream, open: () => ServerStreamOwner): ServerStreamOwner | undefined {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof WireError) && !(error instanceof AuroraRpcError)) throw error;
      const known = error instanceof AuroraRpcError ? error : new AuroraRpcError('INVALID', error.message);
      this.#options.onRefused(rpc, known);
      stream.fail(errorNumber(known.code), known.message);
      return undefined;
    }
  }
}

/** The daemon's end of a stream of messages. */
abstract class FramedCall<Request> extends EventEmitter implements ServerStreamOwner {
  abstract readonly messageBytesMax: number;
  protected readonly stream: ServerStream;
  readonly #rpc: string;
  readonly #onRefused: FramesOptions['onRefused'];
  readonly #onFinished: () => void;

  constructor(rpc: string, stream: ServerStream, onRefused: FramesOptions['onRefused'], onFinished: () => void) {
    super();
    this.#rpc = rpc;
    this.stream = stream;
    this.#onRefused = onRefused;
    this.#onFinished = onFinished;
  }

  protected abstract decode(message: Buffer): Request;

  receive(request: Request): void {
    this.emit('data', request);
  }

  message(message: Buffer): void {
    let request: Request;
    try {
      request = this.decode(message);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      const known = new AuroraRpcError('INVALID', error.message);
      this.#onRefused(this.#rpc, known);
      this.fail(known);
      this.emit('cancelled');
      return;
    }
    this.emit('data', request);
  }

  ended(): void {
    this.emit('end');
  }

  cancelled(): void {
    this.emit('cancelled');
  }

  finished(): void {
    this.#onFinished();
  }

  speak(): void {
    // Says nothing that could give way to something newer.
  }

  fail(error: unknown): void {
    this.speak();
    const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
    this.stream.fail(errorNumber(code), error instanceof Error ? error.message : String(error));
  }

  pause(): void {
    this.stream.pause();
  }

  resume(): void {
    this.stream.resume();
  }

  end(): void {
    this.speak();
    this.stream.end();
  }
}

/** Of one Append stream. An acknowledgement that waits for the socket gives way to a later one: that says it all. */
class FramedAppendCall extends FramedCall<AppendRequest> implements AppendCall {
  readonly messageBytesMax = APPEND_BYTES_MAX;
  readonly #lanes: LaneSocket | undefined;
  #acknowledgement: AppendResponse | undefined;

  constructor(lanes: LaneSocket | undefined, ...call: ConstructorParameters<typeof FramedCall<AppendRequest>>) {
    super(...call);
    this.#lanes = lanes;
  }

  protected decode(message: Buffer): AppendRequest {
    return decodeAppendRequest(message);
  }

  override speak(): void {
    if (this.#acknowledgement === undefined) return;
    this.stream.say(encodeAppendResponse(this.#acknowledgement));
    this.#acknowledgement = undefined;
  }

  write(response: AppendResponse): void {
    if (response.result === 'OK' && response.message === '') {
      this.#acknowledgement = response;
      this.stream.wantsToSpeak();
      return;
    }
    this.speak();
    this.stream.say(encodeAppendResponse(response));
  }

  lend(terms: LaneTerms, onTaken: (taken: readonly TakenAppend[]) => void): Lane | undefined {
    // An acknowledgement of before would come after a later one.
    if (this.#acknowledgement !== undefined) return undefined;
    return this.#lanes?.lend(this.stream.id, terms, (taken) => {
      for (const { frameBytes, frames, syncMs } of taken)
        this.stream.takenElsewhere(frameBytes, frames, syncMs > 0 ? ACKNOWLEDGED_BYTES : 0);
      onTaken(taken);
    });
  }

  hold(isToBe: boolean): boolean {
    return this.#lanes?.hold(this.stream.id, isToBe) ?? false;
  }
}

/** Of one Follow stream. */
class FramedFollowCall extends FramedCall<FollowRequest> implements FollowCall {
  readonly messageBytesMax = LAYOUTS.follow.size;

  protected decode(message: Buffer): FollowRequest {
    return decodeFollowRequest(message);
  }

  write(redo: FollowedRedo): void {
    const head = encodeFollowedHead(redo);
    this.stream.send(redo.batches === undefined ? [head] : [head, redo.batches]);
  }
}
