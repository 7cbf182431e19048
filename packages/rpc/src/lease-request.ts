import type { Clock } from '@kube-aurora/clock';
import type { ServerStream, ServerStreamOwner } from '@kube-aurora/frames';
import { AuroraRpcError } from './errors.ts';
import { errorNumber } from './frame-streams.ts';
import { decodeLeaseRequest, encodeLeaseAnswer } from './lease-codec.ts';
import type { RenewLeaseRequest } from './messages.ts';
import type { CallContext, HotHandlers } from './server.ts';

/** The daemon's end of a renewal of a lease over frames. */

/** Throws WireError for a request that is none. */
export function serveLeaseRequest(
  first: Buffer,
  deadlineMs: number,
  stream: ServerStream,
  handlers: Pick<HotHandlers, 'renewLease'>,
  clock: Clock,
): ServerStreamOwner {
  const request = decodeLeaseRequest(first);
  const served = new LeaseRequest(deadlineMs === 0 ? Infinity : clock.now() + deadlineMs);
  void served.answer(request, stream, handlers);
  return served;
}

class LeaseRequest implements ServerStreamOwner, CallContext {
  readonly messageBytesMax = 0;
  readonly deadline: number;
  readonly #controller = new AbortController();

  constructor(deadline: number) {
    this.deadline = deadline;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async answer(request: RenewLeaseRequest, stream: ServerStream, handlers: Pick<HotHandlers, 'renewLease'>): Promise<void> {
    try {
      stream.answer(encodeLeaseAnswer(await handlers.renewLease(request, this)));
    } catch (error) {
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      stream.fail(errorNumber(code), error instanceof Error ? error.message : String(error));
    }
  }

  message(): void {
    // None may come after the first: messageBytesMax is 0.
  }

  ended(): void {
    // The request is whole with its first message.
  }

  cancelled(): void {
    this.#controller.abort();
  }

  speak(): void {
    // It has one answer, which the stream sends.
  }

  finished(): void {
    // Nothing is kept for it.
  }
}
