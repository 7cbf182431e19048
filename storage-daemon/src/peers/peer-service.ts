import type { Clock } from '@kube-aurora/clock';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { AuroraRpcError, type PeerHandlers, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import { LogReadError } from '../redo-log/log-errors.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';
import { emptyState, heldSegment, type SegmentDirectory } from '../segment/segment-directory.ts';
import { readableNow } from '../segment/readable-at.ts';
import { hurryTo } from '../segment/lending.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import { pageKeyOf } from '../edge/page-keys.ts';
import type { Refusals } from '../edge/refusals.ts';
import { asRpcError, deadlineOf } from '../edge/calls.ts';
import { serveCopy } from './copy-segment.ts';

/** What this daemon gives to its peers. It only sends what passes its CRC: damage is refused here, and repaired. */

export interface PeerServiceOptions {
  readonly clock: Clock;
  readonly segments: SegmentDirectory;
  readonly refusals: Refusals;
  readonly receive: (segment: Segment, state: SegmentState) => SegmentState;
  /** A caller says that it is a peer and holds a volume that is not here. */
  readonly learnOfVolume: (id: SegmentId, state: SegmentState) => void;
  readonly onLogDamage: (segment: Segment, error: LogReadError) => void;
}

export function peerHandlers(options: PeerServiceOptions): PeerHandlers {
  const { segments, refusals } = options;
  const find = (id: SegmentId): Segment => heldSegment(segments, id);
  return {
    gossip: (request) =>
      refusals.call('Gossip', () => {
        checkMessage('GossipRequest', request);
        const { segment: id, state } = request;
        const segment = segments.known(id);
        if (segment !== undefined) return Promise.resolve(options.receive(segment, state));
        options.learnOfVolume(id, state);
        return Promise.resolve(emptyState(segments.identity));
      }),

    fetchRedo: (request, context) =>
      refusals.stream('FetchRedo', async function* () {
        checkMessage('FetchRedoRequest', request);
        const segment = find(request.segment);
        try {
          const { fromLsn, fromEpoch, toLsn } = request;
          const { storage } = segment;
          if (storage === undefined) throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
          for await (const batches of storage.redoFrom({ lsn: fromLsn, epoch: fromEpoch }, toLsn === 0n ? undefined : toLsn)) {
            yield { batches };
            if (context.signal.aborted) return;
          }
        } catch (error) {
          if (error instanceof LogReadError) options.onLogDamage(segment, error);
          throw asRpcError(error);
        }
      }),

    copySegment: (request) =>
      refusals.stream('CopySegment', async function* () {
        checkMessage('CopySegmentRequest', request);
        try {
          yield* serveCopy(find(request.segment), options.clock);
        } catch (error) {
          throw asRpcError(error);
        }
      }),

    getPeerPage: (request, context) =>
      refusals.call('GetPeerPage', async () => {
        checkMessage('GetPeerPageRequest', request);
        const { key, lsn } = request;
        const segment = find(request.segment);
        const storage = storageOf(segment);
        const page = pageKeyOf(storage.engine, key, 'key');
        hurryTo(segment, lsn);
        storage.expediteTo(lsn);
        // Applied, not merely held: what is past VDL may still be annulled, and must not get into a peer's store.
        if (!(await segment.until(() => storage.hasApplied(lsn), deadlineOf(context, options.clock)))) {
          throw new AuroraRpcError('BEHIND', `redo is applied up to ${formatLsn(storage.appliedLsn)}, not ${formatLsn(lsn)}`);
        }
        try {
          return { key, page: (await storage.readPageForPeer(page, lsn)) ?? Buffer.alloc(0) };
        } catch (error) {
          throw asRpcError(error);
        }
      }),
  };
}

function storageOf(segment: Segment): SegmentStorage {
  if (segment.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  return readableNow(segment);
}
