import type { SegmentState, StandIn, StandInReason } from '@kube-aurora/rpc';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import { lastEpoch, newestHistory } from '@kube-aurora/volume';
import type { Checkpoint } from '../pages/stored-pages.ts';
import type { SegmentControl } from '../segment/control-file.ts';
import type { RedoStorage } from '../segment/redo-storage.ts';
import { furthestFirst, hasPages, isProof, type PeerView } from './peer-plan.ts';

/**
 * When a tail stands in for its zone's full segment, as decisions without I/O. Each tail decides for itself and asks nobody, for nothing is
 * counted by it: quorums go by what segments are for as long as the volume lives, and a tail with pages is a tail. What it does is keep its
 * zone's promise to the other tails, who drop redo once somebody in each zone has pages with it.
 *
 * Invariants:
 * - it says up to where its pages have all redo only once they are durable, and whole;
 * - it gives them up only once the full segment has said that its own pages have all that; or when they cannot be used, which is as if a full
 *   segment had lost its disk;
 * - its log stays a tail's all the time, so that it may be without the pages at any moment.
 */
export type StandInPlan =
  | { readonly kind: 'idle' }
  /** It is time: copy from one of these, in this order. */
  | { readonly kind: 'begin'; readonly of: string; readonly reason: StandInReason; readonly sources: readonly string[] }
  | { readonly kind: 'end'; readonly why: 'full-is-back' | 'pages-unusable' };

/** The full segment of a tail's own zone. */
export interface Partner {
  readonly id: string;
  /** What it said lately; undefined while it does not answer. */
  readonly state: SegmentState | undefined;
  /** Milliseconds for which it has not served, as far as this tail knows. */
  readonly awayMs: number;
}

export interface StandInInput {
  readonly own: SegmentState;
  readonly standIn: StandIn | undefined;
  /** Undefined while it is not known which peer that is. */
  readonly partner: Partner | undefined;
  readonly peers: readonly PeerView[];
  /** Milliseconds after which a full segment that is away is stood in for. */
  readonly afterMs: number;
}

/** Does it serve pages, and take redo into them? */
export function servesPages(state: SegmentState): boolean {
  return state.phase === 'READY' && state.fault === undefined;
}

export function planStandIn({ own, standIn, partner, peers, afterMs }: StandInInput): StandInPlan {
  if (standIn !== undefined) return planEnd(own, standIn, peers);
  if (partner === undefined || partner.awayMs < afterMs || !servesPages(own)) return { kind: 'idle' };
  const sound = peers.filter(
    (peer) => hasPages(peer) && isProof(peer.state) && peer.state.baseEpoch === own.baseEpoch && peer.state.checkpointLsn > 0n,
  );
  const sources = furthestFirst(own, sound, newestHistory([own.history, ...sound.map(({ state }) => state.history)]));
  if (sources.length === 0) return { kind: 'idle' };
  return { kind: 'begin', of: partner.id, reason: reasonOf(partner.state), sources: sources.map(({ peerId }) => peerId) };
}

function planEnd(own: SegmentState, { of }: StandIn, peers: readonly PeerView[]): StandInPlan {
  if (own.phase === 'DAMAGED') {
    const kind = own.fault?.kind;
    // Its log is as it was: the tail goes on with that.
    return kind === 'DAMAGED_DATA' || kind === 'REDO_FAILED' ? { kind: 'end', why: 'pages-unusable' } : { kind: 'idle' };
  }
  const full = peers.find(({ peerId }) => peerId === of)?.state;
  const isBack =
    own.phase === 'READY' &&
    full !== undefined &&
    servesPages(full) &&
    full.baseEpoch === own.baseEpoch &&
    full.checkpointLsn >= own.checkpointLsn;
  return isBack ? { kind: 'end', why: 'full-is-back' } : { kind: 'idle' };
}

function reasonOf(state: SegmentState | undefined): StandInReason {
  if (state === undefined) return 'SILENT';
  if (state.phase === 'EMPTY' || state.phase === 'IMPORTING') return 'EMPTY';
  if (state.fault?.kind === 'DISK_FULL' || state.fault?.kind === 'DISK_ERROR') return 'UNWRITABLE';
  return 'DAMAGED';
}

/** What must be known of a tail for pages to be taken beside its log. */
export interface TailAsItIs {
  readonly phase: SegmentState['phase'];
  readonly mustRecover: boolean;
  /** Redo is being annulled. */
  readonly annulling: unknown;
  readonly control: Pick<SegmentControl, 'baseEpoch' | 'history'>;
  readonly storage: Pick<RedoStorage, 'startLsn' | 'durable' | 'endsBatchOf'> | undefined;
}

/**
 * Why a tail may not take pages that `source` gave, as of this checkpoint, beside its log; undefined when it may.
 *
 * Invariant: pages are taken only when the tail's own log, under a history that is not older than the source's, has a batch that ends
 * where they stand, of the same epoch: up to there both are the volume's one line.
 */
export function whyNotFit(
  { phase, mustRecover, annulling, control, storage }: TailAsItIs,
  source: Pick<SegmentState, 'baseEpoch' | 'history'>,
  { lsn, epoch }: Checkpoint,
): string | undefined {
  if (storage === undefined || phase !== 'READY' || annulling !== undefined) return `the segment is ${phase}`;
  if (mustRecover) return 'the segment lost redo that it must recover first';
  if (source.baseEpoch !== control.baseEpoch) return `they are of the import of epoch ${source.baseEpoch}`;
  if (lastEpoch(source.history) > lastEpoch(control.history)) return `the history up to epoch ${lastEpoch(source.history)} is missing`;
  const { startLsn, durable } = storage;
  if (startLsn > lsn || durable.lsn < lsn)
    return `they are as of ${formatLsn(lsn)}, it has ${formatLsn(startLsn)} to ${formatLsn(durable.lsn)}`;
  return storage.endsBatchOf(lsn, epoch) ? undefined : `no batch of epoch ${epoch} ends at ${formatLsn(lsn)}`;
}

/**
 * Of a full segment that is back: does a tail hold pages in its place with redo that its own stored pages, up to `checkpointLsn`, lack? A
 * checkpoint then lets the tail give them up, also while nobody writes.
 */
export function isStoodInFor(ownId: string, checkpointLsn: bigint, peers: readonly PeerView[]): boolean {
  return peers.some(({ state }) => state.standIn?.of === ownId && state.checkpointLsn > checkpointLsn);
}

/**
 * Which of the full peers is of the zone `own`: the one that said so, or, when none did, the only one that did not say that it is of
 * another. Undefined while that is not known.
 */
export function fullOfZone(own: string, fulls: readonly { readonly id: string; readonly zone: string | undefined }[]): string | undefined {
  const here = fulls.filter(({ zone }) => zone === own);
  const unknown = fulls.filter(({ zone }) => zone === undefined);
  const candidates = here.length > 0 ? here : unknown;
  return candidates.length === 1 ? candidates[0]?.id : undefined;
}
