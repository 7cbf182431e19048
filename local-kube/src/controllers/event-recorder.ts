import type { Registry } from '../api/registry.ts';
import { instant } from '../api/metadata.ts';
import type { KubeObject } from '../store/object.ts';

export type EventType = 'Normal' | 'Warning';

/** Tells people what happens to an object; the same event again counts up. */
export class EventRecorder {
  readonly #registry: Registry;

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  record(about: { apiVersion: string; kind: string; metadata: KubeObject['metadata'] }, type: EventType, reason: string, message: string, component: string, host?: string, fieldPath?: string): void {
    const { store, catalog } = this.#registry;
    const resource = catalog.byKind('v1', 'Event');
    if (resource === undefined) return;
    const namespace = about.metadata.namespace ?? 'default';
    if (store.get('namespaces', undefined, namespace)?.metadata.deletionTimestamp !== undefined) return;
    const now = instant(this.#registry.now());
    const name = `${about.metadata.name}.${fingerprint(`${about.metadata.uid ?? ''}${reason}${message}${fieldPath ?? ''}`)}`;
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
}

/** FNV-1a, 64 bits: names one event among an object's. */
function fingerprint(text: string): string {
  let hash = 0xcbf29ce484222325n;
  for (const byte of Buffer.from(text)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return hash.toString(16).padStart(16, '0');
}
