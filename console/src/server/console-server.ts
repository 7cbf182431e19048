import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { parseAddress, type Logger } from '@kube-aurora/process';
import type { ConsoleWatch } from '../watch/console-watch.ts';
import type { Access } from './access.ts';
import { isOwnHost } from './own-host.ts';
import type { PageFile } from './page-files.ts';
import { answerTo, refusalOf, routeOf, type Answer } from './routes.ts';

export interface ConsoleServerOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  readonly page: ReadonlyMap<string, PageFile>;
  readonly watch: ConsoleWatch;
  readonly access: Access;
  readonly logger: Logger;
  readonly now: () => number;
}

/** The page is its own scripts and styles alone; nobody shows it in a frame, and it sends itself nowhere. */
const SECURITY_HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  // A page of a release before would ask for what is no more.
  'cache-control': 'no-store',
} as const;

/** What strangers may take of it. */
const LIMITS = { maxHeaderSize: 24 * 1024, headersTimeout: 10_000, requestTimeout: 15_000, keepAliveTimeout: 5_000 } as const;
const CONNECTIONS_MAX = 200;

function send(
  response: ServerResponse,
  code: number,
  type: string,
  body: string | Buffer,
  headers: Readonly<Record<string, string>> = {},
): void {
  response.writeHead(code, { ...SECURITY_HEADERS, ...headers, 'content-type': type, 'content-length': Buffer.byteLength(body) });
  response.end(body);
}

function sendJson(response: ServerResponse, { code, body }: Answer): void {
  send(response, code, 'application/json', `${JSON.stringify(body)}\n`);
}

/** A bearer token; behind the API server's proxy, which takes `authorization` for itself, in a header of our own. */
function tokenOf({ headers }: IncomingMessage): string | undefined {
  const own = headers['x-kube-aurora-token'];
  if (typeof own === 'string' && own !== '') return own.trim();
  return /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1];
}

/** Serves the page and what it shows. GET is all that it knows: there is nothing here that changes anything. Resolves when it listens. */
export async function serveConsole(options: ConsoleServerOptions): Promise<{ port: number; close: () => Promise<void> }> {
  const { page, watch, access, logger, now } = options;
  const address = parseAddress(options.listen);
  if (address === undefined) throw new TypeError(`'${options.listen}' is not host:port`);

  const api = async (request: IncomingMessage, response: ServerResponse, path: string, query: URLSearchParams): Promise<void> => {
    const route = routeOf(path, query);
    if (route === undefined) return sendJson(response, { code: 404, body: { reason: 'NoSuchPath', message: 'there is no such path' } });
    const admission = await access.admit(tokenOf(request));
    sendJson(response, admission.kind === 'admitted' ? await answerTo(route, watch, admission.may, now()) : refusalOf(admission.kind));
  };

  const server = createServer(LIMITS, (request, response) => {
    if (request.method !== 'GET') {
      // Its body is not read: the connection ends with the answer.
      send(response, 405, 'text/plain; charset=utf-8', 'the console only shows: ask with GET\n', { allow: 'GET', connection: 'close' });
      return;
    }
    const [path = '', query = ''] = (request.url ?? '').split('?', 2);
    if (path === '/healthz') return send(response, 200, 'text/plain; charset=utf-8', 'alive\n');
    if (path === '/readyz') {
      const isReady = watch.state.heardAt !== null;
      return send(
        response,
        isReady ? 200 : 503,
        'text/plain; charset=utf-8',
        isReady ? 'ready\n' : 'the API server has not answered yet\n',
      );
    }
    if (!isOwnHost(request.headers.host, address.host))
      return send(
        response,
        421,
        'text/plain; charset=utf-8',
        'this console answers to names of this machine alone: 127.0.0.1 or localhost\n',
      );
    if (request.headers['sec-fetch-site'] === 'cross-site' && path.startsWith('/api/'))
      return send(response, 403, 'text/plain; charset=utf-8', 'pages of others may not ask\n');
    const file = page.get(path);
    if (file !== undefined) return send(response, 200, file.type, file.content);
    if (!path.startsWith('/api/')) return send(response, 404, 'text/plain; charset=utf-8', 'there is no such page\n');
    api(request, response, path, new URLSearchParams(query)).catch((error: unknown) => {
      logger.error({ err: error, path }, 'an answer could not be made');
      if (response.headersSent) response.destroy();
      else sendJson(response, { code: 500, body: { reason: 'InternalError', message: 'the console failed; its log says how' } });
    });
  });
  server.maxConnections = CONNECTIONS_MAX;
  server.on('clientError', (_error, socket) => {
    // What is no HTTP gets what HTTP has for that, and nothing of it is kept.
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    else socket.destroy();
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(address.port, address.host, resolve);
  });
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
