import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { CallContext, SegmentHandlers, SegmentId } from '@kube-aurora/rpc';
import { LEASE_MS_MAX } from '@kube-aurora/volume';
import { PageRooms } from '../pages/page-rooms.ts';
import { computeImage } from '../segment/compute-image.ts';
import { readableAt } from '../segment/readable-at.ts';
import type { SegmentStorage } from '../segment/segment-storage.ts';
import { hurryTo } from '../segment/lending.ts';
import type { Segment } from '../segment/segment.ts';
import { refuseRole } from '../segment/segment-identity.ts';
import { emptyState, heldSegment, type SegmentDirectory } from '../segment/segment-directory.ts';
import type { LogReadError } from '../redo-log/log-errors.ts';
import { serveAppend, type OnAcknowledged } from './append-session.ts';
import { serveFollow } from './follow-session.ts';
import { importBase } from './import-base.ts';
import { asRpcError, deadlineOf } from '../edge/calls.ts';
import { checkMessage } from '../edge/message-rules.ts';
import { pageKeyOf } from '../edge/page-keys.ts';
import type { Refusals } from '../edge/refusals.ts';

/** SegmentService: the translation between messages, which message-rules.ts checks, and segments. */

export interface SegmentServiceOptions {
  readonly logger: Logger;
  readonly clock: Clock;
  readonly segments: SegmentDirectory;
  readonly refusals: Refusals;
  readonly onGap: (segment: Segment) => void;
  readonly onAcknowledged: OnAcknowledged;
  readonly onRead: (seconds: number, pages: number) => void;
  /** Redo that a reader was to be sent is damaged here. */
  readonly onLogDamage: (segment: Segment, error: LogReadError) => void;
  /** So many bytes of redo were sent to readers. */
  readonly onSent: (bytes: number) => void;
}

export function segmentHandlers(options: SegmentServiceOptions): SegmentHandlers {
  const { segments, refusals } = options;
  const rooms = new PageRooms();
  const find = (id: SegmentId): Segment => heldSegment(segments, id);
  return {
    append: (call) => serveAppend(call, { ...options, find }),

    follow: (call) => serveFollow(call, { ...options, find }),

    openEpoch: (request) =>
      refusals.call('OpenEpoch', async () => {
        checkMessage('OpenEpochRequest', request);
        // Before a segment is made of it.
        refuseRole(segments.identity.role, request.role, 'role');
        const found = await segments.take(request.segment);
        // One that does not say is of a release that asks for none, or of one that may ask for any.
        return found.openEpoch(request.epoch, request.writerId, request.leaseMs === 0 ? LEASE_MS_MAX : request.leaseMs);
      }),

    installHistory: (request) =>
      refusals.call('InstallHistory', async () => {
        checkMessage('InstallHistoryRequest', request);
        return find(request.segment).installHistory(request.epoch, request.history);
      }),

    catchUp: (request, context) =>
      refusals.call('CatchUp', async () => {
        checkMessage('CatchUpRequest', request);
        const found = find(request.segment);
        const { lsn } = request;
        if (found.scl < lsn) {
          options.onGap(found);
          hurryTo(found, lsn);
          await found.until(() => found.scl >= lsn, deadlineOf(context, options.clock));
        }
        return found.state();
      }),

    getPages: (request, context) =>
      refusals.call('GetPages', async () => {
        const started = options.clock.now();
        checkMessage('GetPagesRequest', request);
        const storage = await readable(find(request.segment), request.epoch, request.lsn, context, options);
        try {
          const pages = request.keys.map((key, at) => pageKeyOf(storage.engine, key, `keys[${at}]`));
          const room = rooms.take(pages.length * storage.engine.pageBytes);
          const found = await storage.readPages(pages, request.lsn, room).catch((error: unknown) => {
            rooms.give(room);
            throw error;
          });
          options.onRead((options.clock.now() - started) / 1000, request.keys.length);
          return { ...found, letGo: () => rooms.give(room) };
        } catch (error) {
          throw asRpcError(error);
        }
      }),

    computeImage: (request, context) =>
      refusals.stream('ComputeImage', async function* () {
        checkMessage('ComputeImageRequest', request);
        const storage = await readable(find(request.segment), request.epoch, request.lsn, context, options);
        try {
          yield* computeImage(storage, request.lsn);
        } catch (error) {
          throw asRpcError(error);
        }
      }),

    importBase: (requests) => refusals.call('ImportBase', () => importBase(requests, segments)),

    renewLease: (request) =>
      refusals.call('RenewLease', async () => {
        checkMessage('RenewLeaseRequest', request);
        const { epoch, writerId, leaseMs } = request;
        const found = find(request.segment);
        const others = [...(await found.renewLease({ epoch, writerId }, leaseMs))];
        const { xmin, catalogXmin } = found.readersXmins;
        return { others, readersXmin: xmin, readersCatalogXmin: catalogXmin };
      }),

    giveBackLease: (request) =>
      refusals.call('GiveBackLease', async () => {
        checkMessage('GiveBackLeaseRequest', request);
        const { epoch, writerId, reopens } = request;
        // Its PostgreSQL is dead: there is nothing that it could vacuum.
        const others = [...(await find(request.segment).giveBackLease({ epoch, writerId }, reopens))];
        return { others, readersXmin: 0n, readersCatalogXmin: 0n };
      }),

    status: (id) =>
      refusals.call('Status', () => {
        checkMessage('SegmentId', id, 'segment');
        return Promise.resolve(segments.known(id)?.stateForComputes() ?? emptyState(segments.identity));
      }),
  };
}

function readable(
  segment: Segment,
  epoch: bigint,
  lsn: bigint,
  context: CallContext,
  options: Pick<SegmentServiceOptions, 'onGap' | 'clock'>,
): Promise<SegmentStorage> {
  if (segment.scl < lsn && segment.phase === 'READY') options.onGap(segment);
  return readableAt(segment, epoch, lsn, deadlineOf(context, options.clock));
}
