/**
 * The states of a reader's session, and what each event does in each of them. The table is the only place that says so:
 * ReaderSession looks every event up here, and the compiler demands every cell.
 *
 * | state      | PostgreSQL               |                                                                              |
 * | ---------- | ------------------------ | ---------------------------------------------------------------------------- |
 * | opening    | does not run             | fetches what it starts from; redo from there on is on its way                |
 * | starting   | may run                  | has its data directory, and its walsender                                    |
 * | running    | takes connections        |                                                                              |
 * | stopping   | ends in order            |                                                                              |
 * | restarting | ends in order            | as stopping, and a session from the present LSN on follows                   |
 * | ended      | is dead, or being killed | why it ended is settled: what comes later is ignored                         |
 */
export type ReaderState = 'opening' | 'starting' | 'running' | 'stopping' | 'restarting' | 'ended';

export type ReaderEventKind =
  /** The data directory is laid. */
  | 'laid'
  /** PostgreSQL takes connections. */
  | 'ready'
  /** A step of the start failed. */
  | 'failed'
  /** Storage has no longer what it needs to go on from where it is. */
  | 'tooOld'
  /** PostgreSQL ended by itself. */
  | 'exited'
  /** PostgreSQL says nothing to new connections. */
  | 'hung'
  /** Somebody wants it to end in order, */
  | 'stop'
  /** or to end in order and be followed by another, */
  | 'restart'
  /** or to end at once. */
  | 'kill'
  /** PostgreSQL has ended in order, */
  | 'shutDown'
  /** or took too long over that. */
  | 'late';

export type ReaderOutcome =
  /** Nothing: it is expected here, and changes nothing. */
  | { readonly does: 'nothing' }
  /** Cannot come in this state: an error of ours, thrown. */
  | { readonly does: 'throw' }
  | { readonly does: 'goOn'; readonly to: 'starting' | 'running' | 'stopping' }
  /** PostgreSQL is told to end in order. */
  | { readonly does: 'shutDown'; readonly to: 'stopping' | 'restarting' }
  /** To `ended`: PostgreSQL is killed, and then the session says why. */
  | { readonly does: 'end'; readonly as: 'stopped' | 'restarting' | 'failed' };

const NOTHING = { does: 'nothing' } as const;
const NEVER = { does: 'throw' } as const;
const goOn = (to: 'starting' | 'running' | 'stopping'): ReaderOutcome => ({ does: 'goOn', to });
const shutDown = (to: 'stopping' | 'restarting'): ReaderOutcome => ({ does: 'shutDown', to });
const end = (as: 'stopped' | 'restarting' | 'failed'): ReaderOutcome => ({ does: 'end', as });

export const READER_TABLE: Readonly<Record<ReaderState, Readonly<Record<ReaderEventKind, ReaderOutcome>>>> = {
  opening: {
    laid: goOn('starting'),
    ready: NEVER,
    failed: end('failed'),
    tooOld: end('restarting'),
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
    exited: NOTHING,
    hung: NOTHING,
    stop: NOTHING,
    restart: NOTHING,
    kill: NOTHING,
    shutDown: NOTHING,
    late: NOTHING,
  },
};
