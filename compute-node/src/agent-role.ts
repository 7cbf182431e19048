import type { Clock } from '@kube-aurora/clock';
import type { WriterSign } from '@kube-aurora/rpc';
import type { OpenHindrance } from './open/open-volume.ts';
import type { ElectionPhases, PlaceWatch, ReadingSession, RoleChoice, SessionHow, WriterPhases, RolePhases } from './agent-phases.ts';
import type { Turn } from './election/await-turn.ts';
import type { OpenTurn } from './election/candidacy.ts';
import type { Claim } from './election/claim-place.ts';
import { FailoverRecord, type FailoverPhase } from './failover-record.ts';
import type { RunningStandby } from './reader/running-standby.ts';
import type { Session } from './session/session.ts';

export type Role = 'writer' | 'reader';

export interface AwaitHow {
  readonly signal: AbortSignal;
  readonly onWaiting: (hindrance: OpenHindrance | undefined) => void;
}

/**
 * What a compute is: for good as it was given, or with the role auto as storage has it, and who watches the writer beside a
 * reader.
 *
 * Invariants:
 * - a role changes only while there is no session, or in the moment that a reader's session is handed over or ended for a
 *   volume that is ours;
 * - a turn is taken once: whoever could not make use of it asks anew.
 */
export class AgentRole {
  readonly #choice: RoleChoice;
  readonly #instance: string;
  readonly #clock: Clock;
  #present: Role;
  #wasDecided = false;
  #turn: OpenTurn | undefined;
  #watch: PlaceWatch | undefined;
  #elected = Promise.withResolvers<void>();
  /** The reader that may become the writer. */
  #reading: ReadingSession | undefined;
  /** Under way, and the last that is over. */
  #failingOver: FailoverRecord | undefined;
  #failedOver: FailoverRecord | undefined;

  constructor(choice: RoleChoice, instance: string, clock: Clock) {
    this.#choice = choice;
    this.#instance = instance;
    this.#clock = clock;
    // Before it is decided it is what nobody is sent to.
    this.#present = choice.role === 'writer' ? 'writer' : 'reader';
  }

  get present(): Role {
    return this.#present;
  }
  get configured(): RoleChoice['role'] {
    return this.#choice.role;
  }
  get isReader(): boolean {
    return this.#present === 'reader';
  }
  /** The one under way, or the last; undefined when there was none. */
  get failover(): FailoverRecord | undefined {
    return this.#failingOver ?? this.#failedOver;
  }
  /** While we take another's place. */
  get failingOver(): FailoverRecord | undefined {
    return this.#failingOver;
  }
  /** Undefined for a role that is for good. */
  get election(): ElectionPhases | undefined {
    return this.#choice.role === 'auto' ? this.#choice.election : undefined;
  }
  /** What is done in the present role. */
  get phases(): RolePhases {
    const choice = this.#choice;
    if (choice.role === 'auto') return choice[this.#present];
    return choice.role === 'writer' ? choice.writer : choice.reader;
  }
  get writing(): WriterPhases {
    if (this.#choice.role === 'reader') throw new Error('a reader does not write');
    return this.#choice.writer;
  }
  /** Resolves when there is a turn for the reader that runs. */
  get elected(): Promise<void> {
    return this.#elected.promise;
  }
  get hasTurn(): boolean {
    return this.#turn !== undefined;
  }

  /** Asks storage what to be, unless it is known. Gives the epoch that a writer may not find exceeded, if there is one. */
  async decide(how: AwaitHow): Promise<'stopped' | { readonly heldEpoch: bigint | undefined }> {
    const choice = this.#choice;
    if (choice.role !== 'auto') return { heldEpoch: undefined };
    const turn: Turn = this.#turn ?? (await choice.election.awaitTurn({ ...how, isFirst: !this.#wasDecided }));
    if (turn.kind === 'stopped') return 'stopped';
    this.#wasDecided = true;
    if (turn.kind === 'follow') {
      this.#present = 'reader';
      this.#failingOver = undefined;
      return { heldEpoch: undefined };
    }
    this.#turn = undefined;
    this.#present = 'writer';
    this.#note(turn);
    return { heldEpoch: turn.heldEpoch };
  }

  /** The turn that the reader was elected with. It is timed from now on. The transactions of a writer that lives have their time first. */
  async takeTurn(signal: AbortSignal): Promise<OpenTurn> {
    const turn = this.#turn;
    if (turn === undefined) throw new Error('nobody was elected');
    this.#turn = undefined;
    this.#note(turn);
    const { why, from } = turn;
    if (why === 'switchover' && from !== undefined) this.#failingOver?.drained(await this.election?.drainWriter(from.instance, signal));
    return turn;
  }

  /** We are the writer, and answer. Gives the failover that this ends, and tells `onPart` how long each of its parts took, in seconds. */
  answers(isInPlace: boolean, onPart: (phase: FailoverPhase, seconds: number) => void): FailoverRecord | undefined {
    const failover = this.#failingOver;
    if (failover === undefined || this.isReader) return undefined;
    this.#failedOver = failover;
    this.#failingOver = undefined;
    for (const [phase, seconds] of failover.ready(isInPlace)) onPart(phase, seconds);
    return failover;
  }

  /** This process ends: it takes nobody's place any more. */
  leave(): void {
    this.#watch?.stop();
  }

  /** Another came first. */
  standDown(): void {
    this.#failingOver = undefined;
    this.#watchWriter();
  }

  /** The volume is ours: gives the reader's PostgreSQL away, which is over by that; undefined when it cannot be made the writer. */
  handOver(): RunningStandby | undefined {
    return this.#reading?.handOver();
  }

  /** The volume is ours, and there is no reader any more. */
  becomeWriter(): void {
    this.#present = 'writer';
  }

  /** A session in the present role. A reader's of the role auto may be elected from now on. */
  session(how: Omit<SessionHow, 'onWriterSign'>): Session {
    const choice = this.#choice;
    const all = { ...how, onWriterSign: (index: number, sign: WriterSign) => this.#watch?.note(index, sign) };
    this.#elected = Promise.withResolvers<void>();
    if (choice.role !== 'auto' || !this.isReader) return this.phases.session(all);
    const session = choice.reader.session(all);
    this.#reading = session;
    this.#watchWriter();
    return session;
  }

  sessionEnded(): void {
    this.#reading = undefined;
    this.#watch?.stop();
    this.#watch = undefined;
  }

  /** Somebody wants this reader to be the writer. */
  async claim(signal: AbortSignal): Promise<Claim> {
    if (this.#choice.role !== 'auto')
      return {
        kind: 'refused',
        message: `${this.#instance} is a ${this.#choice.role} for good (AURORA_ROLE): only one of the role auto takes the writer's place`,
      };
    return this.#choice.election.claim(signal);
  }

  elect(turn: OpenTurn): void {
    if (this.#turn !== undefined) return;
    this.#watch?.stop();
    this.#turn = turn;
    this.#elected.resolve();
  }

  #watchWriter(): void {
    if (this.#choice.role !== 'auto') return;
    this.#watch?.stop();
    this.#elected = Promise.withResolvers<void>();
    this.#watch = this.#choice.election.watch((turn) => this.elect(turn));
    this.#watch.start();
  }

  /** One that failed half-way is tried again as what it was. */
  #note(turn: OpenTurn): void {
    this.#failingOver = FailoverRecord.of(turn, this.#instance, this.#clock) ?? this.#failingOver;
  }
}
