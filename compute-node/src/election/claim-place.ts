import { quorumsOf } from '../segments.ts';
import { askWriter, highestEpoch, type AskWriterOptions } from './ask-writer.ts';
import type { OpenTurn } from './candidacy.ts';

export type Claim = OpenTurn | { readonly kind: 'refused'; readonly message: string };

/**
 * The turn of a reader that is wanted to be the writer, whoever is it now. It waits for nobody's rank.
 *
 * Invariant: as with any other opener it is the epoch that decides: the writer that lives is fenced by it, and nothing that it
 * has acknowledged can be missing from what is opened.
 */
export async function claimPlace(options: AskWriterOptions & { readonly instance: string }, signal: AbortSignal): Promise<Claim> {
  const { states, verdict } = await askWriter(options, signal);
  const { copies, promiseNeeds } = quorumsOf(options.segments);
  const refused = (message: string): Claim => ({ kind: 'refused', message });
  switch (verdict.kind) {
    case 'none':
      return refused('the volume has no writer yet: there is nothing to take over');
    case 'unknown':
      return refused(
        verdict.reason === 'opening'
          ? 'somebody is about to open the volume: ask again in a second'
          : `${verdict.answered} of ${copies} storage daemons say who the writer is, ${promiseNeeds} are needed to open the volume`,
      );
    case 'alive':
    case 'gone': {
      const { epoch, writerId, instance } = verdict;
      if (verdict.kind === 'alive' && instance === options.instance) return refused(`${instance} is the writer, as storage has it`);
      return {
        kind: 'open',
        why: verdict.kind === 'alive' ? 'switchover' : verdict.reason,
        heldEpoch: highestEpoch(states),
        from: { epoch, writerId, instance },
        goneForMs: verdict.kind === 'alive' ? 0 : verdict.heardMsAgo,
      };
    }
  }
}
