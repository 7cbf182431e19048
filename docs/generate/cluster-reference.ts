import type { Schema } from '../../operator/src/api/open-api.ts';
import { CONDITION_REASONS, CONDITION_TYPES, PHASES } from '../../operator/src/api/conditions.ts';
import { API_GROUP_VERSION, CLUSTER_KIND } from '../../operator/src/api/types.ts';

/** One field of the API, as a row of the reference. */
interface Row {
  readonly path: string;
  readonly type: string;
  readonly description: string;
}

/** docs/reference/auroracluster.md, from the schema that the API server gets. */
export function clusterReference(schema: Schema): string {
  const { spec, status } = schema.properties ?? {};
  return [
    `# ${CLUSTER_KIND}`,
    '',
    `\`apiVersion: ${API_GROUP_VERSION}\`, \`kind: ${CLUSTER_KIND}\`, short name \`ac\`. \`kubectl explain auroracluster.spec\` says the same.`,
    'This page is made from the schema by `npm run docs:generate`; a test keeps the two the same.',
    '',
    '## spec',
    '',
    ...table(spec === undefined ? [] : rowsOf(spec, '')),
    '',
    ...rulesOf(spec, 'spec'),
    '## status',
    '',
    'Written by the operator; what somebody else writes there is put right at its next look.',
    '',
    ...table(status === undefined ? [] : rowsOf(status, '')),
    '',
    '### Phases',
    '',
    ...PHASES.map((phase) => `- \`${phase}\``),
    '',
    '### Conditions and their reasons',
    '',
    `Types: ${CONDITION_TYPES.map((type) => `\`${type}\``).join(', ')}.`,
    '',
    `Reasons: ${CONDITION_REASONS.map((reason) => `\`${reason}\``).join(', ')}.`,
    '',
  ].join('\n');
}

/** Their fields are those of any pod, and known from there. */
const AS_IN_A_POD: ReadonlySet<string> = new Set(['affinity', 'tolerations', 'topologySpreadConstraints']);

function rowsOf(schema: Schema, path: string): Row[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
    const at = path === '' ? name : `${path}.${name}`;
    const required = schema.required?.includes(name) === true;
    const row: Row = { path: at, type: `${typeOf(field)}${required ? ', required' : ''}`, description: describe(field) };
    if (AS_IN_A_POD.has(name)) return [row];
    const item = field.items;
    return [row, ...rowsOf(field, at), ...(item?.properties === undefined ? [] : rowsOf(item, `${at}[]`))];
  });
}

function typeOf(field: Schema): string {
  if (field['x-kubernetes-int-or-string'] === true) return 'quantity';
  if (field.type === 'array') return `list of ${field.items === undefined ? 'anything' : typeOf(field.items)}`;
  if (field.type === 'object' && field.additionalProperties !== undefined) return `map of ${typeOf(field.additionalProperties)}`;
  return field.format ?? field.type ?? 'any';
}

function describe(field: Schema): string {
  const parts = [field.description ?? ''];
  if (field.enum !== undefined) parts.push(`One of ${field.enum.map((value) => code(String(value))).join(', ')}.`);
  if (field.minimum !== undefined || field.maximum !== undefined) parts.push(`From ${field.minimum ?? '…'} to ${field.maximum ?? '…'}.`);
  if (field.pattern !== undefined) parts.push(`Matches ${code(field.pattern)}.`);
  if (field.default !== undefined && !isEmptyObject(field.default)) parts.push(`Default: ${code(JSON.stringify(field.default))}.`);
  return parts.filter((part) => part !== '').join(' ');
}

function isEmptyObject(value: unknown): boolean {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length === 0;
}

/** What CEL says beside the types: rules that the API server checks before anything is saved. */
function rulesOf(schema: Schema | undefined, path: string): string[] {
  const found = collectRules(schema, path);
  if (found.length === 0) return [];
  return ['### Rules', '', ...found.map(({ at, message }) => `- \`${at}\`: ${message}`), ''];
}

function collectRules(schema: Schema | undefined, path: string): { at: string; message: string }[] {
  if (schema === undefined) return [];
  const own = 'x-kubernetes-validations' in schema ? schema['x-kubernetes-validations'] : [];
  const rules = Array.isArray(own) ? (own as { message?: string; rule: string }[]) : [];
  return [
    ...rules.map(({ message, rule }) => ({ at: path, message: message ?? code(rule) })),
    ...Object.entries(schema.properties ?? {}).flatMap(([name, field]) => collectRules(field, `${path}.${name}`)),
  ];
}

/** In a table and in VitePress, whose pages are Vue templates: neither bars nor double braces may be read. */
function code(text: string): string {
  return `\`${text.replaceAll('|', '\\|')}\``;
}

function table(rows: readonly Row[]): string[] {
  return [
    '| field | type | meaning |',
    '| --- | --- | --- |',
    ...rows.map((row) => `| \`${row.path}\` | ${row.type} | ${row.description} |`),
  ];
}
