import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError } from '@kube-aurora/rpc';

/** A stream may take hours in all, but not this long between two messages: its sender was stopped or cut off. */
const STALL_MS = 10_000;
/** gRPC wants a deadline for the whole; a day is none. */
export const STREAM_DEADLINE_MS = 24 * 3600 * 1000;

/**
 * Reads what `open` streams, with a signal that cancels it when nothing came for STALL_MS or `stop` aborts. Working on
 * a message doesn't count as waiting. Throws AuroraRpcError: DEADLINE for a stall, else what the stream threw.
 */
export async function* unstalled<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  clock: Clock,
  stop: AbortSignal,
  stallMs = STALL_MS,
): AsyncGenerator<T> {
  const cancel = new AbortController();
  const onStop = (): void => cancel.abort();
  stop.addEventListener('abort', onStop, { once: true });
  if (stop.aborted) cancel.abort();
  let stalled = false;
  const messages = open(cancel.signal)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const got = new AbortController();
      void clock.sleep(stallMs, got.signal).then(() => {
        if (got.signal.aborted) return;
        stalled = true;
        cancel.abort();
      });
      const step = await messages.next().finally(() => got.abort());
      if (step.done === true) break;
      yield step.value;
    }
    if (stop.aborted) throw new AuroraRpcError('UNREACHABLE', 'the stream was given up: this daemon is stopping');
  } catch (error) {
    if (stalled) throw new AuroraRpcError('DEADLINE', `the peer sent nothing for ${stallMs} ms`);
    throw error;
  } finally {
    stop.removeEventListener('abort', onStop);
    cancel.abort();
    await messages.return?.();
  }
}
