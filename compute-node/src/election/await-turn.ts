import type { SegmentState } from '@kube-aurora/rpc';
import type { OpenHindrance } from '../open/open-volume.ts';
import { quorumsOf } from '../segments.ts';
import { askWriter, highestEpoch, type AskWriterOptions } from './ask-writer.ts';
import { Candidacy, type CandidateOptions, type OpenTurn } from './candidacy.ts';
import type { WriterVerdict } from './judge-writer.ts';

/** While another makes the volume, or waits for its turn. */
const LOOK_AGAIN_MS = 250;

export interface TurnOptions extends AskWriterOptions, CandidateOptions {
  /** Ours, as a writer. */
  readonly writerId: string;
  /**
   * This process has just started: a writer that lives and has our name is an earlier run of ours, and its place is ours. Later
   * it is a newer one, to which we yield.
   */
  readonly isFirst: boolean;
  readonly signal: AbortSignal;
  /** What it waits for just now, for /status; undefined when nothing. */
  readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
}

export type Turn =
  | OpenTurn
  /** That instance is the writer, and there is something to follow. */
  | { readonly kind: 'follow'; readonly writer: string }
  | { readonly kind: 'stopped' };

/**
 * What a compute without a session is to be: resolves when it is to open the volume, or when there is a writer to
 * follow. Asks storage for as long as that takes.
 */
export async function awaitTurn(options: TurnOptions): Promise<Turn> {
  const { clock, logger, signal, onWaiting } = options;
  const candidacy = new Candidacy(options, false);
  let said = '';
  const wait = (message: string, ms: number): Promise<void> => {
    if (message !== said) logger.info(`waiting to become the writer or a reader: ${message}`);
    said = message;
    onWaiting({ kind: 'storage', message });
    return clock.sleep(Math.min(ms, LOOK_AGAIN_MS), signal);
  };
  try {
    while (!signal.aborted) {
      const { states, verdict } = await askWriter(options, signal);
      if (signal.aborted) break;
      switch (verdict.kind) {
        case 'alive': {
          candidacy.end();
          const { epoch, writerId, instance } = verdict;
          if (writerId === options.writerId || (options.isFirst && instance === options.instance))
            return { kind: 'open', why: 'own', heldEpoch: highestEpoch(states), from: { epoch, writerId, instance }, goneForMs: 0 };
          if (canBeFollowed(states)) return { kind: 'follow', writer: instance };
          await wait(`${instance} opens or makes the volume`, LOOK_AGAIN_MS);
          break;
        }
        case 'unknown':
          candidacy.end();
          await wait(messageOf(verdict, options), verdict.inMs);
          break;
        case 'none':
        case 'gone': {
          const turn = candidacy.look(verdict, states);
          if ('kind' in turn) return turn;
          await wait(
            `there is no writer, and ${turn.rank === 0 ? 'it is our turn in a moment' : `${turn.rank} may come first`}`,
            turn.waitMs,
          );
          break;
        }
      }
    }
    return { kind: 'stopped' };
  } finally {
    onWaiting(undefined);
  }
}

function messageOf({ reason, answered }: Extract<WriterVerdict, { readonly kind: 'unknown' }>, { segments }: TurnOptions): string {
  if (reason === 'opening') return 'somebody is about to open the volume';
  const { copies, promiseNeeds } = quorumsOf(segments);
  return `${answered} of ${copies} segments say who the writer is, ${promiseNeeds} are needed`;
}

/** Is there redo to follow, of a volume that is there? */
function canBeFollowed(states: readonly (SegmentState | undefined)[]): boolean {
  return states.some((state) => state?.phase === 'READY' && state.vdl > 0n);
}
