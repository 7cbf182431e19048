import { ListWatch, Watch, type KubeConfig, type KubernetesListObject, type KubernetesObject } from '@kubernetes/client-node';
import type { Logger } from '@kube-aurora/process';
import type { KubeApi } from './client.ts';
import type { KubeObject } from './objects.ts';
import { collectionPath, type Resource } from './resources.ts';

const BACKOFF_MIN_MS = 200;
/** Not more: until the watches are there again NAME-rw leads where it led, and an API server that comes back refuses some at first. */
const BACKOFF_MAX_MS = 5000;
/** A watch that lived this long was healthy: its end starts the back-off afresh. */
const HEALTHY_AFTER_MS = 60_000;

/** Asks for bookmarks, which keep a quiet watch's position fresh; the client never does by itself. */
class BookmarkWatch extends Watch {
  override watch(...[path, query, callback, done]: Parameters<Watch['watch']>): ReturnType<Watch['watch']> {
    return super.watch(path, { ...query, allowWatchBookmarks: true }, callback, done);
  }
}

/** @param random of 0 to 1 */
export function retryDelayMs(failures: number, random: number): number {
  const ceiling = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(failures, 20));
  return ceiling * (0.5 + random / 2);
}

export interface InformerOptions<T extends KubeObject> {
  readonly api: KubeApi;
  readonly config: () => KubeConfig;
  readonly resource: Resource<'list' | 'watch'>;
  readonly namespace: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly logger: Logger;
  /** Called after the cache changed. It may only note what to look at: what it throws is logged and gone. */
  readonly onChange: (object: T) => void;
  readonly now: () => number;
  readonly random: () => number;
}

/**
 * A cache of one kind, kept fresh. Around client-node's ListWatch, which falls silent for ever on the first error and
 * dies of a handler that throws: after an error a new one is made (new credentials, fresh list), later each time.
 */
export class KindInformer<T extends KubeObject> {
  readonly #options: InformerOptions<T>;
  #watch: ListWatch<KubernetesObject> | undefined;
  #objects = new Map<string, T>();
  #timer: NodeJS.Timeout | undefined;
  #failures = 0;
  #startedAt = 0;
  #stopped = false;
  #synced = false;
  #brokenSince: number | undefined;

  constructor(options: InformerOptions<T>) {
    this.#options = options;
    this.#brokenSince = options.now();
  }

  get plural(): string {
    return this.#options.resource.plural;
  }

  /** True from the first complete list on. */
  get synced(): boolean {
    return this.#synced;
  }

  /** Milliseconds since the cache stopped being fed; 0 while it is. */
  get brokenForMs(): number {
    return this.#brokenSince === undefined ? 0 : this.#options.now() - this.#brokenSince;
  }

  get(namespace: string, name: string): T | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  list(): readonly T[] {
    return [...this.#objects.values()];
  }

  start(): void {
    if (this.#stopped || this.#watch !== undefined) return;
    const { resource, namespace, labelSelector, fieldSelector } = this.#options;
    const path = collectionPath(resource, namespace);
    let alive = true;
    this.#startedAt = this.#options.now();
    const list = async (): Promise<KubernetesListObject<KubernetesObject>> => {
      const found = await this.#options.api.list<T>(resource, namespace, { labelSelector, fieldSelector });
      if (alive) this.#adopt(found.items);
      return wire<KubernetesListObject<KubernetesObject>>(found);
    };
    const watch = new ListWatch<KubernetesObject>(
      path,
      new BookmarkWatch(this.#options.config()),
      list,
      false,
      labelSelector,
      fieldSelector,
    );
    const stop = (): void => {
      alive = false;
      void watch.stop();
    };
    const fail = (error: unknown): void => {
      if (!alive || this.#stopped) return;
      stop();
      this.#retry(error);
    };
    watch.on('add', (object) => alive && this.#put(wire<T>(object)));
    watch.on('update', (object) => alive && this.#put(wire<T>(object)));
    watch.on('delete', (object) => alive && this.#drop(wire<T>(object)));
    watch.on('error', fail);
    this.#watch = watch;
    watch.start().catch(fail);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    void this.#watch?.stop();
    this.#watch = undefined;
  }

  #retry(error: unknown): void {
    this.#watch = undefined;
    this.#brokenSince ??= this.#options.now();
    if (this.#options.now() - this.#startedAt > HEALTHY_AFTER_MS) this.#failures = 0;
    const delayMs = retryDelayMs(this.#failures, this.#options.random());
    this.#failures += 1;
    this.#options.logger.warn({ kind: this.plural, err: error, delayMs: Math.round(delayMs) }, 'watch failed; it will be started again');
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), delayMs);
  }

  /** A fresh, complete list: what it does not hold is gone. */
  #adopt(items: readonly T[]): void {
    this.#brokenSince = undefined;
    const before = this.#objects;
    this.#objects = new Map(items.map((item) => [keyOf(item), item]));
    this.#synced = true;
    for (const [key, old] of before) if (!this.#objects.has(key)) this.#notify(old);
    for (const [key, item] of this.#objects)
      if (before.get(key)?.metadata.resourceVersion !== item.metadata.resourceVersion) this.#notify(item);
  }

  #put(object: T): void {
    const before = this.#objects.get(keyOf(object));
    this.#objects.set(keyOf(object), object);
    if (before?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#notify(object);
  }

  #drop(object: T): void {
    this.#objects.delete(keyOf(object));
    this.#notify(object);
  }

  #notify(object: T): void {
    try {
      this.#options.onChange(object);
    } catch (error) {
      this.#options.logger.error({ kind: this.plural, err: error }, 'a watch handler failed');
    }
  }
}

/** The same bytes under our typing: the client's calls times Date and every field optional, and changes neither. */
function wire<U extends object>(object: object): U {
  return object as U;
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name}`;
}
