import type { AgentSituation, FailureReason } from './agent-situation.ts';
import type { MismatchReason } from './open/open-volume.ts';

/**
 * What the agent does, step by step, and where each event takes it. The agent's loop does a step's work and tells what
 * came of it; this table alone says what follows, and the compiler demands every cell.
 *
 * | step           | work                                                                          |
 * | -------------- | ----------------------------------------------------------------------------- |
 * | asking         | of the role auto, waits until it is to write, or has a writer to follow; then |
 * |                | a writer opens the volume: asks storage for an epoch and for its end, and a   |
 * |                | reader asks where it stands                                                   |
 * | bootstrapping  | makes a volume's first database, and gives it to storage                      |
 * | starting       | a session brings PostgreSQL up on the opened volume                           |
 * | running        | PostgreSQL takes connections                                                  |
 * | takingOver     | opens the volume in the place of its writer; the reader that it is goes on    |
 * | pausing        | waits, for longer after each failure, before it asks again: an epoch is for ever |
 * | fenced         | nothing: another writer owns the volume (never of the role auto)              |
 * | stopping       | PostgreSQL's last WAL becomes durable                                         |
 * | stoppingFenced | ends, having been fenced                                                      |
 */
export type AgentStep =
  | 'asking'
  | 'bootstrapping'
  | 'starting'
  | 'running'
  | 'takingOver'
  | 'pausing'
  | 'fenced'
  | 'stopping'
  | 'stoppingFenced';

export type AgentEvent =
  /** The step goes on; there is something to tell of it. */
  | 'progress'
  /** It is not decided whether it writes or reads. */
  | 'undecided'
  /** The volume cannot be opened before somebody has changed something; it is asked for on. */
  | MismatchReason
  /** The volume is ours. */
  | 'opened'
  /** There is no volume. */
  | 'absent'
  /** PostgreSQL refuses to make the first database as it is wanted; it is tried again. */
  | 'refused'
  | 'made'
  /** Storage did not take the new volume. */
  | 'notMade'
  | 'ready'
  /** Another writer owns the volume: final. */
  | 'fenced'
  /** Another writer owns the volume, and there is nothing to keep: it is to be followed. */
  | 'yielded'
  /** This reader is to take the writer's place. */
  | 'elected'
  /** Another came first: it goes on as the reader that it is. */
  | 'stoodDown'
  /** PostgreSQL was lost, or did not come up. */
  | FailureReason
  /** PostgreSQL has ended in order, to be started with other settings. */
  | 'restarting'
  /** The pause is over. */
  | 'resumed'
  /** Whoever runs us wants it to end. */
  | 'stop'
  /** What was under way has ended for that. */
  | 'stopped'
  /** Storage does not take the last WAL in time. */
  | 'noQuorum';

export type AgentOutcome =
  /** Expected here, and changes nothing. */
  | 'nothing'
  /** Cannot come here: an error of ours, thrown. */
  | 'throw'
  /** To a step; `situation` is what the status says from now on, where that changes. */
  | { readonly to: AgentStep; readonly situation?: AgentSituation };

const NOTHING = 'nothing';
const NEVER = 'throw';

const ASKING = { to: 'asking', situation: { phase: 'opening', reason: 'waitingForStorage' } } as const;
const BOOTSTRAPPING = { to: 'bootstrapping', situation: { phase: 'bootstrapping', reason: 'none' } } as const;
const REFUSED = { to: 'bootstrapping', situation: { phase: 'bootstrapping', reason: 'initdbRefused' } } as const;
const STARTING = { to: 'starting', situation: { phase: 'opening', reason: 'startingPostgres' } } as const;
const RUNNING = { to: 'running', situation: { phase: 'running', reason: 'none' } } as const;
const UNDECIDED = { to: 'asking', situation: { phase: 'opening', reason: 'awaitingTurn' } } as const;
const TAKING_OVER = { to: 'takingOver', situation: { phase: 'running', reason: 'takingOver' } } as const;
/** After a pause, mostly of no time. */
const YIELDING = { to: 'pausing', situation: { phase: 'opening', reason: 'awaitingTurn' } } as const;
const FENCED = { to: 'fenced', situation: { phase: 'fenced', reason: 'fenced' } } as const;
const STOPPING = { to: 'stopping', situation: { phase: 'stopping', reason: 'stopping' } } as const;
const STOPPING_FENCED = { to: 'stoppingFenced', situation: { phase: 'stopping', reason: 'fenced' } } as const;
const NO_QUORUM = { to: 'stopping', situation: { phase: 'stopping', reason: 'noQuorum' } } as const;
/** A pause that the status needs to say nothing of. */
const PAUSING = { to: 'pausing' } as const;
const RESTARTING = { to: 'pausing', situation: { phase: 'opening', reason: 'startingPostgres' } } as const;
const mismatched = (reason: MismatchReason): AgentOutcome => ({ to: 'asking', situation: { phase: 'opening', reason } });
const after = (reason: FailureReason): AgentOutcome => ({ to: 'pausing', situation: { phase: 'opening', reason } });

export const AGENT_TABLE: Readonly<Record<AgentStep, Readonly<Record<AgentEvent, AgentOutcome>>>> = {
  asking: {
    progress: ASKING,
    undecided: UNDECIDED,
    engineMismatch: mismatched('engineMismatch'),
    rolesMismatch: mismatched('rolesMismatch'),
    volumeMissing: mismatched('volumeMissing'),
    opened: STARTING,
    absent: BOOTSTRAPPING,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: NEVER,
    fenced: FENCED,
    yielded: UNDECIDED,
    elected: NEVER,
    stoodDown: NEVER,
    postgresFailed: NEVER,
    settingsRefused: NEVER,
    imageFailed: NEVER,
    damagedWal: NEVER,
    restarting: NEVER,
    resumed: NEVER,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  bootstrapping: {
    progress: BOOTSTRAPPING,
    undecided: NEVER,
    engineMismatch: NEVER,
    rolesMismatch: NEVER,
    volumeMissing: NEVER,
    opened: NEVER,
    absent: NEVER,
    refused: REFUSED,
    made: ASKING,
    notMade: PAUSING,
    ready: NEVER,
    fenced: NEVER,
    yielded: NEVER,
    elected: NEVER,
    stoodDown: NEVER,
    postgresFailed: NEVER,
    settingsRefused: NEVER,
    imageFailed: NEVER,
    damagedWal: NEVER,
    restarting: NEVER,
    resumed: NEVER,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  starting: {
    progress: STARTING,
    undecided: NEVER,
    engineMismatch: NEVER,
    rolesMismatch: NEVER,
    volumeMissing: NEVER,
    opened: NEVER,
    absent: NEVER,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: RUNNING,
    fenced: FENCED,
    yielded: YIELDING,
    elected: ASKING,
    stoodDown: NEVER,
    postgresFailed: after('postgresFailed'),
    settingsRefused: after('settingsRefused'),
    imageFailed: after('imageFailed'),
    damagedWal: after('damagedWal'),
    restarting: RESTARTING,
    resumed: NEVER,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  running: {
    progress: NEVER,
    undecided: NEVER,
    engineMismatch: NEVER,
    rolesMismatch: NEVER,
    volumeMissing: NEVER,
    opened: NEVER,
    absent: NEVER,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: NEVER,
    fenced: FENCED,
    yielded: YIELDING,
    elected: TAKING_OVER,
    stoodDown: NEVER,
    postgresFailed: after('postgresFailed'),
    settingsRefused: after('settingsRefused'),
    imageFailed: NEVER,
    damagedWal: after('damagedWal'),
    restarting: RESTARTING,
    resumed: NEVER,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  // Whatever becomes of the reader meanwhile is seen when it goes on as one.
  takingOver: {
    progress: TAKING_OVER,
    undecided: NEVER,
    engineMismatch: TAKING_OVER,
    rolesMismatch: TAKING_OVER,
    volumeMissing: TAKING_OVER,
    opened: STARTING,
    absent: NEVER,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: NEVER,
    fenced: NEVER,
    yielded: NEVER,
    elected: NOTHING,
    stoodDown: RUNNING,
    postgresFailed: NEVER,
    settingsRefused: NEVER,
    imageFailed: NEVER,
    damagedWal: NEVER,
    restarting: NEVER,
    resumed: NEVER,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  pausing: {
    progress: NOTHING,
    undecided: NEVER,
    engineMismatch: NEVER,
    rolesMismatch: NEVER,
    volumeMissing: NEVER,
    opened: NEVER,
    absent: NEVER,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: NEVER,
    fenced: NEVER,
    yielded: NEVER,
    elected: NEVER,
    stoodDown: NEVER,
    postgresFailed: NEVER,
    settingsRefused: NEVER,
    imageFailed: NEVER,
    damagedWal: NEVER,
    restarting: NEVER,
    resumed: ASKING,
    stop: STOPPING,
    stopped: STOPPING,
    noQuorum: NEVER,
  },
  // Final: only a stop comes after it.
  fenced: {
    progress: NOTHING,
    undecided: NEVER,
    engineMismatch: NEVER,
    rolesMismatch: NEVER,
    volumeMissing: NEVER,
    opened: NEVER,
    absent: NEVER,
    refused: NEVER,
    made: NEVER,
    notMade: NEVER,
    ready: NEVER,
    fenced: NOTHING,
    yielded: NEVER,
    elected: NEVER,
    stoodDown: NEVER,
    postgresFailed: NEVER,
    settingsRefused: NEVER,
    imageFailed: NEVER,
    damagedWal: NEVER,
    restarting: NEVER,
    resumed: NEVER,
    stop: STOPPING_FENCED,
    stopped: NEVER,
    noQuorum: NEVER,
  },
  // Final as well, whatever a part that still ends says; only that it was fenced is told even now.
  stopping: {
    progress: NOTHING,
    undecided: NOTHING,
    engineMismatch: NOTHING,
    rolesMismatch: NOTHING,
    volumeMissing: NOTHING,
    opened: NOTHING,
    absent: NOTHING,
    refused: NOTHING,
    made: NOTHING,
    notMade: NOTHING,
    ready: NOTHING,
    fenced: STOPPING_FENCED,
    yielded: NOTHING,
    elected: NOTHING,
    stoodDown: NOTHING,
    postgresFailed: NOTHING,
    settingsRefused: NOTHING,
    imageFailed: NOTHING,
    damagedWal: NOTHING,
    restarting: NOTHING,
    resumed: NOTHING,
    stop: NOTHING,
    stopped: NOTHING,
    noQuorum: NO_QUORUM,
  },
  stoppingFenced: {
    progress: NOTHING,
    undecided: NOTHING,
    engineMismatch: NOTHING,
    rolesMismatch: NOTHING,
    volumeMissing: NOTHING,
    opened: NOTHING,
    absent: NOTHING,
    refused: NOTHING,
    made: NOTHING,
    notMade: NOTHING,
    ready: NOTHING,
    fenced: NOTHING,
    yielded: NOTHING,
    elected: NOTHING,
    stoodDown: NOTHING,
    postgresFailed: NOTHING,
    settingsRefused: NOTHING,
    imageFailed: NOTHING,
    damagedWal: NOTHING,
    restarting: NOTHING,
    resumed: NOTHING,
    stop: NOTHING,
    stopped: NOTHING,
    noQuorum: NOTHING,
  },
};
