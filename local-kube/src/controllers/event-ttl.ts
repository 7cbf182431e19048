import type { Registry } from '../api/registry.ts';
import type { Running } from './reconcile.ts';

const TTL_MS = 3_600_000;
const EVERY_MS = 60_000;
/** However fast events come, no more than this many are kept. */
const MOST = 2_000;

/** Forgets events an hour after they last happened. */
export function runEventTtl(registry: Registry): Running {
  const timer = setInterval(() => {
    const resource = registry.catalog.byKind('v1', 'Event');
    if (resource === undefined) return;
    const time = (value: unknown): number => (typeof value === 'string' ? Date.parse(value) : 0);
    const events = registry.store.list('events').map((event) => ({
      event,
      last: Math.max(time(event['lastTimestamp']), time(event['eventTime']), time(event.metadata.creationTimestamp)),
    }));
    const kept = events
      .filter(({ last }) => last > registry.now() - TTL_MS)
      .toSorted((a, b) => b.last - a.last)
      .slice(0, MOST);
    const keep = new Set(kept.map(({ event }) => event));
    for (const { event } of events) if (!keep.has(event)) registry.remove(resource, event.metadata.namespace, event.metadata.name);
  }, EVERY_MS);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}
