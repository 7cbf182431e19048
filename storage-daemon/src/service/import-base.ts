import { EngineStateError, EngineUnknownError, type RedoEngine } from '@kube-aurora/redo-engine';
import { AuroraRpcError, type ImportBaseRequest, type ImportBegin, type PageImage, type SegmentState } from '@kube-aurora/rpc';
import { VOLUMES_BEFORE_ENGINES, type SegmentControl } from '../segment/control-file.ts';
import type { NewPages } from '../segment/replacement.ts';
import type { SegmentDirectory } from '../segment/segment-directory.ts';
import type { Segment } from '../segment/segment.ts';
import { refuseRole } from '../segment/segment-identity.ts';
import { checkMessage } from '../edge/message-rules.ts';
import { pageOf } from '../edge/page-keys.ts';

/** ImportBase: the first pages of a new volume, into a directory of their own that counts once `finish` was read. */

export async function importBase(requests: AsyncIterable<ImportBaseRequest>, segments: SegmentDirectory): Promise<SegmentState> {
  const iterator = requests[Symbol.asyncIterator]();
  const first = await iterator.next();
  const begin = first.done === true ? undefined : first.value.begin;
  if (begin === undefined) throw new AuroraRpcError('INVALID', 'begin: the first message must carry it');
  checkMessage('ImportBegin', begin, 'begin');
  refuseRole(segments.identity.role, begin.role, 'begin.role');
  const segment = await segments.take(begin.segment);
  const engine = engineOf(segment, begin);
  checkState(engine, begin);
  if (isRepetition(segment, begin)) return drain(iterator, segment);
  await segment.refuseJump(begin.epoch, 'begin.epoch');
  checkEmpty(segment, begin);
  await refuseSecondVolume(segment);
  if (begin.role === 'TAIL') {
    await segment.replaceRedo(async () => {
      await untilFinished(first.value, iterator);
      return () => ({ ...controlOfImport(segment, begin, engine), logStart: { lsn: begin.baseLsn, epoch: begin.epoch } });
    });
    segment.forgetUnknownLeases();
    return segment.state();
  }
  await segment.replace(async (pages) => {
    let finished = false;
    for (let next: IteratorResult<ImportBaseRequest> = first; next.done !== true && !finished; next = await iterator.next()) {
      await writePages(engine, pages, next.value.pages, begin.baseLsn);
      finished = next.value.finish;
      if (finished) break;
    }
    if (!finished) throw new AuroraRpcError('INVALID', 'finish: the stream ended without it; nothing was imported');
    await pages.complete({ lsn: begin.baseLsn, epoch: begin.epoch }, begin.volumeState);
    return () => controlOfImport(segment, begin, engine);
  });
  segment.forgetUnknownLeases();
  return segment.state();
}

/** Throws AuroraRpcError FENCED when a later epoch was promised meanwhile. */
function controlOfImport(segment: Segment, begin: ImportBegin, engine: RedoEngine): Partial<SegmentControl> {
  segment.refuseLower(begin.epoch);
  return {
    epoch: begin.epoch,
    history: [{ epoch: begin.epoch, startLsn: begin.baseLsn }],
    baseEpoch: begin.epoch,
    baseLsn: begin.baseLsn,
    systemIdentifier: begin.systemIdentifier,
    engine: engine.id,
  };
}

/** A tail is sent no pages: it waits to hear that others have them. Throws AuroraRpcError INVALID. */
async function untilFinished(first: ImportBaseRequest, rest: AsyncIterator<ImportBaseRequest>): Promise<void> {
  for (let next: IteratorResult<ImportBaseRequest> = { done: false, value: first }; next.done !== true; next = await rest.next()) {
    if (next.value.pages.length > 0) throw new AuroraRpcError('INVALID', 'pages: a tail keeps redo alone');
    if (next.value.finish) return;
  }
  throw new AuroraRpcError('INVALID', 'finish: the stream ended without it; nothing was imported');
}

/** Refuses what the segment could not take, before any page is read. */
function checkEmpty(segment: Segment, begin: ImportBegin): void {
  segment.refuseLower(begin.epoch);
  if (segment.phase === 'IMPORTING') throw new AuroraRpcError('NOT_READY', 'an import or copy is under way already');
  if (segment.control.ready) throw new AuroraRpcError('INVALID', 'begin: the segment holds a volume already');
}

/**
 * A daemon that lost its disk is empty, and so is a stranger's idea of the volume: what was written to is copied, never
 * imported.
 */
async function refuseSecondVolume(segment: Segment): Promise<void> {
  await segment.askPeers();
  if (!segment.highestOfPeers.isWritten) return;
  throw new AuroraRpcError('REFUSED', 'begin: peers hold this volume already, with redo; it is copied from them', 'volume-exists');
}

/** Whose redo the volume will have: it is kept with the volume from then on. */
function engineOf(segment: Segment, begin: ImportBegin): RedoEngine {
  try {
    return segment.engineFor(begin.engine ?? VOLUMES_BEFORE_ENGINES);
  } catch (error) {
    if (error instanceof EngineUnknownError) throw new AuroraRpcError('REFUSED', `begin.engine: ${error.message}`, 'engine-unknown');
    throw error;
  }
}

function checkState(engine: RedoEngine, begin: ImportBegin): void {
  try {
    engine.decodeState(begin.volumeState);
  } catch (error) {
    if (error instanceof EngineStateError) throw new AuroraRpcError('INVALID', `begin.volume_state: ${error.message}`);
    throw error;
  }
}

/** The same import again: its answer was lost on the way. */
function isRepetition(segment: Segment, begin: ImportBegin): boolean {
  const { ready, baseEpoch, baseLsn, systemIdentifier } = segment.control;
  return ready && baseEpoch === begin.epoch && baseLsn === begin.baseLsn && systemIdentifier === begin.systemIdentifier;
}

async function drain(iterator: AsyncIterator<ImportBaseRequest>, segment: Segment): Promise<SegmentState> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) if (next.value.finish) break;
  return segment.state();
}

async function writePages(engine: RedoEngine, into: NewPages, pages: readonly PageImage[], lsn: bigint): Promise<void> {
  checkMessage('ImportPages', { pages });
  await into.write(
    pages.map((image, at) => pageOf(engine, image, `pages[${at}]`)),
    lsn,
  );
}
