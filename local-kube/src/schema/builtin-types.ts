import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { KEY_DEFAULTS, MERGE_RULES, QUANTITY_FIELDS } from './merge-keys.ts';
import type { OpenSchema } from './open-schema.ts';

/**
 * Schemas of the built-in kinds, read from the generated models of the pinned @kubernetes/client-node: the `.js` file
 * of a model tells each attribute's name on the wire, type and format, its `.d.ts` what is required and the
 * descriptions. Each definition is read once, when it is first asked for.
 */
const definitions = new Map<string, OpenSchema>();
const modelsDirectory = path.join(path.dirname(fileURLToPath(import.meta.resolve('@kubernetes/client-node'))), 'gen', 'models');

interface Attribute {
  name: string;
  baseName: string;
  type: string;
  format: string;
}

/** The definition of a model such as `V1Pod`. Throws when client-node has no such model. */
export function builtinDefinition(model: string): OpenSchema {
  const known = definitions.get(model);
  if (known !== undefined) return known;
  const schema: OpenSchema = { definition: model, type: 'object', properties: {} };
  // Registered before its fields are read: definitions may contain themselves.
  definitions.set(model, schema);
  const code = readFileSync(path.join(modelsDirectory, `${model}.js`), 'utf8');
  const declarations = readFileSync(path.join(modelsDirectory, `${model}.d.ts`), 'utf8');
  const description =
    /\*\/\nimport[^]*?\/\*\*\n\* ([^]*?)\n\*\/\nexport declare class|^[^]*?\*\/\n\/\*\*\n\* ([^]*?)\n\*\/\nexport declare class/.exec(
      declarations,
    );
  const text = description?.[1] ?? description?.[2];
  if (text !== undefined) schema.description = unescape(text);
  const required: string[] = [];
  for (const attribute of attributesOf(model, code)) {
    const declared = new RegExp(`(?:/\\*\\*\\n\\s*\\* ([^\\n]*)\\n\\s*\\*/\\n)?\\s*'${attribute.name}'(\\??):`).exec(declarations);
    const field = fieldSchema(model, attribute);
    if (declared?.[1] !== undefined) field.description = unescape(declared[1]);
    if (declared !== null && declared[2] === '') required.push(attribute.baseName);
    if (schema.properties !== undefined) schema.properties[attribute.baseName] = field;
  }
  if (required.length > 0) schema.required = required;
  if (MERGE_RULES[model]?.atomic === true) schema['x-kubernetes-map-type'] = 'atomic';
  return schema;
}

function attributesOf(model: string, code: string): Attribute[] {
  const found = /\.attributeTypeMap = (\[[^]*?\n\]);/.exec(code)?.[1];
  if (found === undefined) return [];
  const attributes = JSON.parse(found) as Attribute[];
  if (!Array.isArray(attributes)) throw new TypeError(`client-node's model ${model} has no attribute table`);
  return attributes;
}

function fieldSchema(model: string, attribute: Attribute): OpenSchema {
  const field = `${model}.${attribute.baseName}`;
  const shared = typeSchema(attribute.type, attribute.format, QUANTITY_FIELDS.has(field));
  const rule = MERGE_RULES[field];
  const keyDefault = KEY_DEFAULTS[field];
  // A field of a named type gets its own copy of the top of that type's schema, for its own description.
  const schema: OpenSchema = { ...shared };
  if (keyDefault !== undefined) schema.default = keyDefault;
  if (rule?.keys !== undefined) {
    schema['x-kubernetes-list-type'] = 'map';
    schema['x-kubernetes-list-map-keys'] = [...rule.keys];
    schema['x-kubernetes-patch-merge-key'] = rule.keys[0] ?? 'name';
    schema['x-kubernetes-patch-strategy'] = 'merge';
  } else if (rule?.set === true) {
    schema['x-kubernetes-list-type'] = 'set';
    schema['x-kubernetes-patch-strategy'] = 'merge';
  } else if (rule?.atomic === true) schema['x-kubernetes-map-type'] = 'atomic';
  return schema;
}

function typeSchema(type: string, format: string, quantity: boolean): OpenSchema {
  const list = /^Array<(.*)>$/.exec(type);
  if (list?.[1] !== undefined) return { type: 'array', items: typeSchema(list[1], format, quantity) };
  const map = /^\{ \[key: string\]: (.*); \}$/.exec(type);
  if (map?.[1] !== undefined) return { type: 'object', additionalProperties: typeSchema(map[1], format, quantity) };
  switch (type) {
    case 'string':
      if (quantity) return { 'x-kubernetes-int-or-string': true, format: 'quantity' };
      return format === '' ? { type: 'string' } : { type: 'string', format };
    case 'number':
      return format === 'double' || format === 'float' ? { type: 'number', format } : { type: 'integer', format };
    case 'boolean':
      return { type: 'boolean' };
    case 'Date':
    case 'V1MicroTime':
      return { type: 'string', format: 'date-time', nullable: true };
    case 'IntOrString':
      return { 'x-kubernetes-int-or-string': true, format: 'int-or-string' };
    case 'any':
    case 'object':
      return { 'x-kubernetes-preserve-unknown-fields': true };
    default:
      return builtinDefinition(type);
  }
}

function unescape(text: string): string {
  return text.replaceAll(/\\(['"])/g, '$1').trim();
}
