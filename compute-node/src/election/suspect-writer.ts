import type { WriterSign } from '@kube-aurora/rpc';
import type { Quorums } from '@kube-aurora/volume';

/** What a segment said last of its writer, and when it came, by our clock. */
export interface HeardSign {
  readonly sign: WriterSign;
  readonly atMs: number;
}

/**
 * From when on the writer may be gone, should nothing more be heard: a time that is past says that it may be now, and is
 * worth asking for. Pure, and on purpose no more than a suspicion: judge-writer.ts decides, from what segments say when
 * they are asked.
 *
 * Invariant: nothing is asked while a write quorum is known to have heard its writer lately, and none has said that it
 * is gone: readers of a volume whose writer lives cost storage nothing beside their streams.
 */
export function suspectAt(signs: readonly (HeardSign | undefined)[], quorums: Quorums, failoverAfterMs: number): number {
  let epoch = 0n;
  for (const heard of signs) if (heard !== undefined && heard.sign.writerEpoch > epoch) epoch = heard.sign.writerEpoch;
  if (signs.some((heard) => heard?.sign.writerEpoch === epoch && heard.sign.writerGaveBack)) return -Infinity;
  const freshUntil = signs.map((heard) => (heard === undefined ? -Infinity : heard.atMs + failoverAfterMs - heard.sign.writerSilentMs));
  // The latest time up to which a write quorum counts as having heard it.
  let latest = -Infinity;
  for (const until of freshUntil) {
    const fresh = freshUntil.flatMap((other, index) => (other >= until ? [index] : []));
    if (until > latest && quorums.isWrite(quorums.rolesAt(fresh))) latest = until;
  }
  return latest;
}
