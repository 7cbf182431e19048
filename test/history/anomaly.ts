import type { Transaction } from './history.ts';

export type AnomalyKind =
  /** Acknowledged, and not there for one who looked later. */
  | 'lost'
  /** Shown, or there, though its transaction surely failed (G1a). */
  | 'aborted'
  /** Shown to others before its transaction was done (G1b). */
  | 'intermediate'
  /** There, and nobody sent it. */
  | 'unsent'
  | 'duplicate'
  /** Part of a transaction is there. */
  | 'torn'
  /** Two reads of one list of which neither is the beginning of the other. */
  | 'divergent'
  /** A transaction does not see what it wrote itself. */
  | 'own-write-unseen'
  /** One snapshot, two answers. */
  | 'unrepeatable'
  /** Adya's cycles, among what is to be strictly serializable. */
  | 'G0'
  | 'G1c'
  | 'G-single'
  | 'G2'
  /** The same, where one step of the cycle is that a transaction had ended before another began. */
  | 'G0-realtime'
  | 'G1c-realtime'
  | 'G-single-realtime'
  | 'G2-realtime'
  /** A snapshot on the writer that lacks what had been acknowledged before it began. */
  | 'stale'
  /** A reader's snapshot that the database never had: no prefix of the writer's commits, or not the same prefixes as another reader's. */
  | 'never-was'
  /** A session on a reader that sees less than it saw before. */
  | 'backwards'
  | 'unbalanced'
  /** A table, or an index and its table, that are not what PostgreSQL makes of them. */
  | 'damaged';

export interface Anomaly {
  readonly kind: AnomalyKind;
  readonly says: string;
}

/** As people find it in the file: its number, whose it is, and when. */
export function named({ number, client, instance, beganMs, endedMs }: Transaction): string {
  const where = instance === undefined ? '' : ` on ${instance}`;
  return `#${number} (${client}${where}, ${(beganMs / 1000).toFixed(3)}–${(endedMs / 1000).toFixed(3)} s)`;
}
