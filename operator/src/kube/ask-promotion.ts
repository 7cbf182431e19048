import { request } from 'node:http';
import { afterPatience, type Clock } from '@kube-aurora/clock';

/** Its agent asks all of storage before it answers. */
const TIMEOUT_MS = 5_000;
const BODY_BYTES_MAX = 2 ** 16;

/** What an agent says when it is asked to take the writer's place. */
export interface PromotionReply {
  /** unanswered: nobody knows whether it was heard. */
  readonly kind: 'accepted' | 'refused' | 'unanswered';
  /** For people. */
  readonly message: string;
}

/** POST http://host:port/promote. Never rejects. */
export function askPromotion(host: string, port: number, clock: Clock): Promise<PromotionReply> {
  return new Promise((resolve) => {
    const unanswered = (why: string): void => resolve({ kind: 'unanswered', message: `its agent does not answer: ${why}` });
    const patience = afterPatience(clock, TIMEOUT_MS, () => asked.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
    const asked = request({ method: 'POST', host, port, path: '/promote', agent: false, headers: { connection: 'close' } }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > BODY_BYTES_MAX) asked.destroy(new Error(`its answer is longer than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', (error) => unanswered(error.message));
      response.on('end', () => resolve(readReply(response.statusCode ?? 0, Buffer.concat(chunks).toString('utf8'))));
    });
    asked.on('error', (error) => unanswered(error.message));
    asked.on('close', () => patience.cancel());
    asked.end();
  });
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
