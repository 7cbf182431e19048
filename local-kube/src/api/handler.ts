import type { IncomingMessage, ServerResponse } from 'node:http';
import { applyJsonPatch, PatchError } from '../patch/json-patch.ts';
import { applyMergePatch } from '../patch/merge-patch.ts';
import { applyStrategicMergePatch } from '../patch/strategic-merge.ts';
import type { IncludeObject } from '../print/table.ts';
import type { Pod } from '../kinds.ts';
import type { OpenSchema } from '../schema/open-schema.ts';
import { isObject, objectAt, stringAt, type Json, type JsonObject, type KubeObject } from '../store/object.ts';
import { admitRemoval } from './admission.ts';
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions } from './discovery.ts';
import { ApiError, refuse } from './errors.ts';
import { evict } from './eviction.ts';
import { openApiDocument, openApiIndex } from './openapi.ts';
import { listObjects, present, select, watchObjects } from './read.ts';
import { proxyTarget, proxyToPod } from './pod-proxy.ts';
import type { Registry, WriteContext } from './registry.ts';
import { deleteOptionsOf } from './removal.ts';
import { asKubeObject, parseBody, parseResourcePath, readBody, wantedForm, type ResourcePath } from './request.ts';
import type { Resource } from './resources.ts';
import { review, reviewProblem, type Authenticate } from './reviews.ts';
import { scaleOf, withScale } from './scale.ts';
import type { RequestUser, ServiceAccountTokens } from './service-account-tokens.ts';

/** Answers `kubectl logs`; the kubelet's part of the API. */
export type LogHandler = (pod: KubeObject, query: URLSearchParams, response: ServerResponse) => void;

export interface HandlerOptions {
  readonly registry: Registry;
  readonly logs: LogHandler;
  /** `host:port` that clients use. */
  readonly address: string;
  readonly tokens: Pick<ServiceAccountTokens, 'request'>;
  readonly authenticate: Authenticate;
  /** Who asks. */
  readonly user: RequestUser;
}

export const SERVER_VERSION = {
  major: '1',
  minor: '32',
  gitVersion: 'v1.32.0+local-kube',
  gitCommit: '',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'none',
  compiler: 'node',
  platform: 'linux/amd64',
};

/** The Kubernetes API over HTTP, for one authenticated request. Errors become Status documents. */
export async function handle(request: IncomingMessage, response: ServerResponse, options: HandlerOptions): Promise<void> {
  const url = new URL(request.url ?? '/', 'https://local-kube');
  try {
    await route(request, response, url, options);
  } catch (error) {
    if (response.headersSent) response.destroy();
    else if (error instanceof ApiError) sendJson(response, error.code, error.status());
    else if (error instanceof PatchError)
      sendJson(response, 422, new ApiError(422, 'Invalid', `the patch cannot be applied: ${error.message}`).status());
    else throw error;
  }
}

export function sendJson(response: ServerResponse, code: number, body: Json, warnings: readonly string[] = []): void {
  const text = JSON.stringify(body);
  response.writeHead(code, {
    'content-type': String(response.getHeader('content-type') ?? 'application/json'),
    'content-length': Buffer.byteLength(text),
    ...(warnings.length > 0 ? { warning: warnings.map((warning) => `299 - ${JSON.stringify(warning)}`).join(', ') } : {}),
  });
  response.end(text);
}

async function route(request: IncomingMessage, response: ServerResponse, url: URL, options: HandlerOptions): Promise<void> {
  const { registry } = options;
  const fixed = fixedDocument(url.pathname, request.headers.accept ?? '', options);
  if (fixed !== undefined) {
    // Clients tell the aggregated form of discovery by its content type.
    if (fixed['kind'] === 'APIGroupDiscoveryList')
      response.setHeader(
        'content-type',
        `application/json;g=apidiscovery.k8s.io;v=${String(fixed['apiVersion']).split('/')[1] ?? 'v2'};as=APIGroupDiscoveryList`,
      );
    return sendJson(response, 200, fixed);
  }
  if (['/healthz', '/livez', '/readyz'].includes(url.pathname)) {
    response.writeHead(200, { 'content-type': 'text/plain' }).end('ok');
    return undefined;
  }
  const path = parseResourcePath(url.pathname);
  const resource = path === undefined ? undefined : registry.catalog.find(path.group, path.version, path.plural);
  if (path === undefined || resource === undefined) throw refuse.noSuchPath();
  if (resource.review) return ask(request, response, resource, options);
  if (path.subresource !== undefined) return subresource(request, response, url, path, resource, options);
  switch (request.method) {
    case 'GET':
      return read(request, response, url, path, resource, registry);
    case 'POST':
    case 'PUT':
    case 'PATCH':
      return write(request, response, url, path, resource, registry);
    case 'DELETE':
      return remove(request, response, url, path, resource, registry);
    default:
      throw refuse.methodNotAllowed();
  }
}

function fixedDocument(pathname: string, accept: string, { registry, address }: HandlerOptions): JsonObject | undefined {
  const resources = registry.catalog.all();
  const aggregated = /g=apidiscovery\.k8s\.io;v=(v2(?:beta1)?);as=APIGroupDiscoveryList/.exec(accept)?.[1];
  const path = pathname.replace(/\/$/, '');
  if (path === '/version') return SERVER_VERSION;
  if (path === '/api') return aggregated === undefined ? apiVersions(address) : aggregatedDiscovery(resources, true, aggregated);
  if (path === '/apis') return aggregated === undefined ? apiGroupList(resources) : aggregatedDiscovery(resources, false, aggregated);
  if (path === '/openapi/v3') return openApiIndex(resources, registry.store.resourceVersion);
  const parts = path.split('/').slice(1);
  const core = (list: string[]): boolean => list.length === 2 && list[0] === 'api';
  if (parts[0] === 'openapi' && parts[1] === 'v3') {
    const rest = parts.slice(2);
    return core(rest)
      ? openApiDocument(resources, '', rest[1] ?? '')
      : rest.length === 3
        ? openApiDocument(resources, rest[1] ?? '', rest[2] ?? '')
        : undefined;
  }
  if (core(parts)) return apiResourceList(resources, '', parts[1] ?? '');
  if (parts[0] !== 'apis') return undefined;
  if (parts.length === 2) return apiGroup(resources, parts[1] ?? '');
  return parts.length === 3 ? apiResourceList(resources, parts[1] ?? '', parts[2] ?? '') : undefined;
}

function read(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  path: ResourcePath,
  resource: Resource,
  registry: Registry,
): void {
  const query = url.searchParams;
  const form = wantedForm(request.headers.accept ?? '');
  const include = (query.get('includeObject') ?? 'Metadata') as IncludeObject;
  const watching = ['true', '1'].includes(query.get('watch') ?? '');
  if (path.name !== undefined && !watching) {
    sendJson(response, 200, present(registry.get(resource, path.namespace, path.name), resource, form, include, registry.now()));
    return;
  }
  const selection = select(resource, path.namespace, path.name, query);
  if (!watching) return sendJson(response, 200, listObjects(registry, selection, form, include));
  const seconds = Number(query.get('timeoutSeconds') ?? '');
  watchObjects(
    registry,
    selection,
    {
      form,
      include,
      resourceVersion: query.get('resourceVersion') ?? '',
      bookmarks: query.get('allowWatchBookmarks') === 'true',
      sendInitialEvents: query.get('sendInitialEvents') === 'true',
      timeoutSeconds: seconds > 0 ? seconds : undefined,
    },
    response,
  );
}

async function ask(request: IncomingMessage, response: ServerResponse, resource: Resource, options: HandlerOptions): Promise<void> {
  if (request.method !== 'POST') throw refuse.methodNotAllowed();
  const asked = asKubeObject(parseBody(await readBody(request), request.headers['content-type'] ?? 'application/json'));
  const problem = reviewProblem(resource, asked);
  if (problem !== undefined) throw refuse.invalid(resource.group, resource.kind, '', [{ reason: 'FieldValueInvalid', ...problem }]);
  sendJson(response, 201, review(resource, asked, options.registry.now(), options));
}

function writeContext(
  request: IncomingMessage,
  query: URLSearchParams,
  subresourceName: string | undefined,
  warnings: string[],
): WriteContext {
  const validation = query.get('fieldValidation');
  const agent = (request.headers['user-agent'] ?? 'unknown').split('/')[0] ?? 'unknown';
  return {
    manager: query.get('fieldManager') ?? agent,
    subresource: subresourceName,
    fieldValidation: validation === 'Strict' || validation === 'Ignore' ? validation : 'Warn',
    dryRun: query.getAll('dryRun').includes('All'),
    warnings,
  };
}

async function write(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  path: ResourcePath,
  resource: Resource,
  registry: Registry,
): Promise<void> {
  const contentType = request.headers['content-type'] ?? 'application/json';
  const body = parseBody(await readBody(request), contentType);
  const warnings: string[] = [];
  const context = writeContext(request, url.searchParams, path.subresource, warnings);
  const form = wantedForm(request.headers.accept ?? '');
  const include = (url.searchParams.get('includeObject') ?? 'Metadata') as IncludeObject;
  const answer = (code: number, object: KubeObject): void =>
    sendJson(response, code, present(object, resource, form, include, registry.now()), warnings);
  const { namespace, name } = path;
  if (request.method === 'POST') {
    if (name !== undefined) throw refuse.methodNotAllowed();
    return answer(201, registry.create(resource, namespace, asKubeObject(body), context));
  }
  if (name === undefined) throw refuse.methodNotAllowed();
  if (request.method === 'PUT') return answer(200, registry.update(resource, namespace, name, asKubeObject(body), context));
  if (contentType.includes('apply-patch')) {
    if (url.searchParams.get('fieldManager') === null)
      throw refuse.badRequest('PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch');
    const exists = registry.store.get(resource.storage, namespace, name) !== undefined;
    return answer(
      exists ? 200 : 201,
      registry.apply(resource, namespace, name, asKubeObject(body), url.searchParams.get('force') === 'true', context),
    );
  }
  return answer(
    200,
    registry.change(resource, namespace, name, (live) => patched(live, body, contentType, resource), context),
  );
}

function patched(live: KubeObject, patch: Json, contentType: string, resource: Resource): KubeObject {
  if (contentType.includes('strategic-merge-patch') && resource.custom)
    throw refuse.unsupportedMediaType('application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml');
  const result = patchedJson(live, patch, contentType, resource.schema);
  if (!isObject(result)) throw refuse.badRequest('the patch leaves no object');
  return asKubeObject(result);
}

function patchedJson(live: JsonObject, patch: Json, contentType: string, schema: OpenSchema | undefined): Json {
  if (contentType.includes('json-patch')) return applyJsonPatch(live, patch);
  if (contentType.includes('strategic-merge-patch')) return applyStrategicMergePatch(live, patch, schema) ?? null;
  if (contentType.includes('merge-patch')) return applyMergePatch(live, patch);
  throw refuse.unsupportedMediaType(
    'application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml',
  );
}

async function remove(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  path: ResourcePath,
  resource: Resource,
  registry: Registry,
): Promise<void> {
  const bytes = await readBody(request);
  const body = bytes.length === 0 ? {} : parseBody(bytes, request.headers['content-type'] ?? '');
  const options = deleteOptionsOf(isObject(body) ? body : {}, url.searchParams);
  if (path.name === undefined) {
    const found = registry.store.list(resource.storage).filter(select(resource, path.namespace, undefined, url.searchParams).matches);
    for (const object of found) {
      admitRemoval(registry.store, resource, object);
      registry.remove(resource, object.metadata.namespace, object.metadata.name, options);
    }
    return sendJson(response, 200, { kind: resource.listKind, apiVersion: 'v1', metadata: {}, items: found });
  }
  admitRemoval(registry.store, resource, registry.get(resource, path.namespace, path.name));
  const { object, gone } = registry.remove(resource, path.namespace, path.name, options);
  const details: JsonObject = { name: object.metadata.name, group: resource.group, kind: resource.plural, uid: object.metadata.uid ?? '' };
  return sendJson(response, 200, gone ? { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details } : object);
}

/** The scale subresource: one number of the object, whatever the kind. */
async function scale(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  { namespace, name = '' }: ResourcePath,
  resource: Resource,
  registry: Registry,
): Promise<void> {
  if (request.method === 'GET') return sendJson(response, 200, scaleOf(registry.get(resource, namespace, name), resource));
  if (request.method !== 'PUT' && request.method !== 'PATCH') throw refuse.methodNotAllowed();
  const contentType = request.headers['content-type'] ?? 'application/json';
  const body = parseBody(await readBody(request), contentType);
  const changed = registry.change(
    resource,
    namespace,
    name,
    (live) => {
      const before = scaleOf(live, resource);
      return withScale(live, request.method === 'PUT' ? body : patchedJson(before, body, contentType, undefined), resource);
    },
    writeContext(request, url.searchParams, undefined, []),
  );
  return sendJson(response, 200, scaleOf(changed, resource));
}

async function subresource(
  request: IncomingMessage,
  response: ServerResponse,
  url: URL,
  path: ResourcePath,
  resource: Resource,
  options: HandlerOptions,
): Promise<void> {
  const { registry, logs } = options;
  const { name, namespace } = path;
  if (name === undefined || path.subresource === undefined || !resource.subresources.has(path.subresource)) throw refuse.noSuchPath();
  switch (path.subresource) {
    case 'status':
      return request.method === 'GET'
        ? read(request, response, url, path, resource, registry)
        : write(request, response, url, path, resource, registry);
    case 'scale':
      return scale(request, response, url, path, resource, registry);
    case 'finalize':
      return write(request, response, url, { ...path, subresource: undefined }, resource, registry);
    case 'log':
      return logs(registry.get(resource, namespace, name), url.searchParams, response);
    case 'proxy': {
      const { pod, port } = proxyTarget(name);
      return proxyToPod(registry.get(resource, namespace, pod) as Pod, port, `/${path.rest}${url.search}`, request, response);
    }
    case 'portforward':
      registry.get(resource, namespace, name);
      throw refuse.badRequest(`local-kube forwards ports over WebSockets alone, of pods that have an address: ask with ?ports=PORT`);
    case 'eviction':
      evict(registry, namespace, name, parseBody(await readBody(request), request.headers['content-type'] ?? ''));
      return sendJson(response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
    case 'token': {
      if (request.method !== 'POST') throw refuse.methodNotAllowed();
      const body = parseBody(await readBody(request), request.headers['content-type'] ?? '');
      return sendJson(response, 201, options.tokens.request(registry.get(resource, namespace, name), body));
    }
    case 'binding': {
      const body = parseBody(await readBody(request), request.headers['content-type'] ?? '');
      const node = stringAt(body, 'target', 'name');
      if (node === undefined) throw refuse.badRequest('target.name is required');
      registry.change(resource, namespace, name, (pod) => ({ ...pod, spec: { ...objectAt(pod, 'spec'), nodeName: node } }), {
        manager: 'scheduler',
      });
      return sendJson(response, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
    }
    default:
      throw new ApiError(
        501,
        'NotImplemented',
        `local-kube does not support ${path.subresource}: its pods are processes of this machine; use their logs, or the shell you are in`,
      );
  }
}
