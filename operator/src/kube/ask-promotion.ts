import { afterPatience, type Clock } from '@kube-aurora/clock';
import { postAction, type Connect } from '@kube-aurora/process';

/** Its agent asks all of storage before it answers. */
const TIMEOUT_MS = 5_000;

/** What an agent says when it is asked to take the writer's place. */
export interface PromotionReply {
  /** unanswered: nobody knows whether it was heard. */
  readonly kind: 'accepted' | 'refused' | 'unanswered';
  /** For people. */
  readonly message: string;
}

/**
 * POST http://host:port/promote. Never rejects.
 * @param request how both call it in their logs
 */
export async function askPromotion(host: string, port: number, clock: Clock, request: string, connect?: Connect): Promise<PromotionReply> {
  const late = new AbortController();
  const patience = afterPatience(clock, TIMEOUT_MS, () => late.abort());
  try {
    const { code, body } = await postAction({ host, port }, '/promote', late.signal, connect, request);
    return readReply(code, body);
  } catch (error) {
    const why = late.signal.aborted ? `no answer in ${TIMEOUT_MS} ms` : error instanceof Error ? error.message : String(error);
    return { kind: 'unanswered', message: `its agent does not answer: ${why}` };
  } finally {
    patience.cancel();
  }
}

/** By the status code: 202 is yes, 409 is no; an agent of a release without switchover does not know the path. */
export function readReply(code: number, body: string): PromotionReply {
  if (code === 404 || code === 405) return { kind: 'refused', message: 'its agent is of a release that knows no switchover' };
  const message = messageOf(body) ?? `it answers ${code}`;
  if (code === 202) return { kind: 'accepted', message };
  return { kind: code === 409 ? 'refused' : 'unanswered', message };
}

function messageOf(body: string): string | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    // No JSON is no message.
    return undefined;
  }
  const message = typeof parsed === 'object' && parsed !== null && 'message' in parsed ? parsed.message : undefined;
  return typeof message === 'string' && message !== '' ? message.slice(0, 500) : undefined;
}
