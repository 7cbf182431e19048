import { propertySchema, type OpenSchema } from '../schema/open-schema.ts';
import { isObject, jsonEqual, type Json, type JsonObject } from '../store/object.ts';

/**
 * A set of fields in the form of managedFields' FieldsV1: keys `f:name` (field), `k:{…}` (item of a list by its keys),
 * `v:…` (item of a set) and `.` (the thing itself). An empty node is a member and has no members below it.
 */
export type FieldSet = { [key: string]: FieldSet };

const isMember = (set: FieldSet): boolean => set['.'] !== undefined || Object.keys(set).length === 0;

export function union(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const merged: FieldSet = {};
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].filter((key) => key !== '.').toSorted();
  if (keys.length > 0 && (isMember(a) || isMember(b))) merged['.'] = {};
  for (const key of keys) merged[key] = union(a[key], b[key]) ?? {};
  return merged;
}

/** Members of a that are not members of b; undefined when there are none. */
export function subtract(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (a === undefined || b === undefined) return a;
  return rebuilt(a, isMember(a) && !isMember(b), (key, below) => subtract(below, b[key]));
}

/** Members of both; undefined when there are none. */
export function intersect(a: FieldSet | undefined, b: FieldSet | undefined): FieldSet | undefined {
  if (a === undefined || b === undefined) return undefined;
  return rebuilt(a, isMember(a) && isMember(b), (key, below) => intersect(below, b[key]));
}

function rebuilt(a: FieldSet, self: boolean, below: (key: string, set: FieldSet) => FieldSet | undefined): FieldSet | undefined {
  const kept: FieldSet = {};
  for (const [key, set] of Object.entries(a)) {
    const next = key === '.' ? undefined : below(key, set);
    if (next !== undefined) kept[key] = next;
  }
  if (Object.keys(kept).length === 0) return self ? {} : undefined;
  return self ? { '.': {}, ...kept } : kept;
}

/** Members as paths for messages: `.spec.containers[name="a"].image`. */
export function fieldPaths(set: FieldSet | undefined, prefix = ''): string[] {
  if (set === undefined) return [];
  const below = Object.entries(set).flatMap(([key, child]) => (key === '.' ? [] : fieldPaths(child, `${prefix}${pathElement(key)}`)));
  return isMember(set) ? [prefix, ...below] : below;
}

function pathElement(key: string): string {
  if (key.startsWith('f:')) return `.${key.slice(2)}`;
  if (key.startsWith('v:')) return `[=${key.slice(2)}]`;
  const keys = JSON.parse(key.slice(2)) as JsonObject;
  return `[${Object.entries(keys)
    .map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    .join(',')}]`;
}

export type ListShape = { kind: 'atomic' } | { kind: 'set' } | { kind: 'map'; keys: string[]; items: OpenSchema | undefined };

export function listShape(schema: OpenSchema | undefined): ListShape {
  if (schema?.['x-kubernetes-list-type'] === 'set') return { kind: 'set' };
  if (schema?.['x-kubernetes-list-type'] === 'map')
    return { kind: 'map', keys: schema['x-kubernetes-list-map-keys'] ?? [], items: schema.items };
  return { kind: 'atomic' };
}

export function isGranularMap(value: Json | undefined, schema: OpenSchema | undefined): value is JsonObject {
  return isObject(value) && schema?.['x-kubernetes-map-type'] !== 'atomic';
}

/** The FieldsV1 key of a list item; keys that the item leaves out count with their defaults. */
export function itemKey(item: Json, shape: ListShape): string | undefined {
  if (shape.kind === 'set') return `v:${JSON.stringify(item)}`;
  if (shape.kind === 'atomic' || !isObject(item)) return undefined;
  const keys = shape.keys.toSorted().map((key): [string, Json | undefined] => [key, item[key] ?? shape.items?.properties?.[key]?.default]);
  return `k:${JSON.stringify(Object.fromEntries(keys.filter(([, value]) => value !== undefined)))}`;
}

/** Every field that a value carries. */
export function fieldsOf(value: Json, schema: OpenSchema | undefined): FieldSet {
  if (Array.isArray(value)) {
    const shape = listShape(schema);
    const set: FieldSet = {};
    for (const item of value) {
      const key = itemKey(item, shape);
      if (key === undefined) continue;
      set[key] = shape.kind === 'map' ? { '.': {}, ...fieldsOf(item, shape.items) } : {};
    }
    return set;
  }
  if (!isGranularMap(value, schema)) return {};
  const entries = Object.entries(value).filter((entry): entry is [string, Json] => entry[1] !== undefined);
  return Object.fromEntries(
    entries.toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, field]) => [`f:${key}`, fieldsOf(field, propertySchema(schema, key))]),
  );
}

export interface Difference {
  /** Fields of the new value that are new or have another value. */
  readonly changed: FieldSet | undefined;
  /** Fields of the old value that are gone. */
  readonly removed: FieldSet | undefined;
}

export function difference(before: Json | undefined, after: Json | undefined, schema: OpenSchema | undefined): Difference {
  if (jsonEqual(before, after)) return { changed: undefined, removed: undefined };
  if (before === undefined || before === null)
    return { changed: after === undefined ? undefined : fieldsOf(after, schema), removed: undefined };
  if (after === undefined || after === null) return { changed: after === null ? {} : undefined, removed: fieldsOf(before, schema) };
  if (isGranularMap(before, schema) && isGranularMap(after, schema)) {
    const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
    return gather([...keys].map((key) => [`f:${key}`, difference(before[key], after[key], propertySchema(schema, key))]));
  }
  const shape = listShape(schema);
  if (Array.isArray(before) && Array.isArray(after) && shape.kind !== 'atomic') {
    const keyed = (items: Json[]): Map<string, Json> => new Map(items.map((item) => [itemKey(item, shape) ?? '', item]));
    const old = keyed(before);
    const now = keyed(after);
    const keys = new Set([...old.keys(), ...now.keys()]);
    const items = shape.kind === 'map' ? shape.items : undefined;
    return gather([...keys].map((key) => [key, withItself(difference(old.get(key), now.get(key), items), old.has(key), now.has(key))]));
  }
  return { changed: {}, removed: undefined };
}

/** A list item that came or went counts itself, besides its fields. */
function withItself(found: Difference, was: boolean, is: boolean): Difference {
  const self: FieldSet = { '.': {} };
  return {
    changed: !was && is ? { ...self, ...found.changed } : found.changed,
    removed: was && !is ? { ...self, ...found.removed } : found.removed,
  };
}

function gather(parts: [string, Difference][]): Difference {
  const collect = (of: (part: Difference) => FieldSet | undefined): FieldSet | undefined => {
    const set: FieldSet = {};
    for (const [key, part] of parts) {
      const found = of(part);
      if (found !== undefined) set[key] = found;
    }
    return Object.keys(set).length === 0 ? undefined : set;
  };
  return { changed: collect((part) => part.changed), removed: collect((part) => part.removed) };
}
