import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as listenFor, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Registry } from 'prom-client';
import { parseAddress } from './config.ts';
import { REQUEST_HEADER } from './post-action.ts';
import type { StatusVersion } from './status-version.ts';
import { readStatusWait, StatusWaiters } from './status-wait.ts';

export interface Health {
  readonly ok: boolean;
  /** Why not, or a word on how it is; shown to whoever asks. */
  readonly message: string;
}

export interface StatusServerOptions {
  /** `host:port`; port 0 takes a free one. */
  readonly listen: string;
  readonly registry: Registry;
  /** Should the process go on living? A false answer gets it restarted. */
  readonly live: () => Health;
  /** May it get work? A false answer takes it out of its Services. */
  readonly ready: () => Health | Promise<Health>;
  /** Anything JSON; bigint becomes text. */
  readonly status: () => unknown;
  /** Of the status: with it `GET /status?after=VERSION&waitMs=MS` waits for a change. */
  readonly version?: StatusVersion;
  /** What can be asked of the process, by path: `POST /promote`, say. With `door`, only by those who said who they are. */
  readonly actions?: Readonly<Record<string, (request: AskedAs) => Promise<ActionAnswer>>>;
  /** Undefined: everybody who can reach the port may ask for actions. */
  readonly door?: StatusDoor | undefined;
}

/**
 * Lets connections in. `known` of one whose other end has proven that it is somebody who may ask for actions; everybody else may look.
 */
export type StatusDoor = (letIn: (stream: Duplex, known: boolean) => void) => (socket: Socket) => void;

/** For the log: how whoever asks calls it; undefined where it has no name, or none that a log can have. */
export interface AskedAs {
  readonly request: string | undefined;
}

/** What came of something that was asked of the process. */
export interface ActionAnswer {
  /** It has begun: 202. Otherwise it cannot be done as things are: 409. */
  readonly accepted: boolean;
  /** For whoever asked: what happens now, or why it does not. */
  readonly message: string;
}

function requestIdOf({ headers }: IncomingMessage): string | undefined {
  const id = headers[REQUEST_HEADER];
  return typeof id === 'string' && /^[\w.:-]{1,64}$/.test(id) ? id : undefined;
}

function answer(response: ServerResponse, code: number, type: string, body: string): void {
  response.writeHead(code, { 'content-type': type, 'content-length': Buffer.byteLength(body), connection: 'close' });
  response.end(body);
}

/** Serves /metrics (Prometheus), /healthz, /readyz and /status (JSON), and the actions. Resolves when it listens. */
export async function serveStatus(options: StatusServerOptions): Promise<{ port: number; close: () => Promise<void> }> {
  const address = parseAddress(options.listen);
  if (address === undefined) throw new TypeError(`'${options.listen}' is not host:port`);
  const health = (response: ServerResponse, state: Health): void =>
    answer(response, state.ok ? 200 : 503, 'text/plain; charset=utf-8', `${state.message}\n`);
  const actions = new Map(Object.entries(options.actions ?? {}));
  const reply = (response: ServerResponse, code: number, said: ActionAnswer): void =>
    answer(response, code, 'application/json', `${JSON.stringify(said)}\n`);
  const waiters = options.version === undefined ? undefined : new StatusWaiters(options.version);
  const status = (response: ServerResponse): void =>
    answer(
      response,
      200,
      'application/json',
      `${JSON.stringify(options.status(), (_key, value: unknown) => (typeof value === 'bigint' ? value.toString() : value))}\n`,
    );
  const server: Server = createServer((request, response) => {
    const [path = '', query] = request.url?.split('?') ?? [];
    const action = actions.get(path);
    if (action !== undefined) {
      // Whatever only looks changes nothing.
      if (request.method !== 'POST') {
        response.setHeader('allow', 'POST');
        reply(response, 405, { accepted: false, message: `${path} changes something: ask with POST` });
        return;
      }
      if (!mayAct(request)) {
        const message = `${path} changes something: ask in TLS, with a certificate of the cluster's operator or of one of its computes`;
        reply(response, 403, { accepted: false, message });
        return;
      }
      action({ request: requestIdOf(request) }).then(
        (said) => reply(response, said.accepted ? 202 : 409, said),
        (error: unknown) => reply(response, 500, { accepted: false, message: String(error) }),
      );
    } else if (path === '/healthz') health(response, options.live());
    else if (path === '/readyz') {
      Promise.resolve(options.ready()).then(
        (state) => health(response, state),
        (error: unknown) => health(response, { ok: false, message: String(error) }),
      );
    } else if (path === '/status') {
      const wait = readStatusWait(new URLSearchParams(query));
      if (wait === undefined)
        answer(response, 400, 'text/plain', 'to wait for a change ask for /status?after=VERSION&waitMs=MS, with the version of /status\n');
      else if (wait.kind === 'now' || waiters === undefined) status(response);
      else void waiters.wait(wait, response).then((isThere) => isThere && status(response));
    } else if (path === '/metrics') {
      options.registry.metrics().then(
        (text) => answer(response, 200, options.registry.contentType, text),
        (error: unknown) => answer(response, 500, 'text/plain', `${String(error)}\n`),
      );
    } else answer(response, 404, 'text/plain', 'try /metrics, /healthz, /readyz or /status\n');
  });
  const { door } = options;
  const known = new WeakSet<Duplex>();
  const mayAct = ({ socket }: IncomingMessage): boolean => door === undefined || known.has(socket);
  const outside =
    door === undefined
      ? server
      : listenFor(
          door((stream, isKnown) => {
            if (isKnown) known.add(stream);
            stream.on('error', () => stream.destroy());
            server.emit('connection', stream);
          }),
        );
  await new Promise<void>((resolve, reject) => {
    outside.once('error', reject);
    outside.listen(address.port, address.host, resolve);
  });
  const bound = outside.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    close: () =>
      new Promise((resolve) => {
        outside.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
