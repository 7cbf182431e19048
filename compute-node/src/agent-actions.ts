import type { ActionAnswer, AskedAs, Logger } from '@kube-aurora/process';
import type { AgentRole } from './agent-role.ts';
import type { AgentState } from './agent-state.ts';
import type { SwitchoverSettings } from './election/place-settings.ts';
import type { Session } from './session/session.ts';
import type { DrainOutcome } from './switchover/drain-outcome.ts';
import { requestSwitchover, type SwitchoverCandidate } from './switchover-request.ts';

export interface AgentActionsOptions {
  readonly instance: string;
  readonly role: AgentRole;
  readonly state: AgentState;
  readonly session: () => Session | undefined;
  /** Undefined of one whose place nobody takes. */
  readonly place: SwitchoverSettings | undefined;
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** A switchover waits for so long until the reader keeps the writer's replication slots: whoever asks for it waits for an answer. */
const SLOTS_WITHIN_MS = 3000;

/** What a writer says that was asked to let its transactions end. */
export interface DrainAnswer extends ActionAnswer {
  readonly drain?: DrainOutcome;
}

/** What can be asked of an agent from outside: the two halves of a switchover. */
export class AgentActions {
  readonly #options: AgentActionsOptions;
  #draining: Promise<DrainOutcome> | undefined;
  #promoting: Promise<ActionAnswer> | undefined;

  constructor(options: AgentActionsOptions) {
    this.#options = options;
  }

  /** Somebody wants this reader to take the writer's place. It has begun, or cannot be, when this resolves. */
  async promote({ request }: AskedAs = { request: undefined }): Promise<ActionAnswer> {
    const answer = await this.#promoteOnce();
    this.#options.logger.info({ request, accepted: answer.accepted, reason: answer.message }, "was asked to take the writer's place");
    return answer;
  }

  #promoteOnce(): Promise<ActionAnswer> {
    const { instance, role, session, signal } = this.#options;
    const missingSlots = async (): Promise<readonly string[]> => (await session()?.missingSlots?.(SLOTS_WITHIN_MS)) ?? [];
    // Whoever asks meanwhile shares what comes of it.
    this.#promoting ??= requestSwitchover({ instance, role, candidate: () => this.#candidate, missingSlots, signal }).finally(() => {
      this.#promoting = undefined;
    });
    return this.#promoting;
  }

  /** Somebody is about to take this writer's place. Its transactions have ended, or had the time to, when this resolves. */
  async drain(): Promise<DrainAnswer> {
    const { instance, place } = this.#options;
    const session = this.#options.session();
    if (place === undefined || session?.ready !== true || session.drain === undefined)
      return { accepted: false, message: `${instance} is no writer whose place can be taken` };
    // Whoever asks meanwhile shares what comes of it.
    this.#draining ??= session.drain(place.drainMs).finally(() => {
      this.#draining = undefined;
    });
    const drain = await this.#draining;
    return { accepted: true, message: `${instance} begins no transaction for a while: open the volume`, drain };
  }

  /**
   * This process is to end. A writer whose place a reader will take lets its transactions end first, as in a switchover; true when they have, or had
   * the time to. Undrained is a reader, a writer that does not answer, and one without anybody to take its place, whose clients can only wait for its return.
   */
  async makeRoom(): Promise<boolean> {
    const { role, place, session, logger } = this.#options;
    const writes = (): boolean => !role.isReader && session()?.ready === true;
    if (role.election === undefined || place === undefined || !writes()) return false;
    // Storage that does not answer is asked for a second at most. Nothing ends this before: whoever runs us has its own limit.
    const isSucceeded = await role.election.isSucceeded(new AbortController().signal);
    if (!isSucceeded || !writes()) return false;
    logger.info({ drainMs: place.drainMs }, 'this writer ends, and a reader is there to take its place: its transactions may end first');
    return (await this.drain()).accepted;
  }

  get #candidate(): SwitchoverCandidate {
    const { state, session } = this.#options;
    const present = session();
    return {
      step: state.step,
      phase: state.situation.phase,
      message: state.message,
      answers: present?.ready === true,
      lagMs: present?.replay?.lagMs ?? 0,
    };
  }
}
