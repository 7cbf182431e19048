/** A real, stock PostgreSQL 18 for tests: initialised in a scratch directory, started, and stopped again. */
export { postgresBinaries, type PostgresBinaries } from './binaries.ts';
export { startPostgres, type StartOptions, type StopMode, type TestPostgres } from './start-postgres.ts';
export { runVariedWorkload } from './varied-workload.ts';
export { type PostgresUser, postgresUser } from './unprivileged-user.ts';
