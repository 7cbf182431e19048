import type { EpochStart } from './epoch-history.ts';

/**
 * The steps in which a volume is opened, and what an opener sends to segments in each. Which sets are enough stands in
 * quorum.ts: a promise quorum for the first three steps, a write quorum for the others.
 *
 *   status     Who is there? A promise quorum must answer. The new epoch is the highest seen + 1.
 *   promise    OpenEpoch(epoch) on all; a promise quorum must promise, and those of it that hold the volume must be a
 *              read quorum.
 *   confirm    Status on all that promised: a promise quorum must hold its promise still. Promises come one by one, and
 *              the last may take long; who loses its disk meanwhile may stand on a copy from peers that promised
 *              nothing, and go on with an older writer. Asked after the last of them came, they all held at that one
 *              moment, and hold for good: whoever loses its disk from then on hears of the promise, as it hears a read
 *              quorum of its peers before it counts again, and no more than two of them are without it. So no older
 *              writer can get anything acknowledged any more: any write quorum shares two segments with those that
 *              promised. What they say now is what counts for X.
 *   bootstrap  None of those that promised holds anything: there is no volume yet. Import one with this epoch, then
 *              open. The arithmetic needs no more for this; but should disks have been lost or swapped, those that are
 *              silent may hold the volume, so all six are waited for, and some only for so long. Never when the volume
 *              is known to exist.
 *   install-history
 *              X = where the volume ends, from the promises (`chooseStart`). InstallHistory(history + {epoch, X}) on
 *              all. A write quorum must have it, durably, so that every later opener sees it.
 *   catch-up   CatchUp(X) until a write quorum holds all redo up to X. Their peers have it, and their histories let
 *              none but it in. Whoever had it is asked again and again: when it is on none that answers any more,
 *              `startOver` for a higher epoch.
 *   opened     Redo of this epoch starts at X. (Its first batch makes the choice final; PostgreSQL starts after it.)
 *   overtaken  Another writer got a higher epoch than ours. Never go on.
 */
export type OpenStep = 'status' | 'promise' | 'confirm' | 'install-history' | 'catch-up' | 'opened' | 'bootstrap' | 'overtaken';

export type OpenRequest =
  | { readonly kind: 'status' }
  | { readonly kind: 'open-epoch'; readonly epoch: bigint }
  /** Status of a segment that promised: does it hold its promise still? `round`: since all of those promised. */
  | { readonly kind: 'confirm'; readonly epoch: bigint; readonly round: number }
  | { readonly kind: 'install-history'; readonly epoch: bigint; readonly history: readonly EpochStart[] }
  | { readonly kind: 'catch-up'; readonly epoch: bigint; readonly lsn: bigint }
  /** Status of a segment that held all of it: does it still? */
  | { readonly kind: 'recheck'; readonly epoch: bigint };

/** What a quorum has to have done for a step to end, for people. */
export const DONE: Partial<Record<OpenStep, string>> = {
  status: 'answered',
  promise: 'promised to follow this writer',
  confirm: 'hold to their promise',
  'install-history': 'know where the volume ends',
  'catch-up': 'hold all of the volume',
};

/** Does a promise quorum end the step? Else a write quorum does. */
export function endsWithPromises(step: OpenStep): boolean {
  return step === 'status' || step === 'promise' || step === 'confirm';
}

/**
 * Why a request failed: `overtaken` when the segment named a higher epoch or another holder of ours, else
 * `unavailable`.
 */
export type OpenFailure = 'overtaken' | 'unavailable';
