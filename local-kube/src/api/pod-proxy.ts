import { request as ask, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Pod } from '../kinds.ts';
import { ApiError, refuse } from './errors.ts';

/** Where a request for `pods/NAME:PORT/proxy` goes: `http:NAME:PORT` (or no port) and `NAME` are said as well. */
export interface ProxyTarget {
  readonly pod: string;
  /** Undefined: the first port that its containers name. */
  readonly port: number | undefined;
}

export function proxyTarget(name: string): ProxyTarget {
  const parts = name.split(':');
  const [scheme, pod, port] = parts.length === 3 ? parts : ['http', ...parts];
  if (scheme !== 'http' && scheme !== '') throw refuse.badRequest(`local-kube proxies to http alone, not to ${scheme ?? ''}`);
  const number = port === undefined || port === '' ? undefined : Number(port);
  if (number !== undefined && !(Number.isInteger(number) && number > 0 && number < 65_536))
    throw refuse.badRequest(`invalid port "${port ?? ''}"`);
  return { pod: pod ?? '', port: number };
}

/** Passes a request on to a pod, and its answer back. The caller's credentials are for us alone. */
export async function proxyToPod(
  pod: Pod,
  port: number | undefined,
  path: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const host = pod.status?.podIP;
  const to = port ?? pod.spec.containers.flatMap(({ ports = [] }) => ports)[0]?.containerPort ?? 80;
  const unreached = (why: string): ApiError => new ApiError(503, 'ServiceUnavailable', `error trying to reach service: ${why}`);
  if (host === undefined || host === '') throw unreached(`pod ${pod.metadata.name} has no address`);
  const { authorization: _ours, host: _us, connection: _hop, ...headers } = request.headers;
  await new Promise<void>((resolve, reject) => {
    const sent = ask({ host, port: to, path, method: request.method, headers }, (answer) => {
      const { connection: _theirs, 'transfer-encoding': _chunks, ...passed } = answer.headers;
      response.writeHead(answer.statusCode ?? 502, passed);
      answer.pipe(response);
      answer.on('error', reject);
      response.on('close', resolve);
    });
    sent.on('error', (error) => reject(unreached(error.message)));
    response.on('close', () => sent.destroy());
    request.pipe(sent);
  });
}
