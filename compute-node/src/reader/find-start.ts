import type { Clock } from '@kube-aurora/clock';
import { formatLsn, INVALID_LSN, maxLsn, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { fromServiceError, type SegmentId, type SegmentState } from '@kube-aurora/rpc';
import { mismatchOf, type OpenHindrance } from '../open/open-volume.ts';
import type { SegmentEndpoint } from '../segments.ts';

const ASK_DEADLINE_MS = 1000;
/**
 * How long the others are waited for once one has answered: their VDL may be newer, and a daemon that hangs costs this
 * much.
 */
const GRACE_MS = 50;
const PAUSE_MIN_MS = 50;
const PAUSE_MAX_MS = 1000;

export interface ReaderStart {
  /** X: durable, and so the volume's for good. */
  readonly startLsn: Lsn;
  /** Segments with pages, those first that have redo up to X, and of these those of our own zone. */
  readonly segments: readonly SegmentEndpoint[];
}

export interface FindStartOptions {
  readonly segments: readonly SegmentEndpoint[];
  readonly segment: SegmentId;
  readonly zone: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly signal: AbortSignal;
  /** What it waits for just now; undefined when nothing. */
  readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
}

/**
 * The newest LSN that a segment knows to be durable. Asks until one does, for as long as it takes; undefined when it
 * was stopped. Nothing of the volume is changed or promised by it.
 */
export async function findReaderStart(options: FindStartOptions): Promise<ReaderStart | undefined> {
  const { clock, signal, onWaiting, logger } = options;
  let said = '';
  for (let pauseMs = PAUSE_MIN_MS; !signal.aborted; pauseMs = Math.min(pauseMs * 2, PAUSE_MAX_MS)) {
    const answers = await askAll(options);
    const found = chooseStart(answers, options.zone);
    if (found.kind === 'found') {
      onWaiting(undefined);
      return found.start;
    }
    const { hindrance } = found;
    if (hindrance.message !== said) logger.warn({ reason: hindrance.kind }, `a reader waits: ${hindrance.message}`);
    said = hindrance.message;
    onWaiting(hindrance);
    await clock.sleep(pauseMs, signal);
  }
  return undefined;
}

export type Answer =
  | { readonly endpoint: SegmentEndpoint; readonly state: SegmentState }
  | { readonly endpoint: SegmentEndpoint; readonly failure: string };

export type Choice = { readonly kind: 'found'; readonly start: ReaderStart } | { readonly kind: 'wait'; readonly hindrance: OpenHindrance };

/** What the answers come to. Pure. */
export function chooseStart(answers: readonly Answer[], zone: string): Choice {
  const known = answers.flatMap((answer) => ('state' in answer ? [answer] : []));
  const waits = (message: string): Choice => ({ kind: 'wait', hindrance: { kind: 'storage', message } });
  if (known.length === 0) {
    const failure = answers.flatMap((answer) => ('failure' in answer ? [answer.failure] : []))[0];
    return waits(`no storage daemon answers${failure === undefined ? '' : ` (${failure})`}`);
  }
  const startLsn = known.reduce<Lsn>((highest, { state }) => maxLsn(highest, state.vdl as Lsn), INVALID_LSN);
  if (startLsn === INVALID_LSN)
    return waits('the volume is not there yet, or storage has not heard what of it is durable: its writer makes it, and tells them');
  const holders = known.filter(({ state }) => state.phase === 'READY');
  const hindrance = holders.map(({ endpoint, state }) => mismatchOf(endpoint, state)).find((one) => one !== undefined);
  if (hindrance !== undefined) return { kind: 'wait', hindrance };
  const withPages = holders.filter(({ endpoint }) => endpoint.role === 'FULL');
  if (withPages.length === 0) return waits(`no storage daemon that has pages answers; the volume is durable up to ${formatLsn(startLsn)}`);
  const rank = ({ endpoint, state }: (typeof withPages)[number]): number =>
    (state.scl >= startLsn ? 0 : 2) + (endpoint.zone === zone ? 0 : 1);
  return { kind: 'found', start: { startLsn, segments: withPages.toSorted((a, b) => rank(a) - rank(b)).map(({ endpoint }) => endpoint) } };
}

async function askAll({ segments, segment, clock, signal }: FindStartOptions): Promise<readonly Answer[]> {
  const answers: Answer[] = [];
  const first = Promise.withResolvers<void>();
  const asking = segments.map(async (endpoint) => {
    try {
      answers.push({ endpoint, state: await endpoint.client.status(segment, { deadlineMs: ASK_DEADLINE_MS, signal }) });
      first.resolve();
    } catch (error) {
      answers.push({ endpoint, failure: fromServiceError(error, endpoint.id).message });
    }
  });
  await Promise.race([Promise.all(asking), first.promise.then(() => clock.sleep(GRACE_MS, signal))]);
  // Copied: what comes later is of no use to whoever looks at these.
  return [...answers];
}
