import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { fromServiceError, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import { quorumsOf, type SegmentEndpoint } from '../segments.ts';
import { judgeWriter, type WriterVerdict } from './judge-writer.ts';
import type { PlaceSettings } from './place-settings.ts';

const ASK_DEADLINE_MS = 1000;
/** How long the others are waited for once a promise quorum has answered: a daemon that hangs costs this much. */
const GRACE_MS = 100;

export interface AskWriterOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly segment: SegmentId;
  readonly place: PlaceSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface WriterAnswer {
  /** By segment; undefined of those that did not answer. */
  readonly states: readonly (SegmentState | undefined)[];
  readonly verdict: WriterVerdict;
}

/**
 * Asks every segment who the writer is. An answer that is still due can change nothing of a writer that is gone, for it is
 * counted as one that heard it; so that verdict waits for nobody.
 */
export async function askWriter(options: AskWriterOptions, signal: AbortSignal): Promise<WriterAnswer> {
  const { segments, segment, place, clock, logger } = options;
  const quorums = quorumsOf(segments);
  const states: (SegmentState | undefined)[] = segments.map(() => undefined);
  const answer = (): WriterAnswer => ({ states: [...states], verdict: judgeWriter(states, quorums, place.failoverAfterMs) });
  const over = new AbortController();
  const ends = AbortSignal.any([signal, over.signal]);
  const { promise: decided, resolve: decide } = Promise.withResolvers<void>();
  let isGrace = false;
  const look = (): void => {
    const { verdict } = answer();
    if (verdict.kind === 'gone') decide();
    if (isGrace || (verdict.kind === 'unknown' && verdict.reason === 'tooFew')) return;
    isGrace = true;
    void clock.sleep(GRACE_MS, ends).then(decide);
  };
  const asking = segments.map(async ({ id, client }, index) => {
    try {
      states[index] = await client.status(segment, { deadlineMs: ASK_DEADLINE_MS, signal: ends });
      look();
    } catch (error) {
      if (!ends.aborted)
        logger.debug({ segment: id, reason: fromServiceError(error, id).message }, 'segment does not say who the writer is');
    }
  });
  await Promise.race([Promise.all(asking), decided]);
  const heard = answer();
  over.abort();
  return heard;
}

/** Of those that answered; 0 when none has promised any. */
export function highestEpoch(states: WriterAnswer['states']): bigint {
  return states.reduce((highest, state) => (state !== undefined && state.epoch > highest ? state.epoch : highest), 0n);
}
