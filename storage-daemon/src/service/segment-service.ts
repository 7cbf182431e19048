import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { SLRU_FORK, RedoError } from '@kube-aurora/redo';
import { AuroraRpcError, type CallContext, type GetPagesRequest, type SegmentHandlers, type SegmentId } from '@kube-aurora/rpc';
import { StoredValueError } from '../page-store/stored-value.ts';
import { LogGoneError, LogReadError } from '../redo-log/log-errors.ts';
import { computeImage } from '../read/compute-image.ts';
import { TooOldError } from '../read/page-reader.ts';
import { readPages } from '../read/read-pages.ts';
import { readableAt } from '../read/readable-at.ts';
import type { SegmentContent } from '../segment/content.ts';
import type { Segment } from '../segment/segment.ts';
import { serveAppend } from './append-session.ts';
import { importBase } from './import-base.ts';

/** SegmentService: validation and the translation between messages and segments. */

const PAGES_MAX = 256;
/** A call without a deadline gets this one. */
const DEADLINE_DEFAULT_MS = 30_000;
/** The answer must still travel after a wait. */
const ANSWER_MARGIN_MS = 5;
/** UUID in lower case. */
export const VOLUME_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const PG_MAX = 65_535;

export interface SegmentServiceDeps {
  readonly logger: Logger;
  readonly clock: Clock;
  /** The segment, made empty when it is not there. */
  readonly find: (volumeId: string, pg: number) => Promise<Segment>;
  readonly onGap: (segment: Segment) => void;
  readonly onAcknowledged: (seconds: number) => void;
  readonly onRead: (seconds: number, pages: number) => void;
}

/** Checks a segment's name. Throws AuroraRpcError INVALID that names the field. */
export function checkSegmentId(id: SegmentId | undefined): SegmentId {
  if (id === undefined) throw new AuroraRpcError('INVALID', 'segment: is missing');
  if (!VOLUME_ID.test(id.volumeId)) throw new AuroraRpcError('INVALID', `segment.volume_id: '${id.volumeId}' is not a UUID in lower case`);
  if (!Number.isInteger(id.pg) || id.pg < 0 || id.pg > PG_MAX)
    throw new AuroraRpcError('INVALID', `segment.pg: ${id.pg} is not from 0 to ${PG_MAX}`);
  return id;
}

function checkEpoch(epoch: bigint): void {
  if (epoch <= 0n) throw new AuroraRpcError('INVALID', 'epoch: must be 1 or more');
}

/** On the clock's `now`. */
export function deadlineOf(context: CallContext, clock: Clock): number {
  return Math.min(context.deadline, clock.now() + DEADLINE_DEFAULT_MS) - ANSWER_MARGIN_MS;
}

/** Gives failures of reads the code that the protocol has for them. */
export function asRpcError(error: unknown): unknown {
  if (error instanceof TooOldError || error instanceof LogGoneError) return new AuroraRpcError('TOO_OLD', error.message);
  if (error instanceof StoredValueError || error instanceof LogReadError || error instanceof RedoError)
    return new AuroraRpcError('DAMAGED', error.message);
  return error;
}

export function segmentHandlers(deps: SegmentServiceDeps): SegmentHandlers {
  const find = (id: SegmentId | undefined): Promise<Segment> => {
    const { volumeId, pg } = checkSegmentId(id);
    return deps.find(volumeId, pg);
  };
  return {
    append: (call) => serveAppend(call, { ...deps, find: (volumeId, pg) => find({ volumeId, pg }) }),

    async openEpoch({ segment, epoch, writerId }) {
      const found = await find(segment);
      checkEpoch(epoch);
      if (writerId === '') throw new AuroraRpcError('INVALID', 'writer_id: is empty');
      return found.epochs.open(epoch, writerId);
    },

    async truncate({ segment, epoch, history }) {
      const found = await find(segment);
      checkEpoch(epoch);
      if (history.length === 0) throw new AuroraRpcError('INVALID', 'history: is empty');
      return found.epochs.truncate(epoch, history);
    },

    async catchUp({ segment, lsn }, context) {
      const found = await find(segment);
      if (found.scl < lsn) {
        deps.onGap(found);
        await found.progress.until(() => found.scl >= lsn, deadlineOf(context, deps.clock));
      }
      return found.state();
    },

    async getPages(request, context) {
      const started = deps.clock.now();
      const found = await find(request.segment);
      checkPages(request);
      const content = await readable(found, request.epoch, request.lsn, context, deps);
      try {
        const answer = await readPages(content, request);
        deps.onRead((deps.clock.now() - started) / 1000, request.count);
        return answer;
      } catch (error) {
        throw asRpcError(error);
      }
    },

    async *computeImage({ segment, epoch, lsn }, context) {
      const found = await find(segment);
      checkEpoch(epoch);
      const content = await readable(found, epoch, lsn, context, deps);
      try {
        yield* computeImage(content, lsn, deps.clock);
      } catch (error) {
        throw asRpcError(error);
      }
    },

    importBase: (requests) => importBase(requests, find),

    async status(id) {
      return (await find(id)).state();
    },
  };
}

function readable(
  segment: Segment,
  epoch: bigint,
  lsn: bigint,
  context: CallContext,
  deps: Pick<SegmentServiceDeps, 'onGap' | 'clock'>,
): Promise<SegmentContent> {
  if (segment.scl < lsn && segment.phase === 'READY') deps.onGap(segment);
  return readableAt(segment, epoch, lsn, deadlineOf(context, deps.clock));
}

function checkPages(request: GetPagesRequest): void {
  const { count, fork, block, lsn } = request;
  checkEpoch(request.epoch);
  if (lsn === 0n) throw new AuroraRpcError('INVALID', 'lsn: is 0');
  if (count < 1 || count > PAGES_MAX) throw new AuroraRpcError('INVALID', `count: ${count} is not from 1 to ${PAGES_MAX}`);
  if (fork > 3 && fork !== SLRU_FORK)
    throw new AuroraRpcError('INVALID', `fork: ${fork} is not a relation's fork (0 to 3) or ${SLRU_FORK}`);
  if (block + count > 0xffff_ffff) throw new AuroraRpcError('INVALID', `block: ${block} + ${count} is past the last block`);
}
