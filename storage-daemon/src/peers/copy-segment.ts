import type { Clock } from '@kube-aurora/clock';
import { AuroraRpcError, type CopySegmentChunk, type SegmentState, type StandIn } from '@kube-aurora/rpc';
import { lastEpoch, newestHistory } from '@kube-aurora/volume';
import { VOLUMES_BEFORE_ENGINES, type SegmentControl } from '../segment/control-file.ts';
import type { NewPages } from '../segment/replacement.ts';
import { readableNow } from '../segment/readable-at.ts';
import type { Segment } from '../segment/segment.ts';
import { checkMessage } from '../edge/message-rules.ts';
import type { CopyTerms } from './peer-plan.ts';
import { whyNotFit } from './stand-in-plan.ts';
import type { Peer } from './peer-set.ts';
import { STREAM_DEADLINE_MS, unstalled } from './stalled-stream.ts';

/** Whole copies of a segment's pages, between peers: for one that is empty, too far behind, or damaged. */

/** After a copy the receiver comes back for the redo after the checkpoint; it is kept for it that long. */
const KEEP_LOG_MS = 60_000;

/** Serves a copy: everything stored, as of one moment, each value checked before it is sent. */
export async function* serveCopy(segment: Segment, clock: Clock): AsyncGenerator<CopySegmentChunk> {
  if (segment.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `the segment is ${segment.phase}`);
  const storage = readableNow(segment);
  const release = segment.holdRedo('copy');
  try {
    let state: SegmentState | undefined = segment.state();
    for await (const values of storage.exportCopy()) {
      yield { state, values };
      state = undefined;
    }
  } finally {
    void clock.sleep(KEEP_LOG_MS).then(release);
  }
}

/**
 * Replaces this segment's pages by a peer's; redo after them is fetched afterwards. All or nothing: on failure the
 * segment is as before, and the next try starts over. Until its SCL is at or past `recoverToLsn` the segment makes no
 * promise to an opener: what it may have acknowledged before it lost its pages is in there. `terms` also has what it
 * may have promised. Gives the bytes received. Throws AuroraRpcError; StoredValueError when a value fails its CRC on
 * arrival.
 */
export async function copyFromPeer(segment: Segment, peer: Peer, terms: CopyTerms, clock: Clock, stop: AbortSignal): Promise<number> {
  let bytes = 0;
  await segment.replace(async (pages) => {
    const taken = await receiveCopy(segment, peer, pages, { clock, stop, reserveBytes: 0 }, async (state) => {
      const source = underTerms(state, terms);
      await segment.refuseCopy(source);
      return source;
    });
    ({ bytes } = taken);
    return (current) => controlAfterCopy(current, taken.source, terms.recoverToLsn);
  });
  return bytes;
}

interface Receiving {
  readonly clock: Clock;
  readonly stop: AbortSignal;
  /** Of the disk, what is not for the copy. */
  readonly reserveBytes: number;
}

/** Takes a peer's pages to their end. `accept`: given what they stand for, gives what they count for; throws AuroraRpcError. */
async function receiveCopy(
  segment: Segment,
  peer: Peer,
  pages: NewPages,
  { clock, stop, reserveBytes }: Receiving,
  accept: (state: SegmentState) => Promise<SegmentState>,
): Promise<{ readonly source: SegmentState; readonly bytes: number }> {
  let bytes = 0;
  let source: SegmentState | undefined;
  const chunks = unstalled(
    (signal) => peer.client.copySegment({ segment: segment.id }, { deadlineMs: STREAM_DEADLINE_MS, signal }),
    clock,
    stop,
  );
  for await (const chunk of chunks) {
    if (source === undefined && chunk.state !== undefined) {
      checkMessage('SegmentState', chunk.state, 'state');
      source = await accept(chunk.state);
      const free = (await pages.freeBytes()) - reserveBytes;
      if (free < Number(source.bytesUsed))
        throw new AuroraRpcError('NOT_READY', `the copy may take ${source.bytesUsed} bytes, and the disk has ${free} free`);
    }
    await pages.take(chunk.values);
    for (const { value } of chunk.values) bytes += value.length;
  }
  if (source === undefined || !(await pages.completeCopy())) throw new AuroraRpcError('INVALID', `${peer.id} sent an incomplete copy`);
  if (source.phase !== 'READY') throw new AuroraRpcError('NOT_READY', `${peer.id} offers a copy of a segment that is ${source.phase}`);
  return { source, bytes };
}

/** How long a tail's own log may take to get to where the pages that came for it are. */
const FIT_WITHIN_MS = 60_000;

/**
 * Gives a tail a peer's pages beside its log. They say nothing of what the tail holds or promised: its log, its history and its
 * epoch stay its own, and the pages are taken only where they fit in. Gives the bytes received. Throws AuroraRpcError;
 * StoredValueError when a value fails its CRC on arrival.
 * Not when they are no longer wanted by then.
 */
export async function takePagesBeside(
  segment: Segment,
  peer: Peer,
  standIn: Omit<StandIn, 'sinceUnixMs'>,
  { clock, stop, isWanted }: Pick<Receiving, 'clock' | 'stop'> & { readonly isWanted: () => boolean },
): Promise<number> {
  let bytes = 0;
  await segment.addPages(async (pages) => {
    const receiving = { clock, stop, reserveBytes: segment.limits.diskReserveBytes };
    const taken = await receiveCopy(segment, peer, pages, receiving, (state) => Promise.resolve(state));
    ({ bytes } = taken);
    const { source } = taken;
    const checkpoint = await pages.checkpoint();
    const misfit = (): string | undefined => {
      if (checkpoint === undefined) return 'they have no checkpoint';
      return whyNotFit(segment, source, checkpoint);
    };
    await segment.until(() => misfit() === undefined, clock.now() + FIT_WITHIN_MS);
    return () => {
      if (!isWanted()) throw new AuroraRpcError('NOT_READY', 'the full segment is back');
      const wrong = misfit();
      if (wrong !== undefined) throw new AuroraRpcError('NOT_READY', `the pages of ${peer.id} do not fit the log: ${wrong}`);
      return { ...standIn, sinceUnixMs: BigInt(Math.floor(clock.wallTime())) };
    };
  });
  return bytes;
}

/** Who holds an epoch that was learned from a peer's promise: nobody may be promised it here. */
const ANOTHER_WRITER = 'another writer';

/**
 * What the source holds, under the newest history and of the highest epoch that were heard of: its checkpoint is at or
 * below VDL, which no history annuls.
 */
function underTerms(source: SegmentState, { epoch, history }: CopyTerms): SegmentState {
  const newest = newestHistory([source.history, history]);
  const highest = [source.epoch, epoch, lastEpoch(newest)].reduce((best, one) => (one > best ? one : best));
  return { ...source, epoch: highest, history: newest.map((entry) => ({ ...entry })) };
}

/**
 * A tail's log starts anew where a peer's does, to which it is fetched afterwards: from there on the peer can give it.
 * Gives nothing until that has been; as after a copy, no promise is made before its SCL is at or past
 * `terms.recoverToLsn`. Throws AuroraRpcError.
 */
export async function startRedoAt(segment: Segment, peer: SegmentState, terms: CopyTerms): Promise<void> {
  await segment.replaceRedo(async () => {
    const source = underTerms(peer, terms);
    await segment.refuseCopy(source);
    const logStart = { lsn: peer.logStartLsn, epoch: peer.logStartEpoch };
    return (current) => ({ ...controlAfterCopy(current, source, terms.recoverToLsn), logStart });
  });
}

/** What the control file becomes with a copy of what `source` held. */
function controlAfterCopy(current: SegmentControl, source: SegmentState, recoverToLsn: bigint): Partial<SegmentControl> {
  const { epoch, history, baseEpoch, baseLsn, systemIdentifier, engine = VOLUMES_BEFORE_ENGINES } = source;
  const isSameBase = current.ready && current.baseEpoch === baseEpoch;
  return {
    epoch: epoch > current.epoch ? epoch : current.epoch,
    writerId: epoch > current.epoch ? ANOTHER_WRITER : current.writerId,
    // Ours stays when it is the newer one: the copy was applied up to a checkpoint at or below VDL, which no history
    // annuls.
    history: isSameBase ? newestHistory([current.history, history]) : history,
    baseEpoch,
    baseLsn,
    systemIdentifier,
    engine,
    recoverToLsn: isSameBase && current.recoverToLsn > recoverToLsn ? current.recoverToLsn : recoverToLsn,
  };
}
