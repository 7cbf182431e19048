/**
 * Settings of a session in which we look at PostgreSQL beside its clients. What keeps it cheap and out of sight: it stands in nobody's log and no
 * statement's statistics, needs no compiler and no workers, and waits for no lock.
 */
export function quietSession(statementMs: number, more: readonly string[] = []): string[] {
  return [
    `statement_timeout=${statementMs}`,
    'lock_timeout=100ms',
    'jit=off',
    'max_parallel_workers_per_gather=0',
    'log_statement=none',
    'log_duration=off',
    'log_min_duration_statement=-1',
    'log_min_duration_sample=-1',
    'pg_stat_statements.track=none',
    ...more,
  ];
}
