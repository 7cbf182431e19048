import { request } from 'node:http';

const BODY_BYTES_MAX = 2 ** 16;

export interface PostedAction {
  readonly code: number;
  readonly body: string;
}

/** Asks a program for one of its actions: POST http://host:port/path, on a connection of its own. Rejects where no whole answer comes, or `signal` aborts. */
export function postAction(
  { host, port }: { readonly host: string; readonly port: number },
  path: string,
  signal: AbortSignal,
): Promise<PostedAction> {
  return new Promise((resolve, reject) => {
    const asked = request({ method: 'POST', host, port, path, agent: false, headers: { connection: 'close' }, signal }, (response) => {
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
