import type { JsonObject, KubeObject } from '../store/object.ts';
import type { Resource } from './resources.ts';

/** Fields that the two kinds of Event name differently: core/v1 on the left, events.k8s.io/v1 on the right. */
const NAMES: readonly (readonly [core: string, newer: string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['reportingComponent', 'reportingController'],
  ['count', 'deprecatedCount'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['source', 'deprecatedSource'],
];

/** An object as its resource shows it. Both kinds of Event are one in the store, kept as core/v1. */
export function fromStored(object: KubeObject, resource: Resource): KubeObject {
  if (resource.group === 'events.k8s.io') return renamed(object, 'events.k8s.io/v1', 0, 1);
  if (!resource.custom) return object;
  const apiVersion = `${resource.group}/${resource.version}`;
  return object.apiVersion === apiVersion ? object : { ...object, apiVersion };
}

export function toStored(object: KubeObject, resource: Resource): KubeObject {
  return resource.group === 'events.k8s.io' ? renamed(object, 'v1', 1, 0) : object;
}

function renamed(object: KubeObject, apiVersion: string, from: 0 | 1, to: 0 | 1): KubeObject {
  const fields: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    const pair = NAMES.find((names) => names[from] === key);
    fields[pair?.[to] ?? key] = value;
  }
  return { ...fields, apiVersion, kind: 'Event', metadata: object.metadata };
}
