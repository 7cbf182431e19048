import { parseCommandLine } from '../../kubectl-aurora/src/command-line/parse.ts';
import type { Schema } from '../../operator/src/api/open-api.ts';
import { splitSql } from '../../packages/quickstart/src/split-sql.ts';
import { filledIn, type RunbookCommand } from './commands.ts';

/** What there is for commands to name. */
export interface Nameable {
  readonly cluster: Schema;
  /** Everything that the manifests of deploy/ make, as `kind/name`. */
  readonly installed: ReadonlySet<string>;
  readonly labels: ReadonlySet<string>;
  readonly annotations: ReadonlySet<string>;
  /** What is wrong with an expression of PromQL. */
  readonly ofExpression: (expr: string) => string[];
}

/** Flags of kubectl that runbooks use, by verb. One more is one line here. */
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  get: ['-n', '-o', '-l', '-L', '--sort-by', '--field-selector', '--all-namespaces', '--raw'],
  describe: ['-n', '-l'],
  logs: ['-n', '--tail', '--previous'],
  patch: ['-n', '--type', '-p'],
  annotate: ['-n', '--overwrite'],
};
const RESOURCES = ['auroracluster', 'auroraclusters', 'pods', 'pod', 'events', 'nodes', 'pvc', 'lease', 'secret'];
const SWITCHES = ['--all-namespaces', '--previous', '--overwrite'];
/** Stand for every name: a command is looked at as it will be typed. */
const ANY = { NS: 'default', NAME: 'demo', POD: 'demo-1', PID: '1', GID: 'g', SLOT: 's', TABLE: 't' };

/** What is wrong with a command of a runbook, as far as that is known without a cluster. Pure. */
export function problemsOf(command: RunbookCommand, nameable: Nameable): string[] {
  const text = filledIn(command.text, ANY);
  if (command.kind === 'promql') return nameable.ofExpression(text);
  if (command.kind === 'sql') {
    if (command.psql === undefined) return ['no psql was named before it'];
    // Within a sentence the semicolon is left out.
    const { statements, rest } = splitSql(text.endsWith(';') ? text : `${text};`);
    return [...(statements.length === 0 ? ['no statement'] : []), ...(rest.trim() === '' ? [] : [`unfinished: ${rest.trim()}`])];
  }
  const words = shellWords(text);
  if (words === undefined) return ['a quote does not end'];
  if (words[0] !== 'kubectl') return [`no command of kubectl: ${words[0] ?? ''}`];
  if (words[1] === 'aurora') {
    try {
      parseCommandLine(words.slice(2));
      return [];
    } catch (error) {
      return [error instanceof Error ? error.message : String(error)];
    }
  }
  return ofKubectl(words.slice(1), nameable);
}

function ofKubectl(words: readonly string[], nameable: Nameable): string[] {
  const flags = new Map<string, string>();
  const positionals: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? '';
    if (!word.startsWith('-')) positionals.push(word);
    else if (word.includes('=')) flags.set(word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1));
    else flags.set(word, SWITCHES.includes(word) ? '' : (words[++at] ?? ''));
  }
  const [verb = '', resource = '', name = ''] = positionals;
  const known = FLAGS[verb];
  if (known === undefined) return [`no verb of kubectl that runbooks use: ${verb}`];
  const wrong = [...flags.keys()].filter((flag) => !known.includes(flag)).map((flag) => `kubectl ${verb} has no flag ${flag}`);
  if (flags.get('-n') === 'kube-aurora-system' && resource.includes('/') && !nameable.installed.has(resource))
    wrong.push(`nothing that is installed is called ${resource}`);
  if (verb !== 'logs' && !flags.has('--raw') && !RESOURCES.includes(resource)) wrong.push(`no resource ${resource}`);
  for (const [, key = ''] of (flags.get('-l') ?? '').matchAll(/([\w./-]+)=/g))
    if (!nameable.labels.has(key)) wrong.push(`nothing has the label ${key}`);
  if (verb === 'annotate')
    for (const [, key = ''] of positionals
      .slice(2)
      .join(' ')
      .matchAll(/(?:^| )([\w./-]+)=/g))
      if (!nameable.annotations.has(key)) wrong.push(`nobody reads the annotation ${key}`);
  if (resource === 'auroracluster' && name !== '') {
    const output = flags.get('-o') ?? '';
    if (output.startsWith('jsonpath=')) wrong.push(...ofJsonPath(output.slice('jsonpath='.length), nameable.cluster));
    const patch = flags.get('-p');
    if (patch !== undefined) wrong.push(...ofPatch(JSON.parse(patch), nameable.cluster, ''));
  }
  return wrong;
}

/** Fields that a template asks of a cluster and that its schema has not. */
function ofJsonPath(template: string, cluster: Schema): string[] {
  const scopes: (Schema | undefined)[] = [cluster];
  return [...template.matchAll(/\{([^{}]*)\}/g)].flatMap(([, inner = '']) => {
    if (inner === 'end') {
      scopes.pop();
      return [];
    }
    if (inner.startsWith('"')) return [];
    const path = inner.replace(/^range /, '');
    const found = at(scopes.at(-1), path);
    if (inner.startsWith('range ')) scopes.push(found);
    return found === undefined ? [`a cluster has no ${path}`] : [];
  });
}

function at(from: Schema | undefined, path: string): Schema | undefined {
  // Kubernetes' own, which the schema leaves to it.
  if (/^\.metadata\.(annotations|labels|name)$/.test(path)) return {};
  return [...path.matchAll(/\.(\w+)|\[[^\]]*\]/g)].reduce<Schema | undefined>(
    (schema, [, field]) => (field === undefined ? schema?.items : (schema?.properties?.[field] ?? schema?.additionalProperties)),
    from,
  );
}

function ofPatch(value: unknown, schema: Schema | undefined, path: string): string[] {
  if (schema === undefined) return [`a cluster has no ${path}`];
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([field, inner]) => ofPatch(inner, schema.properties?.[field], `${path}.${field}`));
}

/** As a shell would split it, with single and double quotes; undefined where one does not end. */
function shellWords(line: string): string[] | undefined {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (const char of line)
    if (quote !== '') {
      if (char === quote) quote = '';
      else word = `${word ?? ''}${char}`;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= '';
    } else if (char === ' ') {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else word = `${word ?? ''}${char}`;
  if (quote !== '') return undefined;
  if (word !== undefined) words.push(word);
  return words;
}
