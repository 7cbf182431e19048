import type { Clock } from '@kube-aurora/clock';
import type { SegmentState } from '@kube-aurora/rpc';
import type { FailoverReason, WriterName, WriterVerdict } from './judge-writer.ts';
import type { PlaceSettings } from './place-settings.ts';
import { rankCandidates, turnDelay } from './rank-candidates.ts';

/** We are to open the volume. */
export interface OpenTurn {
  readonly kind: 'open';
  /**
   * first: there was no writer ever. own: the writer was an earlier run of this very compute. switchover: somebody wants us to be it
   * although the writer lives.
   */
  readonly why: FailoverReason | 'first' | 'own' | 'switchover';
  /**
   * The highest epoch that was seen: whoever opens the volume gives up where a higher one shows (`heldEpoch` of
   * openVolume), as that is another who was elected and came first.
   */
  readonly heldEpoch: bigint;
  /** The writer before; undefined when there was none. */
  readonly from: WriterName | undefined;
  /** For how long no segment had heard it. */
  readonly goneForMs: number;
}

export interface CandidateOptions {
  /** Our name. */
  readonly instance: string;
  readonly place: PlaceSettings;
  readonly clock: Clock;
}

/**
 * A machine that stood still as a whole, or daemons that did, find their writer silent for that long before they let its
 * words in that have arrived: who was silent is looked at again after this.
 */
const LOOK_TWICE_MS = 150;

type Vacancy = Extract<WriterVerdict, { readonly kind: 'gone' | 'none' }>;

/**
 * One compute's waiting for its turn, through as many looks at storage as that takes.
 *
 * Invariants: the wait is counted from when this very writer was first found gone, and its rank is that of the latest
 * look: a candidate that died meanwhile holds nobody up for longer than its own turn. A writer is taken for silent only
 * when it was found so twice.
 */
export class Candidacy {
  readonly #options: CandidateOptions;
  readonly #isFollowing: boolean;
  #vacancy: { readonly epoch: bigint; readonly sinceMs: number; readonly chance: number } | undefined;

  constructor(options: CandidateOptions, isFollowing: boolean) {
    this.#options = options;
    this.#isFollowing = isFollowing;
  }

  /** There is a writer, or it cannot be told. */
  end(): void {
    this.#vacancy = undefined;
  }

  /** Our turn, or how long to wait until the next look. */
  look(verdict: Vacancy, states: readonly (SegmentState | undefined)[]): OpenTurn | { readonly waitMs: number; readonly rank: number } {
    const { instance, place, clock } = this.#options;
    const now = clock.now();
    const from = verdict.kind === 'gone' ? nameIn(verdict) : undefined;
    const epoch = from?.epoch ?? 0n;
    if (this.#vacancy?.epoch !== epoch) this.#vacancy = { epoch, sinceMs: now, chance: clock.random() };
    const { sinceMs, chance } = this.#vacancy;
    const candidates = rankCandidates(states.map((state) => state?.followers ?? []));
    const { rank, delayMs } = turnDelay(candidates, {
      instance,
      tier: place.tier,
      isFollowing: this.#isFollowing,
      gone: from?.instance,
      chance,
    });
    const isSilent = verdict.kind === 'gone' && verdict.reason === 'silent';
    const waitMs = sinceMs + Math.max(delayMs, isSilent ? LOOK_TWICE_MS : 0) - now;
    if (waitMs > 0) return { waitMs, rank };
    return verdict.kind === 'gone'
      ? { kind: 'open', why: verdict.reason, heldEpoch: epoch, from, goneForMs: verdict.heardMsAgo }
      : { kind: 'open', why: 'first', heldEpoch: epoch, from, goneForMs: 0 };
  }
}

function nameIn({ epoch, writerId, instance }: WriterName): WriterName {
  return { epoch, writerId, instance };
}
