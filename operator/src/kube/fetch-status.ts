import { get } from 'node:http';
import { afterPatience, type Clock } from '@kube-aurora/clock';
import type { Connect } from '@kube-aurora/process';

const TIMEOUT_MS = 1_500;
const BODY_BYTES_MAX = 4 * 2 ** 20;

/** To be answered once the status is another than the one of this version, or after `ms`. */
export interface StatusWait {
  readonly after: string;
  readonly ms: number;
  /** Nobody wants to know any more. */
  readonly signal: AbortSignal;
}

/**
 * GET http://host:port/status as JSON, at once or after a change, on a connection that `connect` makes where it is given. Rejects when there is no whole answer within 1.5 s (after the wait) of time in which the operator
 * itself had turns: on a machine that is short of CPU nobody is taken for silent because the operator was.
 */
export function fetchStatus(host: string, port: number, clock: Clock, connect: Connect | undefined, wait?: StatusWait): Promise<unknown> {
  const timeoutMs = TIMEOUT_MS + (wait?.ms ?? 0);
  const path = wait === undefined ? '/status' : `/status?after=${encodeURIComponent(wait.after)}&waitMs=${wait.ms}`;
  return new Promise((resolve, reject) => {
    const patience = afterPatience(clock, timeoutMs, () => request.destroy(new Error(`no answer in ${timeoutMs} ms`)));
    const request = get(
      {
        host,
        port,
        path,
        ...(connect === undefined ? { agent: false } : { createConnection: () => connect({ host, port }) }),
        ...(wait === undefined ? {} : { signal: wait.signal }),
        headers: { connection: 'close' },
      },
      (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > BODY_BYTES_MAX) request.destroy(new Error(`/status of ${host}:${port} is longer than ${BODY_BYTES_MAX} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', reject);
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
          } catch (error) {
            reject(new Error(`/status of ${host}:${port} is not JSON`, { cause: error }));
          }
        });
      },
    );
    request.on('error', reject);
    request.on('close', () => patience.cancel());
  });
}
