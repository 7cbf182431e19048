import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError, fromServiceError } from '@kube-aurora/rpc';
import { decodeVolumeState, type VolumeState } from '@kube-aurora/redo';
import type { Logger } from '@kube-aurora/process';
import type { SegmentEndpoint, WriterIdentity } from '../segments.ts';

/** A segment that has not delivered within this gets company from the next one. */
const STAGGER_MS = 400;
const ATTEMPT_DEADLINE_MS = 30_000;

/** What a compute starts from at one LSN: everything of the volume but relation pages. */
export interface ComputeImage {
  readonly state: VolumeState;
  /** Pages of SLRUs by encoded page key, hex. */
  readonly slruPages: Map<string, Buffer>;
}

export interface FetchImageOptions {
  /** Segments that hold redo up to `lsn`, best first. */
  readonly segments: readonly SegmentEndpoint[];
  readonly identity: WriterIdentity;
  readonly epoch: bigint;
  readonly lsn: bigint;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** The image at `lsn` from whichever segment has it first. Rejects with the last error when all failed. */
export async function fetchComputeImage(options: FetchImageOptions): Promise<ComputeImage> {
  const done = new AbortController();
  const signal = AbortSignal.any([done.signal, options.signal]);
  let failures = 0;
  // Tails have none.
  const full = options.segments.filter(({ role }) => role === 'FULL');
  const attempts = full.map(async (endpoint, turn) => {
    for (let waited = 0; waited < turn * STAGGER_MS && failures < turn && !signal.aborted; waited += 20)
      await options.clock.sleep(20, signal);
    if (signal.aborted) throw new AuroraRpcError('UNREACHABLE', 'not needed any more');
    try {
      return await fetchFrom(endpoint, options, signal);
    } catch (error) {
      failures++;
      const known = fromServiceError(error, endpoint.id);
      if (!signal.aborted)
        options.logger.warn({ segment: endpoint.id, code: known.code, reason: known.message }, 'no compute image from this segment');
      throw known;
    }
  });
  try {
    return await Promise.any(attempts);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors.at(-1) : error;
  } finally {
    done.abort();
  }
}

async function fetchFrom(endpoint: SegmentEndpoint, options: FetchImageOptions, signal: AbortSignal): Promise<ComputeImage> {
  const { identity, epoch, lsn } = options;
  const parts: Buffer[] = [];
  const slruPages = new Map<string, Buffer>();
  let complete = false;
  for await (const chunk of endpoint.client.computeImage(
    { segment: identity.segment, epoch, lsn },
    { deadlineMs: ATTEMPT_DEADLINE_MS, signal },
  )) {
    if (chunk.volumeState.length > 0) parts.push(chunk.volumeState);
    if (chunk.stateComplete) complete = true;
    for (const { key, page } of chunk.slruPages) slruPages.set(key.toString('hex'), page);
  }
  if (!complete) throw new AuroraRpcError('DAMAGED', `${endpoint.id}: the compute image ended before its volume state was complete`);
  const state = decodeVolumeState(Buffer.concat(parts));
  if (state.endLsn !== lsn) throw new AuroraRpcError('DAMAGED', `${endpoint.id}: its volume state is of ${state.endLsn}, asked for ${lsn}`);
  // A page from past X would be ahead of the WAL that PostgreSQL goes on writing: silent divergence.
  if (state.maxPageLsn > lsn) throw new AuroraRpcError('DAMAGED', `${endpoint.id}: it has a page of LSN ${state.maxPageLsn}, past ${lsn}`);
  return { state, slruPages };
}
