import { SCALARS, type Enum, type Field, type Message, type Schema } from './schema.ts';

/**
 * What is generated from the schema: the messages' types (messages.ts), and the tables that the codec goes by
 * (message-tables.ts).
 */

const SCALAR_TYPES: Readonly<Record<string, string>> = {
  fixed64: 'bigint',
  uint32: 'number',
  bool: 'boolean',
  string: 'string',
  bytes: 'Buffer',
};

/** Messages and enums whose type is not made here, as it is a union, or the protocol's own: the module that has it. */
const ELSEWHERE: ReadonlyMap<string, string> = new Map([
  ['EpochStart', '@kube-aurora/volume'],
  ['SegmentFault', './segment-fault.ts'],
  ['SegmentRole', '@kube-aurora/volume'],
]);

const LINE_MAX = 140;

export function camelCase(name: string): string {
  return name.replaceAll(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase());
}

/** SegmentState.Phase is SegmentPhase, AppendResponse.Result is AppendResult: a message's first word and the enum's. */
export function enumTypeName(name: string): string {
  const [owner = '', inner] = name.split('.');
  return inner === undefined ? owner : `${/^[A-Z][a-z]+/.exec(owner)?.[0] ?? owner}${inner}`;
}

function comment(text: string, indent: string): string {
  if (text === '') return '';
  const one = `${indent}/** ${text.replaceAll(/\s+/g, ' ')} */\n`;
  if (one.length <= LINE_MAX) return one;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (indent.length + line.length + word.length + 4 > LINE_MAX) {
      lines.push(line);
      line = '';
    }
    line += ` ${word}`;
  }
  return `${indent}/**\n${[...lines, line].map((each) => `${indent} *${each}\n`).join('')}${indent} */\n`;
}

function enumNamed(schema: Schema, name: string): Enum | undefined {
  return schema.enums.find((each) => each.name === name);
}

function fieldLine(schema: Schema, field: Field): string {
  const scalar = SCALAR_TYPES[field.type];
  const single = scalar ?? (enumNamed(schema, field.type) === undefined ? field.type : enumTypeName(field.type));
  const type = field.repeated ? `${single}[]` : single;
  const name = camelCase(field.name);
  // An optional bool is a mark that most messages go without; an optional message or payload is something to decide on.
  if (field.optional && field.type === 'bool') return `${name}?: ${type}`;
  return field.optional ? `${name}: ${type} | undefined` : `${name}: ${type}`;
}

function interfaceOf(schema: Schema, message: Message): string {
  const lines = message.fields.map((field) => `${comment(field.comment, '  ')}  ${fieldLine(schema, field)};\n`);
  return `${comment(message.comment, '')}export interface ${message.name} {\n${lines.join('')}}\n`;
}

const HEADER = '// Made from proto/*.proto by `npm run proto:generate`: change those, not this.\n';

/** The text of messages.ts. */
export function printMessages(schema: Schema): string {
  const imports = [...ELSEWHERE]
    .filter(([name]) => [...schema.messages, ...schema.enums].some((one) => one.name === name))
    .map(([name, file]) => `import type { ${name} } from '${file}';\n`);
  const isElsewhere = (name: string): boolean => [...ELSEWHERE.keys()].some((one) => name === one || name.startsWith(`${one}.`));
  const enums = schema.enums
    .filter(({ name }) => !isElsewhere(name))
    .map(({ name, values }) => `export type ${enumTypeName(name)} = ${values.map((value) => `'${value.name}'`).join(' | ')};\n`);
  const interfaces = schema.messages.filter(({ name }) => !ELSEWHERE.has(name)).map((message) => interfaceOf(schema, message));
  const all = schema.messages.map(({ name }) => `  ${name}: ${name};\n`);
  return [
    HEADER,
    imports.join(''),
    '/** 64-bit fields are bigint, bytes are Buffer, and what is absent is undefined. */\n',
    ...[...enums, ...interfaces].flatMap((each) => [each, '\n']),
    `/** Every message by its name. */\nexport interface Messages {\n${all.join('')}}\n`,
  ]
    .join('\n')
    .replaceAll(/\n{3,}/g, '\n\n');
}

function tableLine(schema: Schema, field: Field): string {
  const parts = [`number: ${field.number}`, `name: '${camelCase(field.name)}'`];
  const values = enumNamed(schema, field.type)?.values;
  if (SCALARS.some((scalar) => scalar === field.type)) parts.push(`kind: '${field.type}'`);
  else if (values === undefined) parts.push(`kind: 'message'`, `message: '${field.type}'`, `repeated: ${field.repeated}`);
  else parts.push(`kind: 'enum'`, `values: { ${values.map(({ name, number }) => `${name}: ${number}`).join(', ')} }`);
  if (field.optional) parts.push('optional: true');
  return `    { ${parts.join(', ')} },\n`;
}

/** The text of message-tables.ts. */
export function printTables(schema: Schema): string {
  const messages = schema.messages.map(
    (message) => `  ${message.name}: [\n${message.fields.map((field) => tableLine(schema, field)).join('')}  ],\n`,
  );
  const services = schema.services.map(({ name, methods }) => {
    const lines = methods.map(
      (method) =>
        `    ${method.name}: { path: '/${schema.package}.${name}/${method.name}', request: '${method.request}', requestStream: ${method.requestStream}, ` +
        `response: '${method.response}', responseStream: ${method.responseStream} },\n`,
    );
    return `  ${name}: {\n${lines.join('')}  },\n`;
  });
  return [
    HEADER,
    "import type { MessageTable, ServiceTable } from './message-table.ts';\nimport type { Messages } from './messages.ts';\n",
    '/** The fields of every message, by ascending number. */',
    `export const MESSAGE_TABLES: { readonly [name in keyof Messages]: MessageTable } = {\n${messages.join('')}};\n`,
    `export const SERVICE_TABLES = {\n${services.join('')}} as const satisfies Record<string, ServiceTable>;\n`,
  ].join('\n');
}
