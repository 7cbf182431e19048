import type { Clock } from '@kube-aurora/clock';
import { postAction, type Connect, type Logger } from '@kube-aurora/process';
import type { DrainOutcome } from './drain-outcome.ts';
import { READY_MS } from './drain-sessions.ts';

/** Beyond the time that its transactions have: for its name, a connection, its own connection to PostgreSQL and its answer. */
const MARGIN_MS = READY_MS + 1000;

export interface AskDrainOptions {
  /** Of the writer's agent; undefined: it is not known. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  /** How long the writer's transactions have. */
  readonly withinMs: number;
  /** How its agent is reached. */
  readonly connect: Connect | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Asks the agent of the writer, whose place is about to be taken, to let its transactions end: POST /drain. Undefined when it does not say
 * that it did: one that dies meanwhile, hangs, or is of a release that knows nothing of this holds nobody up for longer than that.
 */
export async function askDrain(options: AskDrainOptions, signal: AbortSignal): Promise<DrainOutcome | undefined> {
  const { address, withinMs, connect, clock, logger } = options;
  const skipped = (why: string): undefined => {
    logger.warn({ ...address, why }, "the writer's transactions were not let end first: those under way are cut off");
  };
  if (address === undefined) return skipped('where its agent is can only be known with AURORA_INSTANCES and AURORA_PG_WRITER_PORT');
  const late = new AbortController();
  const timer = clock.after(withinMs + MARGIN_MS, () => late.abort());
  try {
    const { code, body } = await postAction(address, '/drain', AbortSignal.any([signal, late.signal]), connect);
    const outcome = code === 202 ? readDrain(body) : undefined;
    return outcome ?? skipped(`its agent answers ${code}: ${body.slice(0, 200)}`);
  } catch (error) {
    if (signal.aborted) return undefined;
    return skipped(late.signal.aborted ? 'its agent did not answer in time' : String(error));
  } finally {
    timer.cancel();
  }
}

/** What an agent's answer says; undefined when that makes no sense. */
export function readDrain(body: string): DrainOutcome | undefined {
  let said: unknown;
  try {
    said = JSON.parse(body);
  } catch {
    // No JSON is no answer.
    return undefined;
  }
  const { waitedMs, transactions } = fieldsOf(fieldsOf(said)['drain']);
  const { finished, cutOff } = fieldsOf(transactions);
  if (!isCount(waitedMs)) return undefined;
  return { waitedMs, transactions: isCount(finished) && isCount(cutOff) ? { finished, cutOff } : undefined };
}

const isCount = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value) && value >= 0;

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {};
}
