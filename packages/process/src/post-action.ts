import { request } from 'node:http';
import type { Duplex } from 'node:stream';

const BODY_BYTES_MAX = 2 ** 16;

/** Makes a connection on which HTTP is spoken. */
export type Connect = (at: { readonly host: string; readonly port: number }) => Duplex;

export interface PostedAction {
  readonly code: number;
  readonly body: string;
}

/** Under which whoever asks and whoever is asked log what becomes of it. */
export const REQUEST_HEADER = 'x-request-id';

/**
 * Asks a program for one of its actions: POST http://host:port/path, on a connection of its own, which `connect` makes where it is given. Rejects
 * where no whole answer comes, or `signal` aborts.
 */
export function postAction(
  { host, port }: { readonly host: string; readonly port: number },
  path: string,
  signal: AbortSignal,
  connect?: Connect,
  requestId?: string,
): Promise<PostedAction> {
  return new Promise((resolve, reject) => {
    const made = connect === undefined ? {} : { createConnection: () => connect({ host, port }) };
    const options = {
      method: 'POST',
      host,
      port,
      path,
      headers: { connection: 'close', ...(requestId === undefined ? {} : { [REQUEST_HEADER]: requestId }) },
      signal,
      ...(connect === undefined ? { agent: false } : made),
    };
    const asked = request(options, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > BODY_BYTES_MAX) asked.destroy(new Error(`its answer is longer than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }));
    });
    asked.on('error', reject);
    asked.end();
  });
}
