import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import type { RoleFacts } from './judge-token.ts';

/** The PostgreSQL beside us, for who passes clients on to it. */
export interface LocalPostgres {
  /** Rejects when it cannot be asked. */
  factsOf(role: string): Promise<RoleFacts>;
  /** A connection as from a client. Rejects when nobody listens. */
  connect(): Promise<Socket>;
}

/**
 * `own` is the socket of the agent's sessions, `clients` the one whose sessions PostgreSQL (the shim in it) treats as it does those from the
 * network: their replies leave under the writer's lease, and a switchover waits for their transactions.
 */
export function localPostgres(own: LocalSocket, clients: LocalSocket): LocalPostgres {
  return {
    factsOf: (role) =>
      withSuperuser(own, async (client) => {
        const { rows } = await client.query<RoleFacts>(
          'select pg_is_in_recovery() as "inRecovery", coalesce((select rolsuper from pg_roles where rolname = $1), false) as "isSuperuser"',
          [role],
        );
        const [facts] = rows;
        if (facts === undefined) throw new Error('PostgreSQL answered with no row');
        return facts;
      }),
    async connect() {
      const socket = connect({ path: `${clients.dir}/.s.PGSQL.${clients.port}`, allowHalfOpen: true });
      await once(socket, 'connect');
      return socket;
    },
  };
}
