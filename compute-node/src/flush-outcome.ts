/**
 * Why an epoch of ours takes no more redo. Three things that PostgreSQL's clients are told apart:
 * - fenced: another writer owns the volume; what waited for durability may be in the volume or not;
 * - damaged: the local WAL is not what PostgreSQL said it wrote; the volume is sound, and is opened anew;
 * - stopped: we ended it ourselves.
 */
export type WriteEnd = 'fenced' | 'damaged' | 'stopped';

/**
 * How a flush ended. `durableLsn`: the volume holds every record below it on a write quorum, at least up to the end of
 * the last complete record at or below the LSN that was asked for. Anything else acknowledges nothing.
 */
export type FlushOutcome = { readonly kind: 'durable'; readonly durableLsn: bigint } | { readonly kind: WriteEnd };

/**
 * What PostgreSQL hears of a flush. `sent`: every complete record at or below the LSN that was asked for ends at or below `sentLsn` and is
 * on its way; who is told of it waits for the quorum first (native/promise.c).
 */
export type FlushAnswer = FlushOutcome | { readonly kind: 'sent'; readonly sentLsn: bigint };
