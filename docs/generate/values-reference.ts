import { readFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';

interface Value {
  /** `operator.replicas` */
  readonly name: string;
  readonly fallback: string;
  readonly description: string;
}

/** Every value of the chart, from values.yaml and its comments. Throws for one that has none. */
export function chartValues(text: string): readonly Value[] {
  const { contents } = parseDocument(text);
  if (!isMap(contents)) throw new TypeError('values.yaml is no map');
  return valuesOf(contents, '');
}

function valuesOf(map: YAMLMap, prefix: string): readonly Value[] {
  return map.items.flatMap(({ key, value }, index): readonly Value[] => {
    if (!isScalar(key)) throw new TypeError(`values.yaml: a key below '${prefix}' is no word`);
    const name = `${prefix}${String(key.value)}`;
    // The parser gives what stands before a map's first key to the map.
    const comment = key.commentBefore ?? (index === 0 ? map.commentBefore : undefined);
    if (isMap(value) && value.items.length > 0 && comment == null) return valuesOf(value, `${name}.`);
    if (comment == null) throw new TypeError(`values.yaml: ${name} has no comment`);
    const fallback = value === null ? null : (value as { toJSON(): unknown }).toJSON();
    // What a blank line parts from it is about the file.
    const description = (comment.split(/\n\s*\n/).at(-1) ?? '').replaceAll(/\s*\n\s*/g, ' ').trim();
    return [{ name, fallback: JSON.stringify(fallback), description }];
  });
}

/** As a table. */
export function valuesReference(): string {
  const values = chartValues(readFileSync(new URL('../../helm/kube-aurora/values.yaml', import.meta.url), 'utf8'));
  const cell = (text: string): string => text.replaceAll('|', '\\|');
  return [
    '| value | default | what |',
    '| --- | --- | --- |',
    ...values.map(({ name, fallback, description }) => `| \`${name}\` | \`${cell(fallback)}\` | ${cell(description)} |`),
    '',
  ].join('\n');
}

/** docs/reference/chart.md */
export function chartReference(): string {
  return `# Values of the Helm chart

<!-- Made from helm/kube-aurora/values.yaml; npm run docs:generate writes it. -->

Others are refused. [How to install](../install) says which matter.

${valuesReference()}`;
}

/** helm/kube-aurora/README.md */
export function chartReadme(): string {
  return `# kube-aurora

<!-- Made from values.yaml; npm run docs:generate writes it. -->

An open Amazon Aurora for Kubernetes: the operator, its rights, NetworkPolicies, and what watches it. Kubernetes 1.29 or later.

    helm install kube-aurora helm/kube-aurora --namespace kube-aurora-system --create-namespace
    helm test kube-aurora --namespace kube-aurora-system

\`helm uninstall\` takes the operator away and leaves the CustomResourceDefinition, and with it every cluster, which goes on without. One
release for each namespace that is watched, or one for all. docs/install.md has the ports, upgrades and what to look after.

## Values

${valuesReference()}`;
}
