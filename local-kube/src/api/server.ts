import { timingSafeEqual } from 'node:crypto';
import { ServerResponse, type IncomingMessage } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Logger } from '@kube-aurora/process';
import type { Identity } from './certificates.ts';
import type { Pod } from '../kinds.ts';
import { ApiError } from './errors.ts';
import { handle, sendJson, type HandlerOptions } from './handler.ts';
import { forwardPort } from './port-forward.ts';
import type { Registry } from './registry.ts';
import { ADMIN, type Authenticate } from './reviews.ts';
import { parseResourcePath } from './request.ts';
import type { RequestUser, ServiceAccountTokens } from './service-account-tokens.ts';

export interface ApiServer {
  readonly port: number;
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Serves the API on loopback, over TLS, to whoever has the token, or a ServiceAccount's. Resolves when it listens; rejects
 * when the port is taken.
 */
export async function serveApi(
  options: Pick<HandlerOptions, 'registry' | 'logs'> & {
    tokens: ServiceAccountTokens;
    identity: Identity;
    port: number;
    logger: Logger;
  },
): Promise<ApiServer> {
  const { identity, logger, tokens } = options;
  const expected = Buffer.from(identity.token);
  const authenticate: Authenticate = (token, audiences = []) => {
    const given = Buffer.from(token);
    const isAdmin = given.length === expected.length && timingSafeEqual(given, expected);
    // It is for the API alone.
    if (isAdmin) return audiences.length === 0 ? { user: ADMIN, audiences } : undefined;
    return tokens.authenticate(token, audiences);
  };
  const userOf = (header = ''): RequestUser | undefined =>
    header.startsWith('Bearer ') ? authenticate(header.slice('Bearer '.length))?.user : undefined;
  let address = '';
  const sockets = new Set<Socket>();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    const user = userOf(request.headers.authorization);
    if (user === undefined) {
      sendJson(
        response,
        401,
        new ApiError(401, 'Unauthorized', 'Unauthorized: a bearer token is needed; it is in the kubeconfig').status(),
      );
      return;
    }
    handle(request, response, { registry: options.registry, logs: options.logs, address, tokens, authenticate, user }).catch(
      (error: unknown) => {
        logger.error({ err: error, method: request.method, url: request.url }, 'a request failed');
        if (response.headersSent) response.destroy();
        else
          sendJson(
            response,
            500,
            new ApiError(500, 'InternalError', `local-kube failed: ${error instanceof Error ? error.message : String(error)}`).status(),
          );
      },
    );
  };
  const server = createServer({ key: identity.key, cert: identity.certificate }, serve);
  server.on('upgrade', (request: IncomingMessage, socket: Socket, head: Buffer) => {
    // A client that is gone meanwhile is no fault of ours.
    socket.on('error', () => socket.destroy());
    const to = userOf(request.headers.authorization) !== undefined ? forwardTarget(request.url ?? '', options.registry) : undefined;
    if (to !== undefined) return forwardPort(request, socket, head, to);
    // Whatever else wants to speak something else is answered as if it did not.
    const response = new ServerResponse(request);
    response.assignSocket(socket);
    response.on('finish', () => socket.end());
    serve(request, response);
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(options.port, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  address = `127.0.0.1:${port}`;
  return {
    port,
    url: `https://${address}`,
    // Watches never end by themselves, so their connections are cut.
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** The pod and port that a port-forward asks for; undefined for what is none, or has no address yet. */
function forwardTarget(address: string, registry: Registry): { readonly host: string; readonly port: number } | undefined {
  const url = new URL(address, 'https://local-kube');
  const path = parseResourcePath(url.pathname);
  const port = Number(url.searchParams.get('ports'));
  if (path?.plural !== 'pods' || path.group !== '' || path.subresource !== 'portforward' || !(port > 0 && port < 65_536)) return undefined;
  const pod = registry.store.get('pods', path.namespace, path.name ?? '') as Pod | undefined;
  const host = pod?.status?.podIP;
  return host === undefined || host === '' ? undefined : { host, port };
}
