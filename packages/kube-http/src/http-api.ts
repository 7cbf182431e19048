import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { ApiError } from './api-error.ts';

/** What a program asks of an API server. Every method throws ApiError. */
export interface KubeApi {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body: object): Promise<T>;
  merge<T>(path: string, patch: object): Promise<T>;
  /** An answer that is no JSON: a log, metrics. Fails when nothing comes for `timeoutMs`, which has a default. */
  text(path: string, timeoutMs?: number): Promise<string>;
  /** The same in pieces as they come; ends with the answer, or when `signal` says so. */
  stream(path: string, signal: AbortSignal): AsyncIterable<Buffer>;
}

const TIMEOUT_MS = 15_000;
const ANSWER_BYTES_MAX = 256 * 2 ** 20;

/** KubeApi over HTTP with the credentials of a kubeconfig. Connections are kept: one handshake serves what is asked at once. */
export class HttpApi implements KubeApi {
  readonly #config: KubeConfig;
  readonly #agent: string;
  #credentials: Promise<RequestOptions> | undefined;

  /** @param agent the program's name, for the API server's log and as the manager of fields */
  constructor(config: KubeConfig, agent: string) {
    this.#config = config;
    this.#agent = agent;
  }

  get<T>(path: string): Promise<T> {
    return this.#json('GET', path);
  }

  post<T>(path: string, body: object): Promise<T> {
    return this.#json('POST', path, body);
  }

  merge<T>(path: string, patch: object): Promise<T> {
    return this.#json('PATCH', `${path}?fieldManager=${this.#agent}`, patch, 'application/merge-patch+json');
  }

  async text(path: string, timeoutMs = TIMEOUT_MS): Promise<string> {
    return await wholeBody(await this.#answered('GET', path, undefined, undefined, { timeoutMs }));
  }

  async *stream(path: string, signal: AbortSignal): AsyncIterable<Buffer> {
    if (signal.aborted) return;
    const answer = await this.#answered('GET', path, undefined, undefined, { timeoutMs: 0, signal });
    try {
      for await (const chunk of answer) yield chunk as Buffer;
    } catch (error) {
      if (!signal.aborted) throw new ApiError(0, 'Interrupted', `the stream of ${path.split('?')[0]} broke: ${messageOf(error)}`, error);
    }
  }

  async #json<T>(method: string, path: string, body?: object, contentType = 'application/json'): Promise<T> {
    const text = await wholeBody(await this.#answered(method, path, body, contentType));
    try {
      return JSON.parse(text) as T;
    } catch (error) {
      throw new ApiError(
        0,
        'NotJson',
        `the server answered ${method} ${path} with something that is not JSON: ${text.slice(0, 200)}`,
        error,
      );
    }
  }

  /** An answer of success; credentials that have run out meanwhile are read anew once. */
  async #answered(
    method: string,
    path: string,
    body?: object,
    contentType?: string,
    how: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
  ): Promise<IncomingMessage> {
    let answer = await this.#send(method, path, body, contentType, how);
    if (answer.statusCode === 401) {
      answer.resume();
      this.#credentials = undefined;
      answer = await this.#send(method, path, body, contentType, how);
    }
    const code = answer.statusCode ?? 0;
    if (code >= 200 && code <= 299) return answer;
    throw refusal(code, await wholeBody(answer));
  }

  async #send(
    method: string,
    path: string,
    body: object | undefined,
    contentType: string | undefined,
    { timeoutMs = TIMEOUT_MS, signal }: { readonly timeoutMs?: number; readonly signal?: AbortSignal },
  ): Promise<IncomingMessage> {
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null)
      throw new ApiError(0, 'NoCluster', 'the kubeconfig has no current cluster: set its current-context, or say --context');
    const credentials = await (this.#credentials ??= this.#readCredentials());
    const payload = body === undefined ? undefined : JSON.stringify(body);
    const headers: OutgoingHttpHeaders = { ...(credentials.headers as OutgoingHttpHeaders | undefined), 'user-agent': this.#agent };
    // What is no JSON comes as it is; errors are JSON either way.
    headers['accept'] = '*/*';
    if (payload !== undefined)
      Object.assign(headers, { 'content-type': contentType, 'content-length': String(Buffer.byteLength(payload)) });
    const url = new URL(`${cluster.server.replace(/\/$/, '')}${path}`);
    return await new Promise((resolve, reject) => {
      const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
      const request = send(
        url,
        { ...credentials, method, timeout: timeoutMs, headers, ...(signal === undefined ? {} : { signal }) },
        resolve,
      );
      request.on('timeout', () => request.destroy(new SilentError(`no answer within ${timeoutMs / 1000} s`)));
      request.on('error', (cause) => reject(unreached(url, cause)));
      request.end(payload);
    });
  }

  async #readCredentials(): Promise<RequestOptions> {
    const options: RequestOptions = {};
    try {
      await this.#config.applyToHTTPSOptions(options);
    } catch (error) {
      throw new ApiError(0, 'NoCredentials', `the kubeconfig's credentials cannot be used: ${messageOf(error)}`, error);
    }
    return options;
  }
}

async function wholeBody(answer: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > ANSWER_BYTES_MAX) throw new Error(`it is longer than ${ANSWER_BYTES_MAX} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw new ApiError(0, 'Interrupted', `the server's answer broke off: ${messageOf(error)}`, error);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** The server's Status document as an error; what has none (a proxy's page, say) in its own words. */
export function refusal(code: number, body: string): ApiError {
  try {
    const { reason, message } = JSON.parse(body) as { reason?: unknown; message?: unknown };
    if (typeof message === 'string') return new ApiError(code, typeof reason === 'string' ? reason : String(code), message);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return new ApiError(code, String(code), body.trim() === '' ? `the server answered ${code}` : body.trim().slice(0, 300));
}

/** Nothing came in time. */
class SilentError extends Error {}

/** As kubectl says it. */
function unreached(url: URL, cause: Error): ApiError {
  const words =
    'code' in cause && cause.code === 'ECONNREFUSED'
      ? `The connection to the server ${url.host} was refused - did you specify the right host or port?`
      : `Unable to connect to the server: ${cause.message}`;
  return new ApiError(0, cause instanceof SilentError ? 'Timeout' : 'Unreachable', words, cause);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
