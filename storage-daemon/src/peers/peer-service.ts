import type { Clock } from '@kube-aurora/clock';
import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { decodePageKey, PAGE_KEY_BYTES } from '@kube-aurora/redo';
import {
  AuroraRpcError,
  type FetchRedoRequest,
  type PeerHandlers,
  type RedoChunk,
  type SegmentId,
  type SegmentState,
} from '@kube-aurora/rpc';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { SegmentContent } from '../segment/content.ts';
import type { Segment } from '../segment/segment.ts';
import { asRpcError, checkSegmentId, deadlineOf } from '../service/segment-service.ts';
import { serveCopy } from './copy-segment.ts';

/** What this daemon gives to its peers. It only sends what passes its CRC: damage is refused here, and repaired. */

const REDO_CHUNK_BYTES = 512 * 1024;

export interface PeerServiceParts {
  readonly clock: Clock;
  /** The segment, made empty when it is not there: a peer has one, so this daemon should too. */
  readonly find: (volumeId: string, pg: number) => Promise<Segment>;
  readonly hear: (segment: Segment, state: SegmentState) => SegmentState;
  readonly onLogDamage: (segment: Segment, error: LogReadError) => void;
}

export function peerHandlers(parts: PeerServiceParts): PeerHandlers {
  const find = (id: SegmentId | undefined): Promise<Segment> => {
    const { volumeId, pg } = checkSegmentId(id);
    return parts.find(volumeId, pg);
  };
  return {
    async gossip({ segment: id, state }) {
      const segment = await find(id);
      if (state === undefined) throw new AuroraRpcError('INVALID', 'state: is missing');
      return parts.hear(segment, state);
    },

    async *fetchRedo(request, context) {
      const segment = await find(request.segment);
      try {
        yield* redoFrom(segment, request, context.signal);
      } catch (error) {
        if (error instanceof LogReadError) parts.onLogDamage(segment, error);
        throw asRpcError(error);
      }
    },

    async *copySegment({ segment }) {
      yield* serveCopy(await find(segment), parts.clock);
    },

    async getPeerPage({ segment: id, key, lsn }, context) {
      const segment = await find(id);
      if (key.length !== PAGE_KEY_BYTES) throw new AuroraRpcError('INVALID', `key: ${key.length} bytes, not ${PAGE_KEY_BYTES}`);
      const content = contentOf(segment);
      content.ingest.want(Number(lsn));
      // Applied, not merely held: what is past VDL may still be annulled, and must not get into a peer's store.
      if (!(await segment.progress.until(() => content.ingest.hasApplied(Number(lsn)), deadlineOf(context, parts.clock)))) {
        throw new AuroraRpcError('BEHIND', `redo is applied up to ${text(BigInt(content.ingest.appliedLsn))}, not ${text(lsn)}`);
      }
      try {
        // The reader's own pageAt, which asks no peer: two damaged copies must not ask each other in circles.
        const { page } = await content.reader.pageAt(decodePageKey(key), Number(lsn));
        return { key, page: page ?? Buffer.alloc(0) };
      } catch (error) {
        throw asRpcError(error);
      }
    },
  };
}

function contentOf(segment: Segment): SegmentContent {
  const { content, phase } = segment;
  if (content === undefined || phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${phase}`);
  return content;
}

async function* redoFrom(segment: Segment, request: FetchRedoRequest, signal: AbortSignal): AsyncGenerator<RedoChunk> {
  const log = segment.content?.log;
  if (log === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  const end = request.toLsn === 0n || request.toLsn > log.durable.lsn ? log.durable.lsn : request.toLsn;
  let at = request.fromLsn;
  let epoch = request.fromEpoch;
  if (at < log.startLsn) throw new AuroraRpcError('TOO_OLD', `redo is here from ${text(log.startLsn)} on, not from ${text(at)}`);
  if (at > log.durable.lsn) throw new AuroraRpcError('BEHIND', `redo is here up to ${text(log.durable.lsn)}, not to ${text(at)}`);
  const here = log.epochAt(at);
  if (here !== epoch)
    throw new AuroraRpcError('INVALID', `from_epoch: redo that ends at ${text(at)} is of epoch ${here ?? 'none'} here, not of ${epoch}`);
  while (at < end && !signal.aborted) {
    // Redo that was annulled in between ends the stream: what was sent of it, the receiver annuls by its own history.
    if (segment.content?.log !== log || log.epochAt(at) !== epoch) return;
    const batches = log.reader.batchesFrom(at, REDO_CHUNK_BYTES);
    if (batches.length === 0) return;
    ({ at, epoch } = endOf(batches, at, epoch));
    yield { batches };
  }
}

/** End LSN and epoch of the last of some whole, checked batches. */
function endOf(batches: Buffer, fromLsn: bigint, fromEpoch: bigint): { at: bigint; epoch: bigint } {
  let at = fromLsn;
  let epoch = fromEpoch;
  for (let offset = 0; offset < batches.length; offset += batches.readUInt32LE(offset + 4)) {
    epoch = batches.readBigUInt64LE(offset + 8);
    at = batches.readBigUInt64LE(offset + 24);
  }
  return { at, epoch };
}

function text(lsn: bigint): string {
  return formatLsn(lsn as Lsn);
}
