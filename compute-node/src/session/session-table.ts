import { end, goOn, NEVER, NOTHING, shutDown, type SessionTable } from './session-outcome.ts';

/**
 * The states of a writer's session, and what each event does in each of them. The table is the only place that says so:
 * WriterSession's machine looks every event up here, and the compiler demands every cell.
 *
 * | state      | PostgreSQL               |                                                                                        |
 * | ---------- | ------------------------ | -------------------------------------------------------------------------------------- |
 * | opening    | does not run             | fetches what it starts from; the first batch of the epoch is on its way                 |
 * | starting   | may run                  | the first batch is durable, so that nothing it shows can be rolled back                 |
 * | running    | takes connections        |                                                                                        |
 * | stopping   | ends in order            | its last WAL is made durable                                                           |
 * | restarting | ends in order            | as stopping, and a session with other settings follows                                 |
 * | ended      | is dead, or being killed | nothing is acknowledged any more; why it ended is settled: what comes later is ignored  |
 */
export type WriterEventKind =
  /** The epoch's first batch is on a write quorum. */
  | 'firstBatchDurable'
  /** Another writer owns the volume. */
  | 'fenced'
  /** The local WAL is not what PostgreSQL said it wrote. */
  | 'damaged';

export const SESSION_TABLE: SessionTable<WriterEventKind> = {
  opening: {
    firstBatchDurable: goOn('starting'),
    ready: NEVER,
    failed: end('failed'),
    fenced: end('fenced'),
    damaged: end('damaged'),
    exited: NEVER,
    hung: NEVER,
    // There is no PostgreSQL yet that could end in order.
    stop: end('stopped'),
    restart: end('restarting'),
    kill: end('stopped'),
    shutDown: NEVER,
    late: NEVER,
  },
  starting: {
    firstBatchDurable: NEVER,
    ready: goOn('running'),
    failed: end('failed'),
    fenced: end('fenced'),
    damaged: end('damaged'),
    exited: end('failed'),
    hung: end('failed'),
    stop: shutDown('stopping'),
    restart: shutDown('restarting'),
    kill: end('stopped'),
    shutDown: NEVER,
    late: NEVER,
  },
  running: {
    firstBatchDurable: NEVER,
    ready: NEVER,
    failed: NEVER,
    fenced: end('fenced'),
    damaged: end('damaged'),
    exited: end('failed'),
    hung: end('failed'),
    stop: shutDown('stopping'),
    restart: shutDown('restarting'),
    kill: end('stopped'),
    shutDown: NEVER,
    late: NEVER,
  },
  stopping: {
    firstBatchDurable: NEVER,
    // A start that is broken by the stop, or finished beside it, changes nothing; neither does the end that was asked
    // for.
    ready: NOTHING,
    failed: NOTHING,
    fenced: end('fenced'),
    damaged: end('damaged'),
    exited: NOTHING,
    hung: NOTHING,
    stop: NOTHING,
    restart: NOTHING,
    kill: end('stopped'),
    shutDown: end('stopped'),
    // The limit of a restart that became a stop: whoever stops has a limit of its own.
    late: NOTHING,
  },
  restarting: {
    firstBatchDurable: NEVER,
    ready: NOTHING,
    failed: NOTHING,
    fenced: end('fenced'),
    damaged: end('damaged'),
    exited: NOTHING,
    hung: NOTHING,
    stop: goOn('stopping'),
    restart: NOTHING,
    kill: end('stopped'),
    shutDown: end('restarting'),
    // Without a shutdown checkpoint: nothing acknowledged is lost by it.
    late: end('restarting'),
  },
  ended: {
    firstBatchDurable: NOTHING,
    ready: NOTHING,
    failed: NOTHING,
    fenced: NOTHING,
    damaged: NOTHING,
    exited: NOTHING,
    hung: NOTHING,
    stop: NOTHING,
    restart: NOTHING,
    kill: NOTHING,
    shutDown: NOTHING,
    late: NOTHING,
  },
};
