import { HBA_LINES_BEFORE } from '../postgres/parameters.ts';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';

/**
 * What PostgreSQL does not take of the pg_hba.conf that stands in its data directory, in its own words; undefined: it takes it all. A line that
 * it takes and warns of, since nothing can match it as things are, has a method there.
 */
export async function refusedRules(socket: LocalSocket): Promise<string | undefined> {
  return withSuperuser(socket, async (client) => {
    const { rows } = await client.query<{ line: number; error: string }>(
      'select line_number as line, error from pg_hba_file_rules where error is not null and auth_method is null order by line_number',
    );
    return rows.length === 0 ? undefined : rows.map(({ line, error }) => `line ${line - HBA_LINES_BEFORE}: ${error}`).join('; ');
  });
}
