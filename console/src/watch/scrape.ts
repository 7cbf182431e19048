import { get } from 'node:http';
import { parseMetrics, type Metrics } from '@kube-aurora/cluster-view';

const TIMEOUT_MS = 2_500;
/** A program's metrics are below 200 kB. */
const BODY_BYTES_MAX = 2 * 2 ** 20;

/** What a program says at /metrics. Rejects when it does not answer whole and in time: why is in the error. */
export type Scrape = (host: string, port: number) => Promise<Metrics>;

/** In plain text, which every port for metrics may be asked in. */
export const scrape: Scrape = async (host, port) => {
  const text = await new Promise<string>((resolve, reject) => {
    const request = get({ host, port, path: '/metrics', agent: false, headers: { connection: 'close' } }, (response) => {
      if (response.statusCode !== 200) {
        request.destroy(new Error(`${host}:${port} answered ${response.statusCode}`));
        return;
      }
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > BODY_BYTES_MAX) request.destroy(new Error(`/metrics of ${host}:${port} is longer than ${BODY_BYTES_MAX} bytes`));
        else chunks.push(chunk);
      });
      response.on('error', reject);
      response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
    });
    const patience = setTimeout(() => request.destroy(new Error(`${host}:${port} did not answer within ${TIMEOUT_MS} ms`)), TIMEOUT_MS);
    request.on('error', reject);
    request.on('close', () => clearTimeout(patience));
  });
  return parseMetrics(text);
};
