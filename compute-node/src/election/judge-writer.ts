import type { WriterSeen } from '@kube-aurora/rpc';
import type { Quorums } from '@kube-aurora/volume';

/**
 * Is the writer gone, and must another take its place? Decided from what each segment says of the writer that it obeys.
 * Pure.
 *
 * An election is about liveness alone. Whoever is elected opens the volume by the open protocol, and answers its clients
 * under the rules of leases: two that were elected at once, or one that was elected although the writer lives, cost a
 * takeover and no commit.
 *
 * Invariants:
 * - a writer is taken for gone only when it can hold no lease: those segments that heard it lately, together with all that
 *   we cannot hear, are no write quorum; or when it said so itself, to whichever segment;
 * - and only while a promise quorum answers us: nobody else could open the volume;
 * - while an opener gathers its promises nobody else is elected.
 */

/** Why another takes the writer's place. */
export type FailoverReason =
  /** Its agent has said that its PostgreSQL is dead. */
  | 'postgresDied'
  /** Storage has not heard it for long enough. */
  | 'silent';

/** The writer of an epoch. */
export interface WriterName {
  readonly epoch: bigint;
  /** '': known to no segment that answers. */
  readonly writerId: string;
  /** The compute that it runs on: its id up to the '/'. */
  readonly instance: string;
}

export type WriterVerdict =
  | ({ readonly kind: 'alive' } & WriterName)
  /** `heardMsAgo`: when some segment heard it last. */
  | ({ readonly kind: 'gone'; readonly reason: FailoverReason; readonly heardMsAgo: number } & WriterName)
  /** There has never been one: the volume is still to be made. */
  | { readonly kind: 'none' }
  /** It cannot be told yet. Worth another look in so many milliseconds. */
  | {
      readonly kind: 'unknown';
      /** tooFew: fewer segments answer than could elect anybody. opening: somebody is about to open the volume. */
      readonly reason: 'tooFew' | 'opening';
      readonly answered: number;
      readonly inMs: number;
    };

/** What one segment says; undefined when it does not answer. */
export interface WriterView {
  /** Undefined while it has promised nothing. */
  readonly writer: WriterSeen | undefined;
}

/** An opener's promises are on all segments that take part within so long: who has some and not all is passed over then. */
const OPENING_MS = 1000;
const ASK_AGAIN_MS = 250;

/** The compute that a writer, or a reader, runs on. */
export function instanceOf(computeId: string): string {
  return computeId.split('/', 1)[0] ?? computeId;
}

const nameOf = ({ epoch, writerId }: WriterSeen): WriterName => ({ epoch, writerId, instance: instanceOf(writerId) });
const isSame = (one: WriterSeen, other: WriterSeen): boolean => one.epoch === other.epoch && one.writerId === other.writerId;

/**
 * `views`: by segment, in the order of the quorums' roles. `failoverAfterMs`: silence after which a segment does not count as one
 * that has heard the writer lately.
 */
export function judgeWriter(views: readonly (WriterView | undefined)[], quorums: Quorums, failoverAfterMs: number): WriterVerdict {
  const answered = views.flatMap((view, index) => (view === undefined ? [] : [index]));
  if (!quorums.isPromise(quorums.rolesAt(answered)))
    return { kind: 'unknown', reason: 'tooFew', answered: answered.length, inMs: ASK_AGAIN_MS };
  const seen = views.flatMap((view) => view?.writer ?? []);
  const newest = newestOf(seen);
  if (newest === undefined) return { kind: 'none' };
  const alive = seen
    .filter((one) => one.writerId !== '' && !seen.some((other) => isSame(one, other) && other.leaseGivenBack))
    .filter((one) => {
      // Those that we cannot hear may have heard it a moment ago.
      const reached = views.flatMap((view, index) =>
        view === undefined || (view.writer !== undefined && isSame(view.writer, one) && view.writer.silentMs < failoverAfterMs)
          ? [index]
          : [],
      );
      return quorums.isWrite(quorums.rolesAt(reached));
    });
  const living = newestOf(alive);
  if (living !== undefined) return { kind: 'alive', ...nameOf(living) };
  const heardMsAgo = Math.min(...seen.filter((one) => isSame(one, newest)).map(({ silentMs }) => silentMs));
  const isGivenBack = seen.some((one) => isSame(one, newest) && one.leaseGivenBack);
  // A promise is on some and not on others: more are on their way, or somebody came second.
  const isOpening = views.some((view) => view !== undefined && (view.writer === undefined || isRival(view.writer, newest)));
  const promisedMsAgo = Math.min(...seen.filter((one) => isSame(one, newest)).map(({ promisedMs }) => promisedMs));
  if (isOpening && !isGivenBack && promisedMsAgo < OPENING_MS)
    return { kind: 'unknown', reason: 'opening', answered: answered.length, inMs: Math.min(ASK_AGAIN_MS, OPENING_MS - promisedMsAgo) };
  return { kind: 'gone', reason: isGivenBack ? 'postgresDied' : 'silent', heardMsAgo, ...nameOf(newest) };
}

/** Obeys another. One that only knows the epoch, from its peers, may obey the same. */
function isRival(one: WriterSeen, newest: WriterSeen): boolean {
  return one.epoch !== newest.epoch || (one.writerId !== '' && one.writerId !== newest.writerId);
}

/** The writer of the highest epoch; of two that raced for it the one that was heard last. */
function newestOf(seen: readonly WriterSeen[]): WriterSeen | undefined {
  let newest: WriterSeen | undefined;
  for (const one of seen) if (newest === undefined || isBetter(one, newest)) newest = one;
  return newest;
}

function isBetter(one: WriterSeen, than: WriterSeen): boolean {
  if (one.epoch !== than.epoch) return one.epoch > than.epoch;
  // A name is better than none.
  if ((one.writerId === '') !== (than.writerId === '')) return one.writerId !== '';
  return one.silentMs < than.silentMs;
}
