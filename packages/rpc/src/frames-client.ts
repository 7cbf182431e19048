import { EventEmitter } from 'node:events';
import { afterPatience, Backoff, type Clock } from '@kube-aurora/clock';
import { ClientConnection, FIRST_MESSAGE_BYTES_MAX, FrameError, type ClientStream, type ClientStreamOwner } from '@kube-aurora/frames';
import type { AppendStream, CallOptions, FollowStream } from './api.ts';
import type { Credentials } from './credentials.ts';
import { splitAddress } from './endpoint-list.ts';
import { AuroraRpcError } from './errors.ts';
import { answerBytesMax, APPEND_BYTES_MAX, errorCode, HELLO, HELLO_TIMEOUT_MS, STREAM_KINDS } from './frame-streams.ts';
import {
  decodeAppendResponse,
  decodeFollowedRedo,
  decodeGetPagesResponse,
  encodeAppendHello,
  encodeAppendRequest,
  encodeFollowHello,
  encodeFollowRequest,
  encodeGetPagesRequest,
} from './hot-codec.ts';
import type {
  AppendRequest,
  AppendResponse,
  FollowedRedo,
  FollowRequest,
  GetPagesRequest,
  GetPagesResponse,
  PreparedAppend,
} from './hot-messages.ts';
import { decodeLeaseAnswer, encodeLeaseRequest, LEASE_ANSWER_BYTES_MAX } from './lease-codec.ts';
import type { LeaseAnswer, RenewLeaseRequest } from './messages.ts';
import { WireError } from './wire-fields.ts';

/** A peer that is back is found soon, and a refused connection costs little. */
const RECONNECT_MS = [50, 300] as const;
/** The longest acknowledgement: its text is for people. */
const ACKNOWLEDGEMENT_BYTES_MAX = 64 * 1024;

/** Bytes that are not the message they should be end the connection: whoever sends them cannot be spoken to. */
function decoded<M, T>(decode: (message: M) => T, message: M): T {
  try {
    return decode(message);
  } catch (error) {
    if (error instanceof WireError) throw new FrameError('MALFORMED', error.message);
    throw error;
  }
}

/**
 * The hot path to one daemon: Append and Follow streams, page reads and renewals of a lease over one connection, which is made when it is
 * first needed and again after it broke. While a daemon is away calls fail at once.
 */
export class FramesClient {
  readonly address: string;
  readonly #clock: Clock;
  readonly #credentials: Credentials;
  readonly #backoff: Backoff;
  #connection: ClientConnection | undefined;
  #notBefore = -Infinity;
  #lastError = '';
  #isClosed = false;

  constructor(address: string, clock: Clock, credentials: Credentials) {
    this.address = address;
    this.#clock = clock;
    this.#credentials = credentials;
    this.#backoff = new Backoff(...RECONNECT_MS, () => clock.random());
  }

  get clock(): Clock {
    return this.#clock;
  }

  append(): AppendStream {
    return new FramedAppendStream(this);
  }

  follow(): FollowStream {
    return new FramedFollowStream(this);
  }

  getPages(request: GetPagesRequest, options: CallOptions): Promise<GetPagesResponse> {
    return this.#ask({
      rpc: 'GetPages',
      kind: STREAM_KINDS.GET_PAGES,
      encode: () => encodeGetPagesRequest(request),
      answerBytesMax: answerBytesMax(request.keys.length),
      decode: decodeGetPagesResponse,
      options,
    });
  }

  renewLease(request: RenewLeaseRequest, options: CallOptions): Promise<LeaseAnswer> {
    return this.#ask({
      rpc: 'RenewLease',
      kind: STREAM_KINDS.RENEW_LEASE,
      encode: () => encodeLeaseRequest(request),
      answerBytesMax: LEASE_ANSWER_BYTES_MAX,
      decode: decodeLeaseAnswer,
      options,
    });
  }

  #ask<Answer>(question: QuestionOptions<Answer>): Promise<Answer> {
    return new Promise((resolve, reject) => {
      if (question.options.signal?.aborted === true)
        reject(new AuroraRpcError('UNREACHABLE', `${this.address}: the call was given up before it was sent`));
      else new Question(this, question, resolve, reject);
    });
  }

  /** Throws AuroraRpcError when there is no connection to open a stream on, and none is to be tried at the moment. */
  open(kind: number, first: Buffer, deadlineMs: number, owner: ClientStreamOwner): ClientStream {
    if (first.length > FIRST_MESSAGE_BYTES_MAX)
      throw new AuroraRpcError('INVALID', `message: ${first.length} bytes, at most ${FIRST_MESSAGE_BYTES_MAX} can open a stream`);
    if (this.#isClosed) throw new AuroraRpcError('UNREACHABLE', `${this.address}: this client is closed`);
    this.#connection ??= this.#connect();
    return this.#connection.open(kind, first, deadlineMs, owner);
  }

  #connect(): ClientConnection {
    if (this.#clock.now() < this.#notBefore) throw new AuroraRpcError('UNREACHABLE', `${this.address}: ${this.#lastError}`);
    let isOpen = false;
    const connection = new ClientConnection(this.#credentials.connect(splitAddress(this.address)), {
      hello: HELLO,
      helloTimeoutMs: HELLO_TIMEOUT_MS,
      clock: this.#clock,
      onOpened: () => {
        isOpen = true;
        this.#backoff.reset();
      },
      onClosed: (error) => {
        if (this.#connection === connection) this.#connection = undefined;
        this.#lastError = error.message;
        if (!isOpen) this.#notBefore = this.#clock.now() + this.#backoff.next();
      },
    });
    return connection;
  }

  close(): void {
    this.#isClosed = true;
    this.#connection?.close();
  }
}

/** The client's end of a stream of messages. After it ended, failed or was cancelled nothing is heard of it. */
abstract class FramedStream<Message> extends EventEmitter implements ClientStreamOwner {
  abstract readonly messageBytesMax: number;
  protected readonly client: FramesClient;
  #stream: ClientStream | undefined;
  #isOver = false;

  constructor(client: FramesClient) {
    super();
    this.client = client;
    // Whoever does not listen need not know: an end of a stream is no fault of the process.
    this.on('error', () => undefined);
  }

  protected abstract decode(message: Buffer): Message;

  /** The hello opens the stream. */
  protected open(kind: number, hello: () => Buffer): boolean {
    if (this.#isOver) return true;
    try {
      this.#stream = this.client.open(kind, hello(), 0, this);
    } catch (error) {
      // As it would come from the other end: not before this call has returned.
      this.client.clock.soon(() => this.#fail(error));
    }
    return true;
  }

  protected send(message: Buffer): boolean {
    if (this.#isOver) return true;
    if (this.#stream !== undefined) return this.#stream.write(message);
    this.client.clock.soon(() => this.#fail(new AuroraRpcError('INVALID', 'hello: the first message must carry it')));
    return true;
  }

  end(): void {
    this.#stream?.end();
  }

  /** Nothing is heard of it any more. */
  cancel(): void {
    this.#isOver = true;
    this.#stream?.cancel();
  }

  message(message: Buffer): void {
    if (!this.#isOver)
      this.emit(
        'data',
        decoded((bytes: Buffer) => this.decode(bytes), message),
      );
  }

  ended(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.emit('end');
  }

  failed(code: number, text: string): void {
    this.#fail(new AuroraRpcError(errorCode(code), `${this.client.address}: ${text}`));
  }

  broken(error: FrameError): void {
    this.#fail(new AuroraRpcError('UNREACHABLE', `${this.client.address}: ${error.message}`));
  }

  drained(): void {
    if (!this.#isOver) this.emit('drain');
  }

  #fail(error: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.emit('error', error);
  }
}

class FramedAppendStream extends FramedStream<AppendResponse> implements AppendStream {
  readonly messageBytesMax = ACKNOWLEDGEMENT_BYTES_MAX;

  protected decode(message: Buffer): AppendResponse {
    return decodeAppendResponse(message);
  }

  write(request: AppendRequest | PreparedAppend): boolean {
    if (Buffer.isBuffer(request)) return this.send(request);
    const { hello, batches, vdl, pgmrpl } = request;
    if (hello !== undefined) return this.open(STREAM_KINDS.APPEND, () => encodeAppendHello(hello, vdl, pgmrpl));
    return this.send(encodeAppendRequest(batches === undefined ? [] : [batches], vdl, pgmrpl));
  }
}

class FramedFollowStream extends FramedStream<FollowedRedo> implements FollowStream {
  readonly messageBytesMax = APPEND_BYTES_MAX;

  protected decode(message: Buffer): FollowedRedo {
    return decodeFollowedRedo(message);
  }

  write(request: FollowRequest): boolean {
    const { hello, takenLsn, readFloor } = request;
    if (hello !== undefined) return this.open(STREAM_KINDS.FOLLOW, () => encodeFollowHello(hello, takenLsn, readFloor));
    return this.send(encodeFollowRequest(request));
  }
}

interface QuestionOptions<Answer> {
  readonly rpc: string;
  readonly kind: number;
  readonly encode: () => Buffer;
  readonly answerBytesMax: number;
  /** Throws WireError. */
  readonly decode: (message: readonly Buffer[]) => Answer;
  readonly options: CallOptions;
}

/** A call with one request, which opens the stream, and one answer. */
class Question<Answer> implements ClientStreamOwner {
  readonly messageBytesMax: number;
  readonly #client: FramesClient;
  readonly #rpc: string;
  readonly #decode: (message: readonly Buffer[]) => Answer;
  readonly #signal: AbortSignal | undefined;
  readonly #stream: ClientStream | undefined;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: unknown) => void;
  readonly #cancelTimer: () => void = () => undefined;
  #isAnswered = false;

  constructor(
    client: FramesClient,
    { rpc, kind, encode, answerBytesMax: bytesMax, decode, options: { deadlineMs, signal } }: QuestionOptions<Answer>,
    resolve: (answer: Answer) => void,
    reject: (error: unknown) => void,
  ) {
    this.messageBytesMax = bytesMax;
    this.#client = client;
    this.#rpc = rpc;
    this.#decode = decode;
    this.#signal = signal;
    this.#resolve = resolve;
    this.#reject = reject;
    try {
      this.#stream = client.open(kind, encode(), deadlineMs, this);
    } catch (error) {
      reject(error);
      return;
    }
    const timer = afterPatience(client.clock, deadlineMs, () =>
      this.#giveUp(new AuroraRpcError('DEADLINE', `${client.address}: no answer in ${deadlineMs} ms`)),
    );
    this.#cancelTimer = () => timer.cancel();
    signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  readonly #aborted = (): void => this.#giveUp(new AuroraRpcError('UNREACHABLE', `${this.#client.address}: the call was given up`));

  #giveUp(error: AuroraRpcError): void {
    this.#stream?.cancel();
    this.#settle();
    this.#reject(error);
  }

  #settle(): void {
    this.#cancelTimer();
    this.#signal?.removeEventListener('abort', this.#aborted);
  }

  message(message: Buffer): void {
    this.pieces([message]);
  }

  pieces(message: readonly Buffer[]): void {
    const answer = decoded(this.#decode, message);
    this.#isAnswered = true;
    this.#settle();
    this.#resolve(answer);
  }

  ended(): void {
    // After an answer this is nothing, and an error that nobody sees would cost a tenth of the read.
    if (this.#isAnswered) return;
    this.#settle();
    this.#reject(new AuroraRpcError('INTERNAL', `${this.#client.address}: ${this.#rpc} answered nothing`));
  }

  failed(code: number, text: string): void {
    this.#settle();
    this.#reject(new AuroraRpcError(errorCode(code), `${this.#client.address}: ${text}`));
  }

  broken(error: FrameError): void {
    this.#settle();
    this.#reject(new AuroraRpcError('UNREACHABLE', `${this.#client.address}: ${error.message}`));
  }

  drained(): void {
    // It writes nothing after its first message.
  }
}
