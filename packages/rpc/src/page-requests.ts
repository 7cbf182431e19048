import type { Clock } from '@kube-aurora/clock';
import type { ServerStream, ServerStreamOwner } from '@kube-aurora/frames';
import { AuroraRpcError } from './errors.ts';
import { errorNumber } from './frame-streams.ts';
import { decodeGetPagesRequest, encodePagesHead } from './hot-codec.ts';
import type { GetPagesRequest } from './hot-messages.ts';
import type { CallContext, HotHandlers } from './server.ts';

/**
 * The page reads of one connection.
 *
 * Invariants: at most RUNNING_MAX are worked on, those that nobody waits for any more among them, and pages are made
 * for no more than ANSWER_BYTES_MAX that are not sent yet; what is over that waits, in order, as the request that it
 * is.
 */
const RUNNING_MAX = 64;
const ANSWER_BYTES_MAX = 16 * 1024 * 1024;
/** What a page comes to before it is known. */
const PAGE_BYTES = 8192;

export class PageRequests {
  readonly #handlers: Pick<HotHandlers, 'getPages'>;
  readonly #clock: Clock;
  #waiting: PageRequest[] = [];
  #running = 0;
  #answerBytes = 0;

  constructor(handlers: Pick<HotHandlers, 'getPages'>, clock: Clock) {
    this.#handlers = handlers;
    this.#clock = clock;
  }

  /** Throws WireError for a request that is none. */
  serve(first: Buffer, deadlineMs: number, stream: ServerStream): ServerStreamOwner {
    const deadline = deadlineMs === 0 ? Infinity : this.#clock.now() + deadlineMs;
    const request = new PageRequest(this, decodeGetPagesRequest(first), deadline, stream);
    this.#waiting.push(request);
    this.#admit();
    return request;
  }

  /** Nobody waits for it any more. */
  leave(request: PageRequest): void {
    const place = this.#waiting.indexOf(request);
    if (place >= 0) this.#waiting.splice(place, 1);
  }

  /** It was worked on, and its answer is sent or not needed. */
  release(request: PageRequest): void {
    this.#answerBytes -= request.bytes;
    this.#admit();
  }

  #admit(): void {
    while (this.#running < RUNNING_MAX && (this.#answerBytes === 0 || this.#answerBytes < ANSWER_BYTES_MAX)) {
      const request = this.#waiting.shift();
      if (request === undefined) return;
      this.#running++;
      this.#answerBytes += request.bytes;
      void request.start(this.#handlers).finally(() => {
        this.#running--;
        this.#admit();
      });
    }
  }
}

class PageRequest implements ServerStreamOwner, CallContext {
  readonly messageBytesMax = 0;
  readonly deadline: number;
  /** What its answer comes to, about. */
  readonly bytes: number;
  readonly #requests: PageRequests;
  readonly #request: GetPagesRequest;
  readonly #stream: ServerStream;
  #controller: AbortController | undefined;
  #isStarted = false;
  #isSettled = false;
  #isFinished = false;

  constructor(requests: PageRequests, request: GetPagesRequest, deadline: number, stream: ServerStream) {
    this.#requests = requests;
    this.#request = request;
    this.deadline = deadline;
    this.#stream = stream;
    this.bytes = request.keys.length * PAGE_BYTES;
  }

  /** Aborts when nobody waits for the answer any more. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#isFinished) this.#controller.abort();
    return this.#controller.signal;
  }

  async start(handlers: Pick<HotHandlers, 'getPages'>): Promise<void> {
    this.#isStarted = true;
    try {
      const response = await handlers.getPages(this.#request, this);
      this.#stream.answer([encodePagesHead(response), ...response.pages], response.letGo);
    } catch (error) {
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      this.#stream.fail(errorNumber(code), error instanceof Error ? error.message : String(error));
    }
    this.#isSettled = true;
    if (this.#isFinished) this.#requests.release(this);
  }

  message(): void {
    // None may come after the first: messageBytesMax is 0.
  }

  ended(): void {
    // The request is whole with its first message.
  }

  cancelled(): void {
    this.#controller?.abort();
    this.#requests.leave(this);
  }

  speak(): void {
    // It has one answer, which the stream sends.
  }

  finished(): void {
    this.#isFinished = true;
    if (this.#isStarted && this.#isSettled) this.#requests.release(this);
  }
}
