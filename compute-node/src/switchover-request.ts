import type { ActionAnswer } from '@kube-aurora/process';
import type { AgentRole } from './agent-role.ts';
import type { AgentPhase } from './agent-situation.ts';
import type { AgentState } from './agent-state.ts';

/** Nobody takes a living writer's place who is further behind: nobody writes until it has caught up. */
const LAG_MAX_MS = 5000;

/** What decides whether an instance may take the place of a writer that lives. */
export interface SwitchoverCandidate {
  readonly step: AgentState['step'];
  readonly phase: AgentPhase;
  /** More about the phase, for people. */
  readonly message: string;
  /** Its PostgreSQL takes connections. */
  readonly answers: boolean;
  readonly lagMs: number;
}

export interface SwitchoverRequest {
  readonly instance: string;
  readonly role: Pick<AgentRole, 'hasTurn' | 'isReader' | 'claim' | 'elect'>;
  /** As it is now. */
  readonly candidate: () => SwitchoverCandidate;
  /** The writer's slots that would be lost by it. Waits for a while until there are none; the writer goes on meanwhile. */
  readonly missingSlots: () => Promise<readonly string[]>;
  readonly signal: AbortSignal;
}

/** Has a reader take the writer's place, unless it cannot. It has begun, or cannot be, when this resolves. */
export async function requestSwitchover({ instance, role, candidate, missingSlots, signal }: SwitchoverRequest): Promise<ActionAnswer> {
  const refused = (message: string): ActionAnswer => ({ accepted: false, message });
  if (role.hasTurn || candidate().step === 'takingOver') return { accepted: true, message: `${instance} takes the writer's place already` };
  const before = whyNot(instance, role.isReader, candidate());
  if (before !== undefined) return refused(before);
  const lost = await missingSlots();
  const claim = await role.claim(signal);
  if (claim.kind === 'refused') return refused(claim.message);
  // Time has passed meanwhile: the reader may have ended.
  const since = whyNot(instance, role.isReader, candidate());
  if (since !== undefined) return refused(since);
  role.elect(claim);
  const taking = `${instance} takes the place of ${claim.from?.instance ?? 'the writer'}; /status says how it went`;
  const without = `; replication slots that it had not come to keep in time are lost by that: ${lost.join(', ')}`;
  return { accepted: true, message: lost.length === 0 ? taking : `${taking}${without}` };
}

/** Why it cannot take the writer's place; undefined when it can. */
export function whyNot(
  instance: string,
  isReader: boolean,
  { step, phase, message, answers, lagMs }: SwitchoverCandidate,
): string | undefined {
  if (!isReader) return `${instance} is the writer already`;
  if (step !== 'running' || !answers) return `${instance} is no reader that answers: it is ${phase} (${message})`;
  if (lagMs <= LAG_MAX_MS) return undefined;
  return `${instance} is ${(lagMs / 1000).toFixed(1)} s behind the writer, and nobody could write until it had caught up: ask again once it is less than ${LAG_MAX_MS / 1000} s behind, or ask another`;
}
