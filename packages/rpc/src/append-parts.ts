import type { AppendCall, AppendStream } from './api.ts';
import { AuroraRpcError, toServiceError } from './errors.ts';
import type { AppendRequest, AppendResponse } from './messages.ts';
import type { PreparedAppend } from './service-definition.ts';
import { encodeAppendPart, splitBatches } from './wire.ts';

/**
 * Redo of any size in messages of a bounded one: a WAL record may have 1020 MiB, and a server that took messages that long
 * would let any stranger have it set memory aside. Batches that do not fit one message go on in the next (`more`). The end of
 * the stream that receives puts them together; by then it knows the writer, and while it does not it reads no further.
 */
export const APPEND_PART_BYTES = 4 * 1024 * 1024;

/** The writer's end: splits what is too long. */
export class SplitAppendStream implements AppendStream {
  readonly #stream: AppendStream;

  constructor(stream: AppendStream) {
    this.#stream = stream;
  }

  on(event: 'data', listener: (response: AppendResponse) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'drain' | 'end', listener: () => void): unknown;
  on(event: string, listener: (...values: never[]) => void): unknown {
    return this.#stream.on(event as 'data', listener as (response: AppendResponse) => void);
  }

  once(event: 'error', listener: (error: unknown) => void): unknown {
    return this.#stream.once(event, listener);
  }

  removeAllListeners(event: 'error'): unknown {
    return this.#stream.removeAllListeners(event);
  }

  write(request: AppendRequest | PreparedAppend): boolean {
    if (!Buffer.isBuffer(request) || request.length <= APPEND_PART_BYTES) return this.#stream.write(request);
    let goesOn = true;
    for (const part of splitBatches(request, APPEND_PART_BYTES)) goesOn = this.#stream.write(encodeAppendPart(part));
    return goesOn;
  }

  end(): unknown {
    return this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }
}

/** The daemon's end: gives whole requests. More than `bytesMax` in one ends the stream. */
export class JoinedAppendCall implements AppendCall {
  readonly #call: AppendCall;
  readonly #bytesMax: number;
  #parts: Buffer[] = [];
  #bytes = 0;

  constructor(call: AppendCall, bytesMax: number) {
    this.#call = call;
    this.#bytesMax = bytesMax;
  }

  on(event: 'data', listener: (request: AppendRequest) => void): unknown;
  on(event: 'error', listener: (error: unknown) => void): unknown;
  on(event: 'end' | 'cancelled', listener: () => void): unknown;
  on(event: string, listener: (...values: never[]) => void): unknown {
    if (event !== 'data') return this.#call.on(event as 'end', listener as () => void);
    return this.#call.on('data', (request) => this.#take(request, listener as (request: AppendRequest) => void));
  }

  #take(request: AppendRequest, give: (request: AppendRequest) => void): void {
    if (!request.more && this.#parts.length === 0) {
      give(request);
      return;
    }
    const { batches = Buffer.alloc(0) } = request;
    this.#parts.push(batches);
    this.#bytes += batches.length;
    if (this.#bytes > this.#bytesMax) {
      this.#parts = [];
      this.emit(
        'error',
        toServiceError(new AuroraRpcError('INVALID', `batches: ${this.#bytes} bytes in parts, at most ${this.#bytesMax} are taken`)),
      );
      return;
    }
    if (request.more) return;
    const whole = Buffer.concat(this.#parts, this.#bytes);
    this.#parts = [];
    this.#bytes = 0;
    give({ ...request, batches: whole });
  }

  emit(event: 'error', error: unknown): unknown {
    return this.#call.emit(event, error);
  }

  write(response: AppendResponse): boolean {
    return this.#call.write(response);
  }

  pause(): unknown {
    return this.#call.pause();
  }

  resume(): unknown {
    return this.#call.resume();
  }

  end(): unknown {
    return this.#call.end();
  }
}
