import { formatLsn, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import {
  AuroraRpcError,
  type CallContext,
  type CopySegmentChunk,
  type CopySegmentRequest,
  type FetchRedoRequest,
  type GetPeerPageRequest,
  type GossipRequest,
  type PageImage,
  type PeerHandlers,
  type RedoChunk,
  type SegmentId,
  type SegmentState,
  type StoredValue,
} from '@kube-aurora/rpc';
import { decodeRedoBatchHeader } from '@kube-aurora/volume';
import { openValue, StoredValueError } from '../page-store/stored-value.ts';
import { LogGoneError, LogReadError } from '../redo-log/redo-log.ts';
import type { PeerClock } from './peer-clock.ts';
import type { PeerSegment, PeerSegments } from './peer-segment.ts';

/** What this daemon gives to its peers. It only sends what passes its CRC: damage is reported here and refused there. */

const REDO_CHUNK_BYTES = 1024 * 1024;
const COPY_CHUNK_BYTES = 1024 * 1024;
/** After a copy went out, its taker needs the redo from the mark on for this long. */
const KEEP_LOG_AFTER_COPY_MS = 60_000;

export interface PeerServiceParts {
  readonly segments: PeerSegments;
  readonly clock: PeerClock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  readonly hear: (segment: PeerSegment, state: SegmentState) => Promise<SegmentState>;
  /** Something stored failed its check: StoredValueError or LogReadError. */
  readonly onDamage: (segment: PeerSegment, error: Error) => void;
}

export class PeerService implements PeerHandlers {
  readonly #parts: PeerServiceParts;

  constructor(parts: PeerServiceParts) {
    this.#parts = parts;
  }

  async gossip({ segment: id, state }: GossipRequest): Promise<SegmentState> {
    const { segments, hear } = this.#parts;
    const segment = segments.get(id) ?? (await segments.adopt(id));
    return hear(segment, state);
  }

  #segment(id: SegmentId): PeerSegment {
    const segment = this.#parts.segments.get(id);
    if (segment === undefined) throw new AuroraRpcError('NOT_READY', `this daemon has no segment of volume ${id.volumeId}, protection group ${id.pg}`);
    const { phase } = segment.state();
    const unusable = segment.needsCopy();
    if (phase === 'EMPTY' || phase === 'IMPORTING') throw new AuroraRpcError('NOT_READY', `the segment is ${phase}`);
    if (unusable !== undefined) throw new AuroraRpcError('DAMAGED', unusable);
    return segment;
  }

  async *fetchRedo(request: FetchRedoRequest, context: CallContext): AsyncGenerator<RedoChunk> {
    const segment = this.#segment(request.segment);
    const { scl, logStartLsn } = segment.state();
    const toLsn = request.toLsn === 0n || request.toLsn > scl ? scl : request.toLsn;
    let at = request.fromLsn;
    let epoch = request.fromEpoch;
    if (at > scl) throw new AuroraRpcError('BEHIND', `redo is here up to ${text(scl)}, not to ${text(at)}`);
    if (at < logStartLsn) throw new AuroraRpcError('TOO_OLD', `redo is here from ${text(logStartLsn)} on, not from ${text(at)}`);
    const here = segment.epochAt(at);
    if (here !== epoch) throw new AuroraRpcError('INVALID', `from_epoch: the redo that ends at ${text(at)} is of epoch ${here ?? 'none'} here, not of ${epoch}`);
    while (at < toLsn && !context.signal.aborted) {
      // A truncation in between ends the stream: what was sent before it, the receiver annuls by its own history.
      if (segment.epochAt(at) !== epoch) return;
      const batches = await this.#guarded(segment, () => segment.readRedo(at, REDO_CHUNK_BYTES));
      if (batches.length === 0) return;
      ({ at, epoch } = endOf(batches));
      yield { batches };
    }
  }

  async *copySegment(request: CopySegmentRequest, context: CallContext): AsyncGenerator<CopySegmentChunk> {
    const { clock, stop, logger } = this.#parts;
    const segment = this.#segment(request.segment);
    if (segment.state().phase !== 'READY') throw new AuroraRpcError('DAMAGED', segment.state().message);
    const snapshot = await segment.snapshot();
    const { markLsn } = snapshot;
    try {
      let state: SegmentState | undefined = snapshot.state;
      let values: StoredValue[] = [];
      let bytes = 0;
      let total = 0;
      const entries = this.#checked(segment, snapshot.values);
      for await (const entry of entries) {
        if (context.signal.aborted) return;
        values.push(entry);
        bytes += entry.key.length + entry.value.length;
        if (bytes < COPY_CHUNK_BYTES) continue;
        yield { state, values, markLsn };
        state = undefined;
        values = [];
        total += bytes;
        bytes = 0;
      }
      if (state !== undefined || values.length > 0) yield { state, values, markLsn };
      logger.info({ bytes: total + bytes, markLsn }, 'a peer has copied the segment');
    } finally {
      void clock.sleep(KEEP_LOG_AFTER_COPY_MS, stop).then(() => snapshot.release());
    }
  }

  async getPeerPage({ segment: id, key, lsn }: GetPeerPageRequest): Promise<PageImage> {
    const segment = this.#segment(id);
    const { scl } = segment.state();
    if (lsn > scl) throw new AuroraRpcError('BEHIND', `redo is here up to ${text(scl)}, not to ${text(lsn)}`);
    const page = await this.#guarded(segment, () => segment.pageAt(key, lsn));
    return { key, page: page ?? Buffer.alloc(0) };
  }

  async *#checked(segment: PeerSegment, values: AsyncIterable<StoredValue>): AsyncGenerator<StoredValue> {
    try {
      for await (const entry of values) {
        openValue(entry.key, entry.value);
        yield entry;
      }
    } catch (error) {
      throw this.#refusal(segment, error);
    }
  }

  async #guarded<T>(segment: PeerSegment, read: () => T | Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      throw this.#refusal(segment, error);
    }
  }

  #refusal(segment: PeerSegment, error: unknown): unknown {
    if (error instanceof LogGoneError) return new AuroraRpcError('TOO_OLD', error.message);
    if (!(error instanceof LogReadError) && !(error instanceof StoredValueError)) return error;
    this.#parts.onDamage(segment, error);
    return new AuroraRpcError('DAMAGED', error.message);
  }
}

function text(lsn: bigint): string {
  return formatLsn(lsn as Lsn);
}

/** Where a run of whole batches ends. */
function endOf(batches: Buffer): { at: bigint; epoch: bigint } {
  let end = { at: 0n, epoch: 0n };
  for (let offset = 0; offset < batches.length; ) {
    const header = decodeRedoBatchHeader(batches, offset);
    end = { at: header.endLsn, epoch: header.epoch };
    offset += header.totalBytes;
  }
  return end;
}
