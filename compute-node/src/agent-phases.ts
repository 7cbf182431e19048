import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { WriterSign } from '@kube-aurora/rpc';
import type { LoginRules } from './access/login-rules.ts';
import type { Turn } from './election/await-turn.ts';
import type { OpenTurn } from './election/candidacy.ts';
import type { Claim } from './election/claim-place.ts';
import type { FailoverSettings } from './election/place-settings.ts';
import type { AgentConfig } from './config.ts';
import type { AgentMetrics } from './metrics.ts';
import type { OpenHindrance, OpenOutcome, OpenedVolume } from './open/open-volume.ts';
import type { OpeningStep } from './open/opening-steps.ts';
import type { PostgresPaths } from './postgres-paths.ts';
import type { Absence } from './postgres/stand-in.ts';
import type { WrittenDirectory } from './postgres/written-directory.ts';
import type { RunningStandby } from './reader/running-standby.ts';
import type { SegmentEndpoint } from './segments.ts';
import type { Session } from './session/session.ts';
import type { DrainOutcome } from './switchover/drain-outcome.ts';
import type { PostgresSettings } from './settings/postgres-settings.ts';
import type { ServerTls } from './tls/server-tls.ts';

/** Who answers at PostgreSQL's address while there is no PostgreSQL. */
export interface Door {
  take(): void;
  release(): Promise<void>;
  close(): Promise<void>;
}

/** Several doors as one: they are taken and let go of together. */
export function allDoors(doors: readonly Door[]): Door {
  const all = async (act: (door: Door) => Promise<void>): Promise<void> => {
    await Promise.all(doors.map(act));
  };
  return {
    take: () => doors.forEach((door) => door.take()),
    release: () => all((door) => door.release()),
    close: () => all((door) => door.close()),
  };
}

/** What every agent does, whatever it is; each phase does its work and decides nothing of what follows it. */
export interface AgentPhases {
  door(absence: () => Absence): Door;
  /** Ends what an earlier agent left behind, and lets nobody wait for it; the process ids. */
  clear(): Promise<readonly number[]>;
}

export interface OpenHow {
  readonly heldEpoch: bigint | undefined;
  readonly volumeExists: boolean;
  readonly signal: AbortSignal;
  readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
}

export interface SessionHow {
  readonly opened: OpenedVolume;
  readonly metrics: AgentMetrics;
  /** Told as each step of the opening begins. */
  readonly onStep: (step: OpeningStep) => void;
  /** Gives PostgreSQL its port. */
  readonly freePort: () => Promise<void>;
  /** What the streams of a reader bring of the writer. */
  readonly onWriterSign: (segmentIndex: number, sign: WriterSign) => void;
  /** The reader's PostgreSQL that a writer is made of; undefined: a new one is started. */
  readonly standby?: RunningStandby | undefined;
}

/** A role, from the opening of the volume to the end of PostgreSQL, and again. */
export interface RolePhases {
  open(how: OpenHow): Promise<OpenOutcome>;
  session(how: SessionHow): Session;
}

export interface WriterPhases extends RolePhases {
  /** False when there is no volume still. */
  bootstrap(options: {
    readonly epoch: bigint;
    readonly signal: AbortSignal;
    readonly onTrying: () => void;
    readonly onRefused: (why: string) => void;
  }): Promise<boolean>;
}

/** A reader's session. */
export interface ReadingSession extends Session {
  /** Gives the running PostgreSQL away, and is over by that; undefined when it takes no connections. */
  handOver(): RunningStandby | undefined;
}

export interface ReaderPhases extends RolePhases {
  session(how: SessionHow): ReadingSession;
}

/** Says when a reader is to take the writer's place. */
export interface PlaceWatch {
  start(): void;
  stop(): void;
  note(segmentIndex: number, sign: WriterSign): void;
}

/** How a compute of the role auto comes to its role. */
export interface ElectionPhases {
  awaitTurn(how: {
    /** This process has had no role yet. */
    readonly isFirst: boolean;
    readonly signal: AbortSignal;
    readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
  }): Promise<Turn>;
  /** Beside a reader. */
  watch(onElected: (turn: OpenTurn) => void): PlaceWatch;
  /** The turn of a reader that somebody wants to be the writer. */
  claim(signal: AbortSignal): Promise<Claim>;
  /** Is a reader there to take the place of us, the writer? For a bounded time; never rejects. */
  isSucceeded(signal: AbortSignal): Promise<boolean>;
  /** Has that writer, which lives, let its transactions end, for a bounded time. Undefined when it does not say so. Never rejects. */
  drainWriter(instance: string, signal: AbortSignal): Promise<DrainOutcome | undefined>;
}

/** The role that a compute was given, and what it does in the roles that it may come to. */
export type RoleChoice =
  | { readonly role: 'writer'; readonly writer: WriterPhases }
  | { readonly role: 'reader'; readonly reader: ReaderPhases }
  | { readonly role: 'auto'; readonly writer: WriterPhases; readonly reader: ReaderPhases; readonly election: ElectionPhases };

/** What the phases of any compute are made of. */
export interface ComputePhasesOptions {
  readonly config: AgentConfig;
  readonly paths: PostgresPaths;
  readonly segments: readonly SegmentEndpoint[];
  readonly settings: PostgresSettings;
  readonly rules: LoginRules;
  readonly tls: ServerTls;
  readonly place: FailoverSettings;
  readonly directory: WrittenDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
}
