/**
 * A session's states, and what each event does in each of them. The table is the only place that says so: WriterSession
 * looks every event up here, and the compiler demands every cell.
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

export type SessionState = 'opening' | 'starting' | 'running' | 'stopping' | 'restarting' | 'ended';

export type SessionEventKind =
  /** The epoch's first batch is on a write quorum. */
  | 'firstBatchDurable'
  /** PostgreSQL takes connections. */
  | 'ready'
  /** A step of the start failed. */
  | 'failed'
  /** Another writer owns the volume. */
  | 'fenced'
  /** The local WAL is not what PostgreSQL said it wrote. */
  | 'damaged'
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
  /** PostgreSQL has ended in order. */
  | 'shutDown'
  /** It took too long over that. */
  | 'late';

/** Why a session ended. `failed` and `damaged` are followed by another one, `fenced` and `stopped` by none. */
export type SessionEndKind = 'fenced' | 'damaged' | 'stopped' | 'restarting' | 'failed';

export type SessionOutcome =
  /** Nothing: it is expected here, and changes nothing. */
  | { readonly does: 'nothing' }
  /** Cannot come in this state: an error of ours, thrown. */
  | { readonly does: 'throw' }
  | { readonly does: 'goOn'; readonly to: 'starting' | 'running' | 'stopping' }
  /** PostgreSQL is told to end in order. */
  | { readonly does: 'shutDown'; readonly to: 'stopping' | 'restarting' }
  /** To `ended`: flushes are refused, PostgreSQL is killed, and then the session says why. */
  | { readonly does: 'end'; readonly as: SessionEndKind };

const NOTHING = { does: 'nothing' } as const;
const NEVER = { does: 'throw' } as const;
const goOn = (to: 'starting' | 'running' | 'stopping'): SessionOutcome => ({ does: 'goOn', to });
const shutDown = (to: 'stopping' | 'restarting'): SessionOutcome => ({ does: 'shutDown', to });
const end = (as: SessionEndKind): SessionOutcome => ({ does: 'end', as });

export const SESSION_TABLE: Readonly<Record<SessionState, Readonly<Record<SessionEventKind, SessionOutcome>>>> = {
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
