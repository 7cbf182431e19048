import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

/**
 * What a standby's replay may wait for is ended: its pause, and whoever is in the midst of a transaction, for a query or an
 * open cursor may need what a record takes away. Those that run a query are cancelled; those that do not have nothing to
 * cancel and lose their connection. Sessions outside a transaction are in nobody's way and stay.
 *
 * PostgreSQL does as much by itself to those alone that are in the way, when max_standby_streaming_delay says so; but a replay
 * that waits does not hear of a new one. Gives how many it ended.
 */
export async function freeReplay(socket: LocalSocket): Promise<number> {
  return withSuperuser(socket, async (client) => {
    await client.query(`select pg_wal_replay_resume() where pg_is_in_recovery() and pg_is_wal_replay_paused()`);
    const { rows } = await client.query<{ ended: number }>(
      `select count(*)::int as ended from pg_stat_activity
        where backend_type = 'client backend' and pid <> pg_backend_pid() and xact_start is not null
          and case state when 'active' then pg_cancel_backend(pid) else pg_terminate_backend(pid) end`,
    );
    return rows[0]?.ended ?? 0;
  });
}
