import { propertySchema, type OpenSchema } from '../schema/open-schema.ts';
import { isObject, jsonEqual, type Json, type JsonObject } from '../store/object.ts';

/**
 * Strategic merge patch for built-in kinds: like a merge patch, but lists with a merge key are merged item by item, and
 * the directives $patch, $setElementOrder/…, $deleteFromPrimitiveList/… and $retainKeys are followed.
 * https://github.com/kubernetes/community/blob/main/contributors/devel/sig-api-machinery/strategic-merge-patch.md
 */
export function applyStrategicMergePatch(target: Json | undefined, patch: Json, schema: OpenSchema | undefined): Json | undefined {
  return isObject(patch) ? mergeObject(isObject(target) ? target : {}, patch, schema) : patch;
}

const ORDER = '$setElementOrder/';
const REMOVE = '$deleteFromPrimitiveList/';

function mergeObject(target: JsonObject, patch: JsonObject, schema: OpenSchema | undefined): JsonObject | undefined {
  if (patch['$patch'] === 'delete') return undefined;
  if (patch['$patch'] === 'replace') return withoutDirectives(patch);
  const merged: JsonObject = { ...target };
  const retained = patch['$retainKeys'];
  if (Array.isArray(retained)) {
    for (const key of Object.keys(merged)) if (!retained.includes(key)) delete merged[key];
  }
  for (const [key, value] of Object.entries(patch)) {
    if (value === undefined || key === '$patch' || key === '$retainKeys' || key.startsWith(ORDER)) continue;
    if (key.startsWith(REMOVE)) {
      const field = key.slice(REMOVE.length);
      const present = merged[field];
      if (Array.isArray(present) && Array.isArray(value))
        merged[field] = present.filter((item) => !value.some((gone) => jsonEqual(gone, item)));
      continue;
    }
    const next = value === null ? undefined : mergeField(merged[key], value, propertySchema(schema, key), patch[`${ORDER}${key}`]);
    if (next === undefined) delete merged[key];
    else merged[key] = next;
  }
  for (const [key, order] of Object.entries(patch)) {
    const field = key.slice(ORDER.length);
    if (!key.startsWith(ORDER) || patch[field] !== undefined) continue;
    const present = merged[field];
    if (Array.isArray(present) && Array.isArray(order)) merged[field] = ordered(present, order, propertySchema(schema, field));
  }
  return merged;
}

function mergeField(target: Json | undefined, patch: Json, schema: OpenSchema | undefined, order: Json | undefined): Json | undefined {
  if (isObject(patch)) return mergeObject(isObject(target) ? target : {}, patch, schema);
  if (!Array.isArray(patch)) return patch;
  if (schema?.['x-kubernetes-patch-strategy'] !== 'merge') return patch.filter((item) => !isObject(item) || item['$patch'] === undefined);
  const merged = mergeList(Array.isArray(target) ? target : [], patch, schema);
  return Array.isArray(order) ? ordered(merged, order, schema) : merged;
}

function mergeList(target: Json[], patch: Json[], schema: OpenSchema): Json[] {
  const mergeKey = schema['x-kubernetes-patch-merge-key'];
  if (mergeKey === undefined) return [...target, ...patch.filter((item) => !target.some((present) => jsonEqual(present, item)))];
  if (patch.some((item) => isObject(item) && item['$patch'] === 'replace'))
    return patch.filter((item) => !isObject(item) || item['$patch'] === undefined);
  const merged = [...target];
  for (const item of patch) {
    if (!isObject(item)) continue;
    const index = merged.findIndex((present) => isObject(present) && jsonEqual(present[mergeKey], item[mergeKey]));
    const present = merged[index];
    const next = mergeObject(isObject(present) ? present : {}, item, schema.items);
    if (next === undefined) {
      if (index >= 0) merged.splice(index, 1);
    } else if (index >= 0) merged[index] = next;
    else merged.push(next);
  }
  return merged;
}

/** Items in the order that the patch asks for; those it does not name keep their place after the ones before them. */
function ordered(items: Json[], order: Json[], schema: OpenSchema | undefined): Json[] {
  const mergeKey = schema?.['x-kubernetes-patch-merge-key'];
  const position = (item: Json): number =>
    order.findIndex((wanted) =>
      mergeKey === undefined ? jsonEqual(wanted, item) : isObject(item) && isObject(wanted) && jsonEqual(item[mergeKey], wanted[mergeKey]),
    );
  const placed: { item: Json; at: number }[] = [];
  let last = -1;
  for (const item of items) {
    const found = position(item);
    if (found >= 0) last = found;
    placed.push({ item, at: found >= 0 ? found : last + 0.5 });
  }
  return placed.toSorted((a, b) => a.at - b.at).map(({ item }) => item);
}

function withoutDirectives(patch: JsonObject): JsonObject {
  return Object.fromEntries(Object.entries(patch).filter(([key]) => !key.startsWith('$')));
}
