import type { Clock } from '@kube-aurora/clock';
import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import { decodePageKey } from '@kube-aurora/redo';
import {
  AuroraRpcError,
  type FetchRedoRequest,
  type PeerHandlers,
  type RedoChunk,
  type SegmentId,
  type SegmentState,
} from '@kube-aurora/rpc';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';
import { emptyState, heldSegment, type SegmentDirectory } from '../segment/segment-directory.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { Refusals } from '../edge/refusals.ts';
import { asRpcError, deadlineOf } from '../edge/calls.ts';
import { serveCopy } from './copy-segment.ts';

/** What this daemon gives to its peers. It only sends what passes its CRC: damage is refused here, and repaired. */

const REDO_CHUNK_BYTES = 512 * 1024;

export interface PeerServiceParts {
  readonly clock: Clock;
  readonly segments: SegmentDirectory;
  readonly refusals: Refusals;
  readonly receive: (segment: Segment, state: SegmentState) => SegmentState;
  /** A caller says that it is a peer and holds a volume that is not here. */
  readonly learnOfVolume: (id: SegmentId, state: SegmentState) => void;
  readonly onLogDamage: (segment: Segment, error: LogReadError) => void;
}

export function peerHandlers(parts: PeerServiceParts): PeerHandlers {
  const { segments, refusals } = parts;
  const find = (id: SegmentId): Segment => heldSegment(segments, id);
  return {
    gossip: (request) =>
      refusals.call('Gossip', () => {
        checkMessage('GossipRequest', request);
        const { segment: id, state } = request;
        const segment = segments.known(id);
        if (segment !== undefined) return Promise.resolve(parts.receive(segment, state));
        parts.learnOfVolume(id, state);
        return Promise.resolve(emptyState(segments.identity));
      }),

    fetchRedo: (request, context) =>
      refusals.stream('FetchRedo', async function* () {
        checkMessage('FetchRedoRequest', request);
        const segment = find(request.segment);
        try {
          yield* redoFrom(segment, request, context.signal);
        } catch (error) {
          if (error instanceof LogReadError) parts.onLogDamage(segment, error);
          throw asRpcError(error);
        }
      }),

    copySegment: (request) =>
      refusals.stream('CopySegment', async function* () {
        checkMessage('CopySegmentRequest', request);
        yield* serveCopy(find(request.segment), parts.clock);
      }),

    getPeerPage: (request, context) =>
      refusals.call('GetPeerPage', async () => {
        checkMessage('GetPeerPageRequest', request);
        const { key, lsn } = request;
        const segment = find(request.segment);
        const storage = contentOf(segment);
        storage.applier.want(Number(lsn));
        // Applied, not merely held: what is past VDL may still be annulled, and must not get into a peer's store.
        if (!(await segment.conditions.until(() => storage.applier.hasApplied(Number(lsn)), deadlineOf(context, parts.clock)))) {
          throw new AuroraRpcError('BEHIND', `redo is applied up to ${text(BigInt(storage.applier.appliedLsn))}, not ${text(lsn)}`);
        }
        try {
          // The builder asks no peer: two damaged copies must not ask each other in circles.
          const { page } = await storage.builder.pageAt(decodePageKey(key), Number(lsn));
          return { key, page: page ?? Buffer.alloc(0) };
        } catch (error) {
          throw asRpcError(error);
        }
      }),
  };
}

function contentOf(segment: Segment): SegmentStorage {
  const { storage, phase } = segment;
  if (storage === undefined || phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${phase}`);
  return storage;
}

async function* redoFrom(segment: Segment, request: FetchRedoRequest, signal: AbortSignal): AsyncGenerator<RedoChunk> {
  const log = segment.storage?.log;
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
    if (segment.storage?.log !== log || log.epochAt(at) !== epoch) return;
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
