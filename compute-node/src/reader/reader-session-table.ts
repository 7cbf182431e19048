import { end, goOn, HAND_OVER, NEVER, NOTHING, shutDown, type SessionTable } from '../session/session-outcome.ts';

/**
 * The states of a reader's session, and what each event does in each of them. The table is the only place that says so:
 * ReaderSession's machine looks every event up here, and the compiler demands every cell.
 *
 * | state      | PostgreSQL               |                                                                              |
 * | ---------- | ------------------------ | ---------------------------------------------------------------------------- |
 * | opening    | does not run             | fetches what it starts from; redo from there on is on its way                |
 * | starting   | may run                  | has its data directory, and its walsender                                    |
 * | running    | takes connections        |                                                                              |
 * | stopping   | ends in order            |                                                                              |
 * | restarting | ends in order            | as stopping, and a session from the present LSN on follows                   |
 * | ended      | is dead, being killed,   | why it ended is settled: what comes later is ignored                         |
 * |            | or is another's          |                                                                              |
 */
export type ReaderEventKind =
  /** The data directory is laid. */
  | 'laid'
  /** Storage has no longer what it needs to go on from where it is. */
  | 'tooOld'
  /** Somebody else has PostgreSQL from now on, to make the writer of it. */
  | 'handOver';

export const READER_TABLE: SessionTable<ReaderEventKind, 'stopped' | 'restarting' | 'failed'> = {
  opening: {
    laid: goOn('starting'),
    ready: NEVER,
    failed: end('failed'),
    tooOld: end('restarting'),
    handOver: NEVER,
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
    laid: NEVER,
    ready: goOn('running'),
    failed: end('failed'),
    // It waits for pages, or redo, that will not come: it cannot end in order.
    tooOld: end('restarting'),
    handOver: NEVER,
    exited: end('failed'),
    hung: end('failed'),
    stop: shutDown('stopping'),
    restart: shutDown('restarting'),
    kill: end('stopped'),
    shutDown: NEVER,
    late: NEVER,
  },
  running: {
    laid: NEVER,
    ready: NEVER,
    failed: NEVER,
    tooOld: end('restarting'),
    handOver: HAND_OVER,
    exited: end('failed'),
    hung: end('failed'),
    stop: shutDown('stopping'),
    restart: shutDown('restarting'),
    kill: end('stopped'),
    shutDown: NEVER,
    late: NEVER,
  },
  stopping: {
    laid: NEVER,
    // A start that is broken by the stop, or finished beside it, changes nothing; neither does the end that was asked
    // for.
    ready: NOTHING,
    failed: NOTHING,
    tooOld: NOTHING,
    handOver: NEVER,
    exited: NOTHING,
    hung: NOTHING,
    stop: NOTHING,
    restart: NOTHING,
    kill: end('stopped'),
    shutDown: end('stopped'),
    // There is nothing to be made durable.
    late: end('stopped'),
  },
  restarting: {
    laid: NEVER,
    ready: NOTHING,
    failed: NOTHING,
    tooOld: NOTHING,
    handOver: NEVER,
    exited: NOTHING,
    hung: NOTHING,
    stop: goOn('stopping'),
    restart: NOTHING,
    kill: end('stopped'),
    shutDown: end('restarting'),
    late: end('restarting'),
  },
  ended: {
    laid: NOTHING,
    ready: NOTHING,
    failed: NOTHING,
    tooOld: NOTHING,
    handOver: NOTHING,
    exited: NOTHING,
    hung: NOTHING,
    stop: NOTHING,
    restart: NOTHING,
    kill: NOTHING,
    shutDown: NOTHING,
    late: NOTHING,
  },
};
