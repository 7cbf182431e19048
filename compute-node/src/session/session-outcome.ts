import type { SessionEnd } from './session.ts';

/**
 * What the tables of sessions are made of: a writer's (session-table.ts) and a reader's (../reader/reader-session-table.ts).
 * SessionMachine looks every event up in one of them, and the compiler demands every cell.
 */

/** What each of them means for a writer, and for a reader, its table says. */
export type SessionState = 'opening' | 'starting' | 'running' | 'stopping' | 'restarting' | 'ended';

/** What happens to every session. What else does is its own. */
export type CommonEventKind =
  /** PostgreSQL takes connections. */
  | 'ready'
  /** A step of the start failed. */
  | 'failed'
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

/**
 * Why a session ended with its PostgreSQL. `failed`, `damaged` and `restarting` are followed by another one, `fenced` and
 * `stopped` by none.
 */
export type SessionEndKind = Exclude<SessionEnd['kind'], 'handedOver'>;

export type SessionOutcome<EndKind extends SessionEndKind = SessionEndKind> =
  /** Nothing: it is expected here, and changes nothing. */
  | { readonly does: 'nothing' }
  /** Cannot come in this state: an error of ours, thrown. */
  | { readonly does: 'throw' }
  | { readonly does: 'goOn'; readonly to: 'starting' | 'running' | 'stopping' }
  /** PostgreSQL is told to end in order. */
  | { readonly does: 'shutDown'; readonly to: 'stopping' | 'restarting' }
  /** To `ended`: what PostgreSQL asks is refused, PostgreSQL is killed, and then the session says why. */
  | { readonly does: 'end'; readonly as: EndKind }
  /** To `ended`: PostgreSQL goes on, as somebody else's. */
  | { readonly does: 'handOver' };

/** `Own`: the events that this session has beside the common ones. */
export type SessionTable<Own extends string, EndKind extends SessionEndKind = SessionEndKind> = Readonly<
  Record<SessionState, Readonly<Record<CommonEventKind | Own, SessionOutcome<EndKind>>>>
>;

export const NOTHING = { does: 'nothing' } as const;
export const NEVER = { does: 'throw' } as const;
export const HAND_OVER = { does: 'handOver' } as const;
export const goOn = (to: 'starting' | 'running' | 'stopping'): SessionOutcome<never> => ({ does: 'goOn', to });
export const shutDown = (to: 'stopping' | 'restarting'): SessionOutcome<never> => ({ does: 'shutDown', to });
export const end = <EndKind extends SessionEndKind>(as: EndKind): SessionOutcome<EndKind> => ({ does: 'end', as });
