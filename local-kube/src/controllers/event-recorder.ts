import type { Registry } from '../api/registry.ts';
import { instant } from '../api/metadata.ts';
import type { KubeObject } from '../store/object.ts';

/** Past this many, repeats start a new count. */
const REMEMBERED = 4096;

export type EventType = 'Normal' | 'Warning';

/** Tells people what happens to an object; the same event again counts up. */
export class EventRecorder {
  readonly #registry: Registry;
  /**
   * Name of the event that says this of this object. Names grow with time, so that events of one second list in order.
   */
  readonly #names = new Map<string, string>();
  #made = 0;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  record(
    about: { apiVersion: string; kind: string; metadata: KubeObject['metadata'] },
    type: EventType,
    reason: string,
    message: string,
    component: string,
    host?: string,
    fieldPath?: string,
  ): void {
    const { store, catalog } = this.#registry;
    const resource = catalog.byKind('v1', 'Event');
    if (resource === undefined) return;
    const namespace = about.metadata.namespace ?? 'default';
    if (store.get('namespaces', undefined, namespace)?.metadata.deletionTimestamp !== undefined) return;
    const now = instant(this.#registry.now());
    const same = JSON.stringify([about.kind, namespace, about.metadata.name, about.metadata.uid, reason, message, fieldPath]);
    const name = this.#names.get(same) ?? this.#freshName(about.metadata.name, same);
    const context = { manager: component };
    const before = store.get('events', namespace, name);
    if (before !== undefined) {
      const count = typeof before['count'] === 'number' ? before['count'] : 1;
      this.#registry.update(resource, namespace, name, { ...before, count: count + 1, lastTimestamp: now }, context);
      return;
    }
    this.#registry.create(
      resource,
      namespace,
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { name, namespace },
        involvedObject: {
          apiVersion: about.apiVersion,
          kind: about.kind,
          name: about.metadata.name,
          ...(about.metadata.namespace === undefined ? {} : { namespace }),
          // Node events name the node as their uid, which is how `kubectl describe node` looks for them.
          uid: about.kind === 'Node' ? about.metadata.name : (about.metadata.uid ?? ''),
          resourceVersion: about.metadata.resourceVersion ?? '',
          ...(fieldPath === undefined ? {} : { fieldPath }),
        },
        type,
        reason,
        message,
        count: 1,
        firstTimestamp: now,
        lastTimestamp: now,
        source: { component, ...(host === undefined ? {} : { host }) },
        reportingComponent: component,
        reportingInstance: host ?? '',
      },
      context,
    );
  }

  #freshName(about: string, same: string): string {
    if (this.#names.size >= REMEMBERED) this.#names.clear();
    this.#made += 1;
    const name = `${about}.${this.#registry.now().toString(16)}${(this.#made % 0x10000).toString(16).padStart(4, '0')}`;
    this.#names.set(same, name);
    return name;
  }
}
