import { IS_CLIENT_SESSION } from '../postgres/client-sessions.ts';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

/** Names the transactions under way; each call is a look. */
export type LookAtTransactions = () => Promise<readonly string[]>;

/** Lends a look at the transactions for as long as `work` goes on. Rejects when nobody can look, or can no more. */
export type TransactionAccess = (work: (look: LookAtTransactions) => Promise<void>) => Promise<void>;

/**
 * Transactions of clients. Every transaction holds the lock on its own virtual id, which no setting hides and no two
 * transactions share. Walsenders, autovacuum and workers are no client backends.
 */
const OPEN_TRANSACTIONS = `
  select locks.virtualtransaction as name from pg_locks locks join pg_stat_activity activity using (pid)
   where locks.locktype = 'virtualxid' and locks.mode = 'ExclusiveLock'
     and ${IS_CLIENT_SESSION}`;

/** Looks on one connection of the agent's own. */
export function postgresTransactions(socket: LocalSocket): TransactionAccess {
  return (work) =>
    withSuperuser(socket, (client) =>
      work(async () => (await client.query<{ name: string }>(OPEN_TRANSACTIONS)).rows.map(({ name }) => name)),
    );
}
