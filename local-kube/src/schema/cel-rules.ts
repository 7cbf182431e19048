import { Environment, type ParseResult } from '@marcbachmann/cel-js';
import { isObject, jsonEqual, type Json } from '../store/object.ts';
import type { Cause } from './cause.ts';
import { propertySchema, type OpenSchema } from './open-schema.ts';
import { Quantity } from './quantity.ts';
import { child, type FieldPath } from './field-path.ts';

/**
 * x-kubernetes-validations of custom resources: rules in CEL, with `self`, `oldSelf` and Kubernetes' quantities.
 * Not here: the API server's other CEL libraries (URLs, IPs, regex extensions), optionalOldSelf, and its bounds on what
 * a rule may cost.
 * https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
 */
const quantities = new Environment({ homogeneousAggregateLiterals: false })
  .registerType('Quantity', { ctor: Quantity, fields: {} })
  .registerFunction('quantity(string): Quantity', (text: string) => {
    const quantity = Quantity.parse(text);
    if (quantity === undefined) throw new TypeError(`'${text}' is not a quantity`);
    return quantity;
  })
  .registerFunction('isQuantity(string): bool', (text: string) => Quantity.parse(text) !== undefined)
  .registerFunction('Quantity.compareTo(Quantity): int', (a: Quantity, b: Quantity) => BigInt(a.compareTo(b)))
  .registerFunction('Quantity.isLessThan(Quantity): bool', (a: Quantity, b: Quantity) => a.compareTo(b) < 0)
  .registerFunction('Quantity.isGreaterThan(Quantity): bool', (a: Quantity, b: Quantity) => a.compareTo(b) > 0)
  .registerFunction('Quantity.sign(): int', (a: Quantity) => BigInt(a.compareTo(new Quantity(0n))))
  .registerFunction('Quantity.add(Quantity): Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nano + b.nano))
  .registerFunction('Quantity.sub(Quantity): Quantity', (a: Quantity, b: Quantity) => new Quantity(a.nano - b.nano));

/** Parses expressions about these variables. */
export function celOf(...variables: readonly string[]): (expression: string) => ParseResult {
  const environment = quantities.clone();
  for (const variable of variables) environment.registerVariable(variable, 'dyn');
  const parsed = new Map<string, ParseResult>();
  return (expression) => {
    const known = parsed.get(expression);
    if (known !== undefined) return known;
    const made = environment.parse(expression);
    parsed.set(expression, made);
    return made;
  };
}

const program = celOf('self', 'oldSelf');

type Rule = NonNullable<OpenSchema['x-kubernetes-validations']>[number];

/** Why a rule cannot be used; undefined when it can. */
export function ruleProblem(expression: string): string | undefined {
  let checked: { valid: boolean; type?: string; error?: Error };
  try {
    checked = program(expression).check();
  } catch (error) {
    return error instanceof Error ? firstLine(error.message) : String(error);
  }
  if (!checked.valid) return firstLine(checked.error?.message ?? 'it has a type error');
  return checked.type === 'bool' || checked.type === 'dyn' ? undefined : `it is a ${checked.type ?? 'value'} and no bool`;
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? '';
}

const ruled = new WeakMap<OpenSchema, boolean>();

/** Does the schema of a custom resource have rules anywhere? */
export function hasRules(schema: OpenSchema): boolean {
  const known = ruled.get(schema);
  if (known !== undefined) return known;
  const below = [...Object.values(schema.properties ?? {}), schema.items, schema.additionalProperties];
  const found = (schema['x-kubernetes-validations'] ?? []).length > 0 || below.some((one) => typeof one === 'object' && hasRules(one));
  ruled.set(schema, found);
  return found;
}

/**
 * The rules that a value breaks. `old` is what the object had there before; rules about oldSelf count only then. What
 * did not change is not held against an update, so that a stricter schema does not lock objects that are stored
 * already.
 */
export function brokenRules(value: Json, schema: OpenSchema, path: FieldPath = '', old?: Json): Cause[] {
  if (value === null) return [];
  const causes: Cause[] = [];
  const same = old !== undefined && jsonEqual(value, old);
  for (const rule of schema['x-kubernetes-validations'] ?? []) {
    const transition = /\boldSelf\b/.test(rule.rule);
    if (transition ? old === undefined || old === null : same) continue;
    const cause = ruleCause(rule, { value, schema, path, old });
    if (cause !== undefined) causes.push(cause);
  }
  if (Array.isArray(value)) {
    const { items } = schema;
    if (items === undefined) return causes;
    const before = oldItems(schema, old);
    value.forEach((item, index) => causes.push(...brokenRules(item, items, `${path}[${index}]`, before(item))));
  } else if (isObject(value)) {
    for (const [key, field] of Object.entries(value)) {
      const fieldSchema = propertySchema(schema, key);
      if (field === undefined || fieldSchema === undefined) continue;
      causes.push(...brokenRules(field, fieldSchema, child(path, key), isObject(old) ? old[key] : undefined));
    }
  }
  return causes;
}

/** Items can be told from one another, and so compared with what they were, only where a list is a map by its keys. */
export function oldItems(schema: OpenSchema, old: Json | undefined): (item: Json) => Json | undefined {
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys === undefined || !Array.isArray(old)) return () => undefined;
  const identity = (item: Json): string => (isObject(item) ? JSON.stringify(keys.map((key) => item[key] ?? null)) : '');
  const known = new Map(old.map((item) => [identity(item), item]));
  return (item) => known.get(identity(item));
}

interface Place {
  readonly value: Json;
  readonly schema: OpenSchema;
  readonly path: FieldPath;
  readonly old: Json | undefined;
}

function ruleCause(rule: Rule, { value, schema, path, old }: Place): Cause | undefined {
  const context = { self: celValue(value, schema), oldSelf: old === undefined ? null : celValue(old, schema) };
  const told = rule.message?.trim() ?? `failed rule: ${rule.rule}`;
  let message = told;
  try {
    if (program(rule.rule)(context) === true) return undefined;
    if (rule.messageExpression !== undefined) {
      const made: unknown = program(rule.messageExpression)(context);
      if (typeof made === 'string' && made.trim() !== '') message = made.trim();
    }
  } catch (error) {
    message = `${firstLine(error instanceof Error ? error.message : String(error))} evaluating rule: ${told}`;
  }
  const field = `${path}${rule.fieldPath ?? ''}`;
  const shown = isObject(value) || Array.isArray(value) ? '' : `${JSON.stringify(value)}: `;
  switch (rule.reason) {
    case 'FieldValueRequired':
      return { reason: rule.reason, field, message: `Required value: ${message}` };
    case 'FieldValueForbidden':
      return { reason: rule.reason, field, message: `Forbidden: ${message}` };
    case 'FieldValueDuplicate':
      return { reason: rule.reason, field, message: `Duplicate value: ${JSON.stringify(value)}` };
    default:
      return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${shown}${message}` };
  }
}

/** JSON as CEL has it: whole numbers are int (bigint) unless the schema says that they are numbers with fractions. */
export function celValue(value: Json, schema: OpenSchema | undefined): unknown {
  if (typeof value === 'number') return Number.isInteger(value) && schema?.type !== 'number' ? BigInt(value) : value;
  if (Array.isArray(value)) return value.map((item) => celValue(item, schema?.items));
  if (!isObject(value)) return value;
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, field]) =>
      field === undefined || field === null ? [] : [[key, celValue(field, propertySchema(schema, key))]],
    ),
  );
}
