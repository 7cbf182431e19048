import { readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type RequestOptions } from 'node:https';
import type { KubeConfig } from '@kubernetes/client-node';
import { FIELD_MANAGER } from './field-manager.ts';
import { ApiError } from '@kube-aurora/kube-http';
import type { KubeObject } from './objects.ts';
import { collectionPath, objectPath, type Applied, type Resource } from './resources.ts';

export interface ObjectList<T> {
  readonly items: T[];
  readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
}

/** Which objects of a collection. */
interface Selector {
  readonly labelSelector?: string | undefined;
  readonly fieldSelector?: string | undefined;
}

export interface DeleteOptions {
  /** Delete only this very object, not one made since under its name. */
  readonly uid?: string | undefined;
  readonly gracePeriodSeconds?: number;
}

/**
 * What the operator asks of an API server. One shape for all kinds: the generated clients send patches with the wrong
 * content type by default and discover kinds before each first use. Every method throws ApiError.
 */
export interface KubeApi {
  list<T extends KubeObject>(resource: Resource<'list'>, namespace?: string, selector?: Selector): Promise<ObjectList<T>>;
  get<T extends KubeObject>(resource: Resource<'get'>, namespace: string | undefined, name: string): Promise<T>;
  create<T extends KubeObject>(resource: Resource<'create'>, object: T): Promise<T>;
  /** PUT with the object's resourceVersion: a Conflict says that somebody else wrote first. */
  replace<T extends KubeObject>(resource: Resource<'update'>, object: T): Promise<T>;
  /** Server-side apply: makes the object or takes over the fields it names. */
  apply<T extends KubeObject>(resource: Resource<Applied>, object: T): Promise<T>;
  merge<T extends KubeObject>(resource: Resource<'patch'>, namespace: string | undefined, name: string, patch: object): Promise<T>;
  mergeStatus<T extends KubeObject>(
    resource: Resource<'patch-status'>,
    namespace: string | undefined,
    name: string,
    patch: object,
  ): Promise<T>;
  remove(resource: Resource<'delete'>, namespace: string | undefined, name: string, options?: DeleteOptions): Promise<void>;
  /** A token of a ServiceAccount, for the API itself. */
  requestToken(resource: Resource<'create-token'>, namespace: string, name: string, seconds: number): Promise<IssuedToken>;
  /** Where the API server is, and PEM of who signs its certificate. */
  address(): { readonly server: string; readonly ca: string | undefined };
}

/** Times in milliseconds since 1970. The API server may issue it for another time than it was asked for. */
export interface IssuedToken {
  readonly token: string;
  readonly issuedAt: number;
  readonly expiresAt: number;
}

const TIMEOUT_MS = 15_000;
const RESPONSE_BYTES_MAX = 256 * 2 ** 20;

interface Answer {
  readonly code: number;
  readonly body: string;
}

export interface KubeClientOptions {
  /** Reads the credentials anew: tokens and certificates change under a long-lived process. */
  readonly loadConfig: () => KubeConfig;
}

/** KubeApi over HTTP with the credentials of a kubeconfig or of the pod. */
export class KubeClient implements KubeApi {
  readonly #options: KubeClientOptions;
  #config: KubeConfig;

  constructor(options: KubeClientOptions) {
    this.#options = options;
    this.#config = options.loadConfig();
  }

  /** The credentials as last read; a 401 makes them be read anew. */
  get config(): KubeConfig {
    return this.#config;
  }

  list<T extends KubeObject>(resource: Resource<'list'>, namespace?: string, selector: Selector = {}): Promise<ObjectList<T>> {
    const query = Object.entries(selector)
      .filter(([, text]) => text !== undefined)
      .map(([kind, text]) => `${kind}=${encodeURIComponent(String(text))}`)
      .join('&');
    if (query !== '') return this.#json('GET', `${collectionPath(resource, namespace)}?${query}`);
    return this.#json('GET', collectionPath(resource, namespace));
  }

  get<T extends KubeObject>(resource: Resource<'get'>, namespace: string | undefined, name: string): Promise<T> {
    return this.#json('GET', objectPath(resource, namespace, name));
  }

  create<T extends KubeObject>(resource: Resource<'create'>, object: T): Promise<T> {
    return this.#json('POST', `${collectionPath(resource, object.metadata.namespace)}?fieldManager=${FIELD_MANAGER}`, object);
  }

  replace<T extends KubeObject>(resource: Resource<'update'>, object: T): Promise<T> {
    const { namespace, name } = object.metadata;
    return this.#json('PUT', `${objectPath(resource, namespace, name)}?fieldManager=${FIELD_MANAGER}`, object);
  }

  apply<T extends KubeObject>(resource: Resource<Applied>, object: T): Promise<T> {
    const { namespace, name } = object.metadata;
    const path = `${objectPath(resource, namespace, name)}?fieldManager=${FIELD_MANAGER}&force=true`;
    return this.#json('PATCH', path, object, 'application/apply-patch+yaml');
  }

  merge<T extends KubeObject>(resource: Resource<'patch'>, namespace: string | undefined, name: string, patch: object): Promise<T> {
    const path = `${objectPath(resource, namespace, name)}?fieldManager=${FIELD_MANAGER}`;
    return this.#json('PATCH', path, patch, 'application/merge-patch+json');
  }

  mergeStatus<T extends KubeObject>(
    resource: Resource<'patch-status'>,
    namespace: string | undefined,
    name: string,
    patch: object,
  ): Promise<T> {
    const path = `${objectPath(resource, namespace, name, 'status')}?fieldManager=${FIELD_MANAGER}-status`;
    return this.#json('PATCH', path, patch, 'application/merge-patch+json');
  }

  async remove(resource: Resource<'delete'>, namespace: string | undefined, name: string, options: DeleteOptions = {}): Promise<void> {
    await this.#json('DELETE', objectPath(resource, namespace, name), {
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      propagationPolicy: 'Background',
      ...(options.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: options.gracePeriodSeconds }),
      ...(options.uid === undefined ? {} : { preconditions: { uid: options.uid } }),
    });
  }

  async requestToken(resource: Resource<'create-token'>, namespace: string, name: string, seconds: number): Promise<IssuedToken> {
    const path = objectPath(resource, namespace, name, 'token');
    const issued = await this.#json<{
      readonly metadata?: { readonly creationTimestamp?: string };
      readonly status: { readonly token: string; readonly expirationTimestamp: string };
    }>('POST', path, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { expirationSeconds: seconds } });
    const expiresAt = Date.parse(issued.status.expirationTimestamp);
    const issuedAt = Date.parse(issued.metadata?.creationTimestamp ?? '');
    return { token: issued.status.token, issuedAt: Number.isNaN(issuedAt) ? expiresAt - seconds * 1000 : issuedAt, expiresAt };
  }

  address(): { readonly server: string; readonly ca: string | undefined } {
    const { server = '', caData, caFile } = this.#config.getCurrentCluster() ?? {};
    const ca =
      caData !== undefined
        ? Buffer.from(caData, 'base64').toString('utf8')
        : caFile === undefined
          ? undefined
          : readFileSync(caFile, 'utf8');
    return { server, ca };
  }

  async #json<T>(method: string, path: string, body?: unknown, contentType = 'application/json'): Promise<T> {
    let answer = await this.#send(method, path, body, contentType);
    if (answer.code === 401) {
      this.#config = this.#options.loadConfig();
      answer = await this.#send(method, path, body, contentType);
    }
    const what = `${method} ${path.split('?')[0]}`;
    let parsed: unknown;
    try {
      parsed = JSON.parse(answer.body);
    } catch (error) {
      throw new ApiError(
        answer.code,
        'NotJson',
        `${what}: answered ${answer.code} with something that is not JSON: ${answer.body.slice(0, 200)}`,
        error,
      );
    }
    if (answer.code < 200 || answer.code > 299) {
      const status = parsed as { reason?: string; message?: string };
      throw new ApiError(answer.code, status.reason ?? String(answer.code), `${what}: ${status.message ?? `answered ${answer.code}`}`);
    }
    return parsed as T;
  }

  async #send(method: string, path: string, body: unknown, contentType: string): Promise<Answer> {
    const cluster = this.#config.getCurrentCluster();
    if (cluster === null)
      throw new ApiError(0, 'NoCluster', `${method} ${path}: the kubeconfig has no current cluster; set its current-context`);
    const options: RequestOptions = { method, timeout: TIMEOUT_MS };
    await this.#config.applyToHTTPSOptions(options);
    const payload = body === undefined ? undefined : JSON.stringify(body);
    options.headers = {
      ...(options.headers as Record<string, string> | undefined),
      accept: 'application/json',
      'user-agent': FIELD_MANAGER,
      ...(payload === undefined ? {} : { 'content-type': contentType, 'content-length': String(Buffer.byteLength(payload)) }),
    };
    const url = new URL(`${cluster.server.replace(/\/$/, '')}${path}`);
    return new Promise((resolve, reject) => {
      const fail = (cause: Error): void =>
        reject(new ApiError(0, 'Unreachable', `${method} ${url.pathname}: ${cluster.server} was not reached: ${cause.message}`, cause));
      const send = url.protocol === 'http:' ? httpRequest : httpsRequest;
      const request = send(url, options, (response) => {
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > RESPONSE_BYTES_MAX) request.destroy(new Error(`the answer is longer than ${RESPONSE_BYTES_MAX} bytes`));
          else chunks.push(chunk);
        });
        response.on('end', () => resolve({ code: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }));
        response.on('error', fail);
      });
      request.on('timeout', () => request.destroy(new Error(`no answer within ${TIMEOUT_MS} ms`)));
      request.on('error', fail);
      request.end(payload);
    });
  }
}
