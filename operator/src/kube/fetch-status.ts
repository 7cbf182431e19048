import { get } from 'node:http';

const TIMEOUT_MS = 1_500;
const BODY_BYTES_MAX = 4 * 2 ** 20;

/** GET http://host:port/status as JSON. Rejects when there is no whole answer within 1.5 s. */
export function fetchStatus(host: string, port: number): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const request = get(
      { host, port, path: '/status', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS), headers: { connection: 'close' } },
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
  });
}
