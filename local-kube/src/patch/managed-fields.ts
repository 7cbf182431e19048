import type { OpenSchema } from '../schema/open-schema.ts';
import type { JsonObject, KubeObject, ManagedFieldsEntry } from '../store/object.ts';
import { difference, subtract, union, type Difference, type FieldSet } from './field-set.ts';

/** Who makes a change, and how; part of every write. */
export interface Manager {
  readonly name: string;
  readonly operation: 'Apply' | 'Update';
  readonly subresource: string | undefined;
}

/** Fields of metadata that belong to the system, or tell which object it is: nobody owns them. */
const UNOWNED_METADATA = new Set(
  'name namespace generateName uid resourceVersion generation creationTimestamp deletionTimestamp deletionGracePeriodSeconds selfLink managedFields'.split(
    ' ',
  ),
);

/** What of an object can be owned, as seen through the subresource it is written by. */
export function ownablePart(object: KubeObject, statusSeparate: boolean, subresource: string | undefined): JsonObject {
  const part: JsonObject = {};
  for (const [key, value] of Object.entries(object)) {
    if (key === 'apiVersion' || key === 'kind' || value === undefined) continue;
    if (key === 'metadata') continue;
    if (key === 'status' ? statusSeparate && subresource !== 'status' : subresource === 'status') continue;
    part[key] = value;
  }
  const metadata = Object.fromEntries(
    Object.entries(object.metadata).filter(([key, value]) => !UNOWNED_METADATA.has(key) && value !== undefined),
  );
  if (Object.keys(metadata).length > 0) part['metadata'] = metadata;
  return part;
}

export function isSame(entry: ManagedFieldsEntry, manager: Manager): boolean {
  return (
    entry.manager === manager.name && entry.operation === manager.operation && (entry.subresource ?? '') === (manager.subresource ?? '')
  );
}

/** The entry's fields; FieldsV1 is JSON of nested objects, which is what a FieldSet is. */
export function entryFields(entry: ManagedFieldsEntry | undefined): FieldSet | undefined {
  return entry?.fieldsV1 as FieldSet | undefined;
}

export function makeEntry(manager: Manager, apiVersion: string, fields: FieldSet, time: string): ManagedFieldsEntry {
  return {
    manager: manager.name,
    operation: manager.operation,
    apiVersion,
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: fields,
    ...(manager.subresource === undefined ? {} : { subresource: manager.subresource }),
  };
}

/** Takes fields from an entry; undefined when nothing is left of it. */
export function without(entry: ManagedFieldsEntry, gone: FieldSet | undefined): ManagedFieldsEntry | undefined {
  if (gone === undefined) return entry;
  const left = subtract(entryFields(entry), gone);
  return left === undefined ? undefined : { ...entry, fieldsV1: left };
}

/**
 * managedFields after an ordinary write (create, update, patch): whoever changed a field owns it alone; fields that
 * went are nobody's.
 */
export function trackUpdate(
  before: KubeObject | undefined,
  after: KubeObject,
  manager: Manager,
  schema: OpenSchema | undefined,
  statusSeparate: boolean,
  time: string,
): ManagedFieldsEntry[] | undefined {
  const part = (object: KubeObject | undefined): JsonObject =>
    object === undefined ? {} : ownablePart(object, statusSeparate, manager.subresource);
  const found: Difference = difference(part(before), part(after), schema);
  const entries = after.metadata.managedFields ?? [];
  if (found.changed === undefined && found.removed === undefined) return entries.length === 0 ? undefined : entries;
  const moved = union(found.changed, found.removed);
  const kept: ManagedFieldsEntry[] = [];
  let own: FieldSet | undefined = found.changed;
  for (const entry of entries) {
    if (isSame(entry, manager)) own = union(subtract(entryFields(entry), found.removed), own);
    else {
      const left = without(entry, moved);
      if (left !== undefined) kept.push(left);
    }
  }
  if (own !== undefined) kept.push(makeEntry(manager, after.apiVersion, own, time));
  return kept.length === 0 ? undefined : kept;
}
