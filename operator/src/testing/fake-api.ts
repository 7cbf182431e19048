import { ApiError } from '@kube-aurora/kube-http';
import type { DeleteOptions, IssuedToken, KubeApi, ObjectList } from '../kube/client.ts';
import type { KubeObject, Labels, ObjectMeta } from '../kube/objects.ts';
import { objectPath, type Resource } from '../kube/resources.ts';

/** An API server of maps: versions, uids and conflicts as the real one has them; no schemas, no controllers. */
export class FakeApi implements KubeApi {
  readonly objects = new Map<string, KubeObject>();
  readonly requests: string[] = [];
  /** Requests whose description matches fail with what this returns. */
  fault: (request: string) => ApiError | undefined = () => undefined;
  #version = 0;

  #enter(verb: string, path: string): void {
    const request = `${verb} ${path}`;
    this.requests.push(request);
    const error = this.fault(request);
    if (error !== undefined) throw error;
  }

  #store<T extends KubeObject>(path: string, object: T, uid: string | undefined): T {
    this.#version += 1;
    const stored = structuredClone({
      ...object,
      metadata: { ...object.metadata, uid: uid ?? `uid-${this.#version}`, resourceVersion: String(this.#version) },
    });
    this.objects.set(path, stored);
    return stored;
  }

  #find<T extends KubeObject>(path: string): T {
    const found = this.objects.get(path);
    if (found === undefined) throw new ApiError(404, 'NotFound', `${path}: not found`);
    return found as T;
  }

  async list<T extends KubeObject>(resource: Resource, namespace?: string): Promise<ObjectList<T>> {
    const items = [...this.objects].filter(
      ([path]) =>
        path.startsWith(`${resource.root}/`) &&
        path.includes(`/${resource.plural}/`) &&
        (namespace === undefined || namespace === '' || path.includes(`/namespaces/${namespace}/`)),
    );
    return { items: items.map(([, object]) => object as T) };
  }

  async get<T extends KubeObject>(resource: Resource, namespace: string | undefined, name: string): Promise<T> {
    const path = objectPath(resource, namespace, name);
    this.#enter('get', path);
    return this.#find<T>(path);
  }

  async create<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const path = objectPath(resource, object.metadata.namespace, object.metadata.name);
    this.#enter('create', path);
    if (this.objects.has(path)) throw new ApiError(409, 'AlreadyExists', `${path}: already exists`);
    return this.#store(path, object, undefined);
  }

  async replace<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const path = objectPath(resource, object.metadata.namespace, object.metadata.name);
    this.#enter('replace', path);
    const live = this.#find(path);
    if (live.metadata.resourceVersion !== object.metadata.resourceVersion)
      throw new ApiError(409, 'Conflict', `${path}: the object has been modified`);
    return this.#store(path, object, live.metadata.uid);
  }

  async apply<T extends KubeObject>(resource: Resource, object: T): Promise<T> {
    const path = objectPath(resource, object.metadata.namespace, object.metadata.name);
    this.#enter('apply', path);
    const live = this.objects.get(path);
    return this.#store(path, live === undefined ? object : { ...live, ...object }, live?.metadata.uid);
  }

  async mergeStatus<T extends KubeObject>(resource: Resource, namespace: string | undefined, name: string, patch: object): Promise<T> {
    const path = objectPath(resource, namespace, name);
    this.#enter('status', path);
    const live = this.#find<T>(path);
    const { metadata, status } = patch as { metadata?: ObjectMeta; status?: unknown };
    if (metadata?.uid !== undefined && metadata.uid !== live.metadata.uid) throw new ApiError(422, 'Invalid', `${path}: uid is immutable`);
    return this.#store<T>(path, { ...live, status: mergedJson('status' in live ? live.status : undefined, status) }, live.metadata.uid);
  }

  async merge<T extends KubeObject>(resource: Resource, namespace: string | undefined, name: string, patch: object): Promise<T> {
    const path = objectPath(resource, namespace, name);
    this.#enter('merge', path);
    const live = this.#find<T>(path);
    const { metadata } = patch as { metadata?: ObjectMeta };
    if (metadata?.resourceVersion !== undefined && metadata.resourceVersion !== live.metadata.resourceVersion)
      throw new ApiError(409, 'Conflict', `${path}: the object has been modified`);
    const merged = {
      ...live,
      ...patch,
      metadata: {
        ...live.metadata,
        ...metadata,
        labels: { ...live.metadata.labels, ...metadata?.labels },
        annotations: mergedJson(live.metadata.annotations, metadata?.annotations ?? {}) as Labels,
      },
    };
    if (merged.metadata.deletionTimestamp !== undefined && merged.metadata.finalizers?.length === 0) {
      this.objects.delete(path);
      return merged;
    }
    return this.#store<T>(path, merged, live.metadata.uid);
  }

  async remove(resource: Resource, namespace: string | undefined, name: string, options: DeleteOptions = {}): Promise<void> {
    const path = objectPath(resource, namespace, name);
    this.#enter('delete', path);
    const live = this.#find(path);
    if (options.uid !== undefined && live.metadata.uid !== options.uid) throw new ApiError(409, 'Conflict', `${path}: another uid`);
    this.objects.delete(path);
  }

  async requestToken(resource: Resource, namespace: string, name: string, seconds: number): Promise<IssuedToken> {
    const path = objectPath(resource, namespace, name, 'token');
    this.#enter('create', path);
    return { token: `token of ${name}`, issuedAt: 0, expiresAt: seconds * 1000 };
  }

  address(): { readonly server: string; readonly ca: string | undefined } {
    return { server: 'https://api', ca: 'CA' };
  }
}

/** RFC 7386, as a server does it. */
function mergedJson(target: unknown, patch: unknown): unknown {
  if (typeof patch !== 'object' || patch === null || Array.isArray(patch)) return patch;
  const result: Record<string, unknown> = typeof target === 'object' && target !== null && !Array.isArray(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else result[key] = mergedJson(result[key], value);
  }
  return result;
}
