/** Runs transactions, and notes what was asked, what was answered, and how it ended. */
import pg from 'pg';
import type { Mode, Operation, Outcome, Transaction } from '../history/history.ts';

/** One connection, and whose it is. */
export interface Session {
  readonly connection: pg.Client;
  readonly number: number;
  readonly instance?: string;
}

export class HistoryRecorder {
  readonly transactions: Transaction[] = [];
  readonly #startedAt = performance.now();

  now(): number {
    return performance.now() - this.#startedAt;
  }

  /**
   * A transaction that writes: it is done when COMMIT was answered, surely not done when COMMIT was not sent, or was refused with a
   * rollback (class 40); anything else at COMMIT leaves it open. False: the session is of no use any more.
   */
  async write(
    client: string,
    session: Session,
    mode: 'serializable' | 'committed',
    statements: (operations: Operation[]) => Promise<void>,
  ): Promise<boolean> {
    const operations: Operation[] = [];
    const beganMs = this.now();
    let outcome: Outcome = 'failed';
    let failure: Error | undefined;
    try {
      await session.connection.query(mode === 'serializable' ? 'BEGIN ISOLATION LEVEL SERIALIZABLE' : 'BEGIN');
      await statements(operations);
      outcome = 'unknown';
      const { command } = await session.connection.query('COMMIT');
      outcome = command === 'COMMIT' ? 'ok' : 'failed';
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = error;
      if (isRolledBack(error)) outcome = 'failed';
    }
    this.#note(client, session, mode, beganMs, outcome, operations, failure);
    return failure === undefined || (isRolledBack(failure) && (await this.#isCleared(session)));
  }

  /**
   * A REPEATABLE READ snapshot. What was answered was answered, whatever happens to the connection after that. Whether the instance was a
   * reader is asked before the snapshot is taken (SHOW takes none): one that was the writer by then has to show the present.
   */
  async look(client: string, session: Session, statements: (operations: Operation[]) => Promise<void>): Promise<boolean> {
    const operations: Operation[] = [];
    const beganMs = this.now();
    let mode: Mode | undefined;
    let failure: Error | undefined;
    try {
      await session.connection.query('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY');
      const { rows } = await session.connection.query<{ in_hot_standby: string }>('SHOW in_hot_standby');
      mode = rows[0]?.in_hot_standby === 'on' ? 'past' : 'current';
      await statements(operations);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = error;
    }
    if (mode !== undefined && operations.length > 0) this.#note(client, session, mode, beganMs, 'ok', operations, failure);
    return failure === undefined && (await this.#isCleared(session));
  }

  #note(
    client: string,
    { number: session, instance }: Session,
    mode: Mode,
    beganMs: number,
    outcome: Outcome,
    operations: readonly Operation[],
    failure: Error | undefined,
  ): void {
    this.transactions.push({
      number: this.transactions.length,
      client,
      ...(instance === undefined ? {} : { instance }),
      session,
      mode,
      beganMs,
      endedMs: this.now(),
      outcome,
      operations,
      ...(failure === undefined ? {} : { error: failure.message }),
    });
  }

  async #isCleared({ connection }: Session): Promise<boolean> {
    try {
      await connection.query('ROLLBACK');
      return true;
    } catch (error) {
      if (error instanceof Error) return false;
      throw error;
    }
  }
}

/** Serialization failures and deadlocks: PostgreSQL has rolled it back and said so. */
function isRolledBack(error: Error): boolean {
  return error instanceof pg.DatabaseError && error.code?.startsWith('40') === true;
}
