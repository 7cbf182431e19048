/** What the client in the cluster sees, one JSON object a line of its log. Times are milliseconds since 1970, by its clock. */
import type { LedgerReport } from '../faults/ledger.ts';

export type Observation =
  | { readonly kind: 'waiting'; readonly message: string }
  /** Of the second that has passed. */
  | {
      readonly kind: 'second';
      /** Commits on new connections, and on those that are held. */
      readonly new: number;
      readonly held: number;
      /** Transactions that failed after they had begun. */
      readonly failed: number;
      /** Connections that were opened in plain text: there was no certificate authority to trust. */
      readonly plain: number;
      /** What new connections were refused with. */
      readonly errors: Readonly<Record<string, number>>;
    }
  /** So long nobody had a commit acknowledged, on new connections or on held ones (which connect again when theirs ends). */
  | { readonly kind: 'gap'; readonly of: 'new' | 'held'; readonly from: number; readonly to: number }
  | ({ readonly kind: 'verdict' } & LedgerReport);

export type Observed = Observation & { readonly at: number };

/** Reads a line of its log; undefined when it is none of ours. */
export function readObservation(line: string): Observed | undefined {
  if (!line.startsWith('{"at":')) return undefined;
  try {
    return JSON.parse(line) as Observed;
  } catch (error) {
    // A line that was cut off, by a log that ended in it.
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
