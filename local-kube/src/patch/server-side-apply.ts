import type { Cause } from '../schema/cause.ts';
import { propertySchema, type OpenSchema } from '../schema/open-schema.ts';
import { isObject, type Json, type JsonObject, type KubeObject, type ManagedFieldsEntry } from '../store/object.ts';
import {
  difference,
  fieldPaths,
  fieldsOf,
  intersect,
  isGranularMap,
  itemKey,
  listShape,
  subtract,
  union,
  type FieldSet,
} from './field-set.ts';
import { entryFields, isSame, makeEntry, ownablePart, without, type Manager } from './managed-fields.ts';

export interface ApplyOptions {
  /** The object as it is; undefined makes a new one. */
  readonly live: KubeObject | undefined;
  readonly applied: KubeObject;
  readonly manager: Manager;
  /** Take fields from other managers instead of refusing. */
  readonly force: boolean;
  readonly schema: OpenSchema | undefined;
  readonly statusSeparate: boolean;
  readonly time: string;
}

/** Fields that others own and the applied configuration would change. */
export class ApplyConflict extends Error {
  readonly causes: Cause[];

  constructor(causes: Cause[]) {
    const told = causes.map((cause) => `${cause.message}: ${cause.field}`);
    const intro = `Apply failed with ${causes.length} conflict${causes.length === 1 ? '' : 's'}`;
    super(causes.length === 1 ? `${intro}: ${told[0] ?? ''}` : `${intro}: ${told.map((line) => `\n- ${line}`).join('')}`);
    this.causes = causes;
  }
}

/**
 * Server-side apply: merges the applied configuration into the live object, removes what this manager applied before
 * and left out now (unless another manager owns it), and keeps the books of who owns what. Throws ApplyConflict.
 * https://kubernetes.io/docs/reference/using-api/server-side-apply/
 */
export function serverSideApply(input: ApplyOptions): KubeObject {
  const { live, manager, schema } = input;
  const subresource = manager.subresource;
  const applied = ownablePart(input.applied, input.statusSeparate, subresource);
  const wanted = fieldsOf(applied, schema);
  const entries = live?.metadata.managedFields ?? [];
  const others = entries.filter((entry) => !isSame(entry, manager));
  const last = entryFields(entries.find((entry) => isSame(entry, manager)));

  const base: JsonObject = live === undefined ? {} : ownablePart(live, input.statusSeparate, subresource);
  const merged = merge(base, applied, schema);
  const touched = intersect(difference(base, merged, schema).changed, wanted);
  const taken = conflictsOf(others, touched, input.force);

  const dropped = subtract(last, wanted);
  const owned = others.reduce<FieldSet | undefined>((all, entry) => union(all, entryFields(entry)), wanted);
  const result = dropped === undefined ? merged : removeFields(merged, dropped, owned, schema);

  const managedFields: ManagedFieldsEntry[] = [];
  const gone = union(taken, difference(base, result, schema).removed);
  for (const entry of others) {
    const left = without(entry, gone);
    if (left !== undefined) managedFields.push(left);
  }
  const previous = entries.find((entry) => isSame(entry, manager));
  const same = last !== undefined && subtract(last, wanted) === undefined && subtract(wanted, last) === undefined;
  const time = same && previous?.time !== undefined ? previous.time : input.time;
  if (Object.keys(wanted).length > 0) managedFields.push(makeEntry(manager, input.applied.apiVersion, wanted, time));
  return assemble(input, isObject(result) ? result : {}, managedFields);
}

function conflictsOf(others: ManagedFieldsEntry[], touched: FieldSet | undefined, force: boolean): FieldSet | undefined {
  let taken: FieldSet | undefined;
  const causes: Cause[] = [];
  for (const entry of others) {
    const contested = intersect(entryFields(entry), touched);
    if (contested === undefined) continue;
    taken = union(taken, contested);
    const who = `conflict with "${entry.manager ?? 'unknown'}"${entry.subresource === undefined ? '' : ` with subresource "${entry.subresource}"`} using ${entry.apiVersion ?? 'v1'}`;
    for (const field of fieldPaths(contested)) causes.push({ reason: 'FieldManagerConflict', message: who, field });
  }
  if (causes.length > 0 && !force) throw new ApplyConflict(causes);
  return taken;
}

function assemble(input: ApplyOptions, part: JsonObject, managedFields: ManagedFieldsEntry[]): KubeObject {
  const { live, applied } = input;
  const { metadata: ownableMetadata, ...fields } = part;
  const system: JsonObject = Object.fromEntries(
    Object.entries(live?.metadata ?? applied.metadata).filter(
      ([key]) => !['labels', 'annotations', 'ownerReferences', 'finalizers', 'managedFields'].includes(key),
    ),
  );
  const kept: JsonObject = {};
  if (live !== undefined) {
    const own = ownablePart(live, input.statusSeparate, input.manager.subresource);
    for (const [key, value] of Object.entries(live)) if (own[key] === undefined && key !== 'metadata') kept[key] = value;
  }
  return {
    ...kept,
    ...fields,
    apiVersion: applied.apiVersion,
    kind: applied.kind,
    metadata: { ...system, ...(isObject(ownableMetadata) ? ownableMetadata : {}), name: applied.metadata.name, managedFields },
  };
}

function merge(live: Json | undefined, applied: Json, schema: OpenSchema | undefined): Json {
  if (Array.isArray(applied) && Array.isArray(live)) {
    const shape = listShape(schema);
    if (shape.kind === 'atomic') return applied;
    const result = [...live];
    for (const item of applied) {
      const key = itemKey(item, shape);
      const at = result.findIndex((present) => itemKey(present, shape) === key);
      if (at < 0) result.push(item);
      else if (shape.kind === 'map') result[at] = merge(result[at], item, shape.items);
    }
    return result;
  }
  if (!isGranularMap(applied, schema) || !isObject(live)) return applied;
  const result: JsonObject = { ...live };
  for (const [key, value] of Object.entries(applied)) {
    if (value !== undefined) result[key] = merge(live[key], value, propertySchema(schema, key));
  }
  return result;
}

/** Removes the members of `dropped`, except what someone in `owned` still holds there or below. */
function removeFields(value: Json, dropped: FieldSet, owned: FieldSet | undefined, schema: OpenSchema | undefined): Json {
  if (Array.isArray(value)) {
    const shape = listShape(schema);
    return value.flatMap((item) => {
      const key = itemKey(item, shape);
      const gone = key === undefined ? undefined : dropped[key];
      if (key === undefined || gone === undefined) return [item];
      const held = owned?.[key];
      if (held === undefined && (gone['.'] !== undefined || Object.keys(gone).length === 0)) return [];
      return [removeFields(item, gone, held, shape.kind === 'map' ? shape.items : undefined)];
    });
  }
  if (!isObject(value)) return value;
  const kept: JsonObject = { ...value };
  for (const [element, below] of Object.entries(dropped)) {
    const key = element.slice(2);
    const field = kept[key];
    if (!element.startsWith('f:') || field === undefined) continue;
    const held = owned?.[element];
    const leaf = Object.keys(below).length === 0 || below['.'] !== undefined;
    if (leaf && held === undefined) delete kept[key];
    else {
      const rest = removeFields(field, below, held, propertySchema(schema, key));
      const empty = isObject(rest) ? Object.keys(rest).length === 0 : Array.isArray(rest) && rest.length === 0;
      // A map or list that this manager alone filled goes with its last entry.
      if (empty && held === undefined) delete kept[key];
      else kept[key] = rest;
    }
  }
  return kept;
}
