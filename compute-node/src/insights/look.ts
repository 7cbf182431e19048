import { DatabaseError, type Client } from 'pg';

/** What a look asks with: a connection of the sampler's own. */
export type Asking = Pick<Client, 'query'>;

/** One thing that is looked at in PostgreSQL, again and again. */
export interface Look {
  /** A label of metrics, and the name in the status. */
  readonly name: string;
  readonly everyMs: number;
  /** Asks, and keeps what it heard. */
  take(client: Asking): Promise<void>;
  /** Nothing that it kept is so any more: PostgreSQL is away. */
  forget(): void;
}

/** How a look went last. */
export type LookOutcome =
  | { readonly kind: 'pending' }
  | { readonly kind: 'taken' }
  /** PostgreSQL refused the question, and answers others. */
  | { readonly kind: 'refused'; readonly message: string }
  /** There was no answer. */
  | { readonly kind: 'unanswered'; readonly message: string };

/** Did PostgreSQL itself say it, on a connection that goes on? One that ends a session says FATAL or worse. */
export function isRefusal(error: unknown): boolean {
  return error instanceof DatabaseError && error.severity === 'ERROR';
}
