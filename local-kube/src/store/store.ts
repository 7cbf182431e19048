import type { Journal, JournalEntry } from './journal.ts';
import { objectKey, type KubeObject } from './object.ts';

export type ChangeType = 'ADDED' | 'MODIFIED' | 'DELETED';

export interface Change {
  readonly type: ChangeType;
  readonly rv: number;
  readonly resource: string;
  /** The object as it is now; for DELETED its last state, with the deletion's resourceVersion. */
  readonly object: KubeObject;
  /** As it was before; undefined for ADDED. */
  readonly previous: KubeObject | undefined;
}

export type ChangeListener = (change: Change) => void;

/** The journal is folded into a snapshot past this many bytes. */
const SNAPSHOT_AFTER_BYTES = 16 * 1024 * 1024;

/**
 * All objects of all resources, in memory, with a journal behind. Every change gets the next resourceVersion, is
 * journaled, remembered in a bounded history (for watches that resume) and told to the listeners, in that order and
 * synchronously: a listener sees changes in the order of their versions.
 */
export class Store {
  readonly #resources = new Map<string, Map<string, KubeObject>>();
  readonly #history: Change[] = [];
  readonly #historyLimit: number;
  readonly #listeners = new Set<ChangeListener>();
  readonly #journal: Journal;
  #rv = 0;
  /** Changes at or below this version are no longer in the history. */
  #forgotten = 0;

  constructor(journal: Journal, historyLimit = 4096) {
    this.#journal = journal;
    this.#historyLimit = historyLimit;
    for (const entry of journal.load()) {
      this.#rv = Math.max(this.#rv, entry.rv);
      if (entry.object === undefined) this.#of(entry.resource).delete(entry.key);
      else this.#of(entry.resource).set(entry.key, entry.object);
    }
    this.#forgotten = this.#rv;
  }

  /** The version of the latest change. */
  get resourceVersion(): number {
    return this.#rv;
  }

  get(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    return this.#resources.get(resource)?.get(objectKey(namespace, name));
  }

  /** In order of namespace and name, as etcd keeps its keys. */
  list(resource: string, namespace?: string): KubeObject[] {
    const all = [...(this.#resources.get(resource)?.entries() ?? [])];
    return all
      .filter(([, object]) => namespace === undefined || object.metadata.namespace === namespace)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([, object]) => object);
  }

  resources(): string[] {
    return [...this.#resources.keys()];
  }

  /** Keeps the object under the next resourceVersion and returns it as kept. */
  put(resource: string, object: KubeObject): KubeObject {
    const rv = this.#rv + 1;
    const kept: KubeObject = { ...object, metadata: { ...object.metadata, resourceVersion: String(rv) } };
    const key = objectKey(kept.metadata.namespace, kept.metadata.name);
    const previous = this.#of(resource).get(key);
    this.#journal.append({ rv, resource, key, object: kept });
    this.#rv = rv;
    this.#of(resource).set(key, kept);
    this.#record({ type: previous === undefined ? 'ADDED' : 'MODIFIED', rv, resource, object: kept, previous });
    return kept;
  }

  delete(resource: string, namespace: string | undefined, name: string): KubeObject | undefined {
    const key = objectKey(namespace, name);
    const previous = this.#of(resource).get(key);
    if (previous === undefined) return undefined;
    const rv = this.#rv + 1;
    const object: KubeObject = { ...previous, metadata: { ...previous.metadata, resourceVersion: String(rv) } };
    this.#journal.append({ rv, resource, key });
    this.#rv = rv;
    this.#of(resource).delete(key);
    this.#record({ type: 'DELETED', rv, resource, object, previous });
    return object;
  }

  /**
   * Changes of a resource after a version, or undefined when the history no longer reaches back that far (410 Gone).
   */
  changesSince(resource: string, rv: number): Change[] | undefined {
    if (rv < this.#forgotten) return undefined;
    return this.#history.filter((change) => change.rv > rv && change.resource === resource);
  }

  /** Calls the listener on every later change; returns how to stop. */
  subscribe(listener: ChangeListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#journal.snapshot(this.#entries());
    this.#journal.close();
  }

  #of(resource: string): Map<string, KubeObject> {
    let objects = this.#resources.get(resource);
    if (objects === undefined) this.#resources.set(resource, (objects = new Map()));
    return objects;
  }

  #record(change: Change): void {
    this.#history.push(change);
    // Forgetting in bulk keeps the cost of a change constant.
    if (this.#history.length >= this.#historyLimit * 2) {
      const gone = this.#history.splice(0, this.#history.length - this.#historyLimit);
      this.#forgotten = gone.at(-1)?.rv ?? this.#forgotten;
    }
    if (this.#journal.appendedBytes > SNAPSHOT_AFTER_BYTES) this.#journal.snapshot(this.#entries());
    for (const listener of this.#listeners) listener(change);
  }

  *#entries(): Generator<JournalEntry> {
    // The last version is kept even when the newest change was a deletion: versions never go back.
    yield { rv: this.#rv, resource: '', key: '' };
    for (const [resource, objects] of this.#resources) {
      for (const [key, object] of objects) yield { rv: Number(object.metadata.resourceVersion), resource, key, object };
    }
  }
}
