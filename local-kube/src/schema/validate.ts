import type { Cause } from './cause.ts';
import { isObject, jsonEqual, type Json, type JsonObject } from '../store/object.ts';
import { brokenRules, hasRules, oldItems } from './cel-rules.ts';
import { child, type FieldPath } from './field-path.ts';
import { allowsUnknown, propertySchema, type OpenSchema } from './open-schema.ts';

const invalid = (field: FieldPath, value: Json, problem: string): Cause => ({
  reason: 'FieldValueInvalid',
  field,
  message: `Invalid value: ${shown(value)}: ${problem}`,
});

const wrongType = (field: FieldPath, value: Json, problem: string): Cause => ({
  ...invalid(field, value, problem),
  reason: 'FieldValueTypeInvalid',
});

function shown(value: Json): string {
  if (Array.isArray(value)) return '"array"';
  return isObject(value) ? '"object"' : JSON.stringify(value);
}

function typeOf(value: Json): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value;
}

/**
 * Checks a value against its schema; every problem names its field and says what was expected, in the words of the
 * Kubernetes API server, so that people and tools that know those recognise them. With `old`, what stood there before:
 * a part that did not change is not held against an update (the API server calls it ratcheting).
 */
export function validate(value: Json, schema: OpenSchema, path: FieldPath = '', old?: Json): Cause[] {
  if (old !== undefined && jsonEqual(value, old)) return [];
  if (value === null) {
    if (schema.nullable === true || schema.type === undefined) return [];
    return [wrongType(path, 'null', `${path} in body must be of type ${schema.type}: "null"`)];
  }
  const badType = typeProblem(value, schema, path);
  if (badType !== undefined) return [badType];
  const causes: Cause[] = [];
  if (schema.enum !== undefined && !schema.enum.some((allowed) => jsonEqual(allowed, value))) {
    causes.push({
      reason: 'FieldValueNotSupported',
      field: path,
      message: `Unsupported value: ${shown(value)}: supported values: ${schema.enum.map((allowed) => JSON.stringify(allowed)).join(', ')}`,
    });
  }
  if (typeof value === 'string') causes.push(...stringProblems(value, schema, path));
  else if (typeof value === 'number') causes.push(...numberProblems(value, schema, path));
  else if (Array.isArray(value)) causes.push(...arrayProblems(value, schema, path, old));
  else if (isObject(value)) causes.push(...objectProblems(value, schema, path, old));
  causes.push(...combinationProblems(value, schema, path));
  return causes;
}

function typeProblem(value: Json, schema: OpenSchema, path: FieldPath): Cause | undefined {
  const type = typeOf(value);
  if (schema['x-kubernetes-int-or-string'] === true) {
    const number = schema.format === 'quantity' ? type === 'number' : false;
    return type === 'integer' || type === 'string' || number
      ? undefined
      : wrongType(path, type, `${path} in body must be of type integer,string: "${type}"`);
  }
  if (schema.type === undefined || schema.type === type || (schema.type === 'number' && type === 'integer')) return undefined;
  return wrongType(path, type, `${path} in body must be of type ${schema.type}: "${type}"`);
}

function stringProblems(value: string, schema: OpenSchema, path: FieldPath): Cause[] {
  const causes: Cause[] = [];
  const length = [...value].length;
  if (schema.minLength !== undefined && length < schema.minLength)
    causes.push(invalid(path, value, `${path} in body should be at least ${schema.minLength} chars long`));
  if (schema.maxLength !== undefined && length > schema.maxLength)
    causes.push({ reason: 'FieldValueTooLong', field: path, message: `Too long: may not be more than ${schema.maxLength} bytes` });
  if (schema.pattern !== undefined && !new RegExp(schema.pattern, 'u').test(value))
    causes.push(invalid(path, value, `${path} in body should match '${schema.pattern}'`));
  if (schema.format === 'date-time' && Number.isNaN(Date.parse(value)))
    causes.push(invalid(path, value, `${path} in body must be of type date-time: ${JSON.stringify(value)}`));
  return causes;
}

function numberProblems(value: number, schema: OpenSchema, path: FieldPath): Cause[] {
  const causes: Cause[] = [];
  const { minimum, maximum, multipleOf } = schema;
  if (minimum !== undefined && (schema.exclusiveMinimum === true ? value <= minimum : value < minimum))
    causes.push(
      invalid(path, value, `${path} in body should be greater than ${schema.exclusiveMinimum === true ? '' : 'or equal to '}${minimum}`),
    );
  if (maximum !== undefined && (schema.exclusiveMaximum === true ? value >= maximum : value > maximum))
    causes.push(
      invalid(path, value, `${path} in body should be less than ${schema.exclusiveMaximum === true ? '' : 'or equal to '}${maximum}`),
    );
  if (multipleOf !== undefined && !Number.isInteger(value / multipleOf))
    causes.push(invalid(path, value, `${path} in body should be a multiple of ${multipleOf}`));
  return causes;
}

function arrayProblems(value: Json[], schema: OpenSchema, path: FieldPath, old: Json | undefined): Cause[] {
  const before = oldItems(schema, old);
  const causes: Cause[] = [];
  if (schema.minItems !== undefined && value.length < schema.minItems)
    causes.push(invalid(path, value.length, `${path} in body should have at least ${schema.minItems} items`));
  if (schema.maxItems !== undefined && value.length > schema.maxItems)
    causes.push({
      reason: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${value.length}: must have at most ${schema.maxItems} items`,
    });
  const keys = schema['x-kubernetes-list-map-keys'];
  const distinct = schema.uniqueItems === true || schema['x-kubernetes-list-type'] === 'set';
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const identity =
      keys !== undefined && isObject(item)
        ? JSON.stringify(keys.map((key) => item[key] ?? schema.items?.properties?.[key]?.default ?? null))
        : distinct
          ? JSON.stringify(item)
          : undefined;
    if (identity !== undefined && seen.has(identity))
      causes.push({ reason: 'FieldValueDuplicate', field: `${path}[${index}]`, message: `Duplicate value: ${JSON.stringify(item)}` });
    if (identity !== undefined) seen.add(identity);
    if (schema.items !== undefined) causes.push(...validate(item, schema.items, `${path}[${index}]`, before(item)));
  });
  return causes;
}

function objectProblems(value: JsonObject, schema: OpenSchema, path: FieldPath, old: Json | undefined): Cause[] {
  const causes: Cause[] = [];
  const entries = Object.entries(value).filter((entry): entry is [string, Json] => entry[1] !== undefined);
  if (schema.minProperties !== undefined && entries.length < schema.minProperties)
    causes.push(invalid(path, entries.length, `${path} in body should have at least ${schema.minProperties} properties`));
  if (schema.maxProperties !== undefined && entries.length > schema.maxProperties)
    causes.push({
      reason: 'FieldValueTooMany',
      field: path,
      message: `Too many: ${entries.length}: must have at most ${schema.maxProperties} items`,
    });
  for (const key of schema.required ?? []) {
    if (value[key] === undefined) causes.push({ reason: 'FieldValueRequired', field: child(path, key), message: 'Required value' });
  }
  for (const [key, field] of entries) {
    const fieldSchema = propertySchema(schema, key);
    if (fieldSchema !== undefined) causes.push(...validate(field, fieldSchema, child(path, key), isObject(old) ? old[key] : undefined));
  }
  return causes;
}

/** Problems after which the API server checks no rules: a value may not even be what its rules expect. */
const BLOCKING: ReadonlySet<string> = new Set([
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
  'FieldValueNotSupported',
]);
const NOT_CHECKED: Cause = {
  reason: 'FieldValueInvalid',
  field: '<nil>',
  message:
    'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
};

/** A custom resource against its schema and its rules. */
export function validateCustom(value: Json, schema: OpenSchema, old: Json | undefined): Cause[] {
  const causes = validate(value, schema, '', old);
  if (causes.some(({ reason }) => BLOCKING.has(reason))) return hasRules(schema) ? [...causes, NOT_CHECKED] : causes;
  return [...causes, ...brokenRules(value, schema, '', old)];
}

/** allOf, anyOf, oneOf and not carry only value checks in a structural schema. */
function combinationProblems(value: Json, schema: OpenSchema, path: FieldPath): Cause[] {
  const causes: Cause[] = (schema.allOf ?? []).flatMap((part) => validate(value, part, path));
  const fitting = (parts: OpenSchema[]): number => parts.filter((part) => validate(value, part, path).length === 0).length;
  if (schema.anyOf !== undefined && fitting(schema.anyOf) === 0)
    causes.push(invalid(path, value, `${path} in body must validate at least one schema (anyOf)`));
  if (schema.oneOf !== undefined && fitting(schema.oneOf) !== 1)
    causes.push(invalid(path, value, `${path} in body must validate one and only one schema (oneOf)`));
  if (schema.not !== undefined && validate(value, schema.not, path).length === 0)
    causes.push(invalid(path, value, `${path} in body must not validate the schema (not)`));
  return causes;
}

/** The value without the fields that its schema does not know; their paths are added to `unknown`. */
export function pruneUnknown(value: Json, schema: OpenSchema | undefined, unknown: FieldPath[], path: FieldPath = ''): Json {
  if (schema === undefined) return value;
  if (Array.isArray(value)) return value.map((item, index) => pruneUnknown(item, schema.items, unknown, `${path}[${index}]`));
  if (!isObject(value)) return value;
  const kept: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    if (field === undefined) continue;
    const fieldSchema = propertySchema(schema, key);
    const embeddedRoot = schema['x-kubernetes-embedded-resource'] === true && ['apiVersion', 'kind', 'metadata'].includes(key);
    if (fieldSchema !== undefined) kept[key] = pruneUnknown(field, fieldSchema, unknown, child(path, key));
    else if (embeddedRoot || allowsUnknown(schema)) kept[key] = field;
    else unknown.push(child(path, key));
  }
  return kept;
}

/**
 * The value with its schema's defaults filled in. Null where null is not allowed counts as absent when there is a
 * default.
 */
export function applyDefaults(value: Json, schema: OpenSchema): Json {
  if (Array.isArray(value)) {
    const { items } = schema;
    return items === undefined ? value : value.map((item) => applyDefaults(item, items));
  }
  if (!isObject(value)) return value;
  const full: JsonObject = {};
  for (const [key, field] of Object.entries(value)) {
    const fieldSchema = propertySchema(schema, key);
    if (field === null && fieldSchema?.default !== undefined && fieldSchema.nullable !== true) continue;
    if (field !== undefined) full[key] = fieldSchema === undefined ? field : applyDefaults(field, fieldSchema);
  }
  for (const [key, fieldSchema] of Object.entries(schema.properties ?? {})) {
    if (full[key] === undefined && fieldSchema.default !== undefined)
      full[key] = applyDefaults(structuredClone(fieldSchema.default), fieldSchema);
  }
  return full;
}
