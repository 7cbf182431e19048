import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { parseAllDocuments } from 'yaml';
import { helmPath } from '../../scripts/kubectl.mjs';

export const CHART = path.resolve(import.meta.dirname, '../kube-aurora');

/** What Kubernetes objects have in common; the rest is as the template says. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
}

export interface Release {
  readonly name?: string;
  readonly namespace?: string;
  readonly values?: object;
  /** Hooks are what `helm test` runs; plain manifests have none. */
  readonly hooks?: boolean;
  /** With the CustomResourceDefinition, which is long to read. */
  readonly crds?: boolean;
}

/** Runs Helm; throws with what it wrote to its standard error. */
export function helm(args: readonly string[], input = ''): string {
  const run = spawnSync(helmPath(), args, { encoding: 'utf8', input, maxBuffer: 64 * 2 ** 20 });
  if (run.error !== undefined) throw run.error;
  if (run.status !== 0) throw new Error(`helm ${args.join(' ')} exited ${String(run.status)}: ${run.stderr}${run.stdout}`);
  return run.stdout;
}

/** The chart's text as `helm template` makes it, by the template that it comes of (`rbac.yaml`). */
export function renderText(release: Release = {}): ReadonlyMap<string, string> {
  const { name = 'kube-aurora', namespace = 'kube-aurora-system', values = {}, hooks = false, crds = false } = release;
  const args = ['template', name, CHART, '--namespace', namespace, '--values', '-', ...(hooks ? [] : ['--no-hooks', '--skip-tests'])];
  const files = new Map<string, string>();
  for (const part of helm(args, JSON.stringify({ ...values, crds: { install: crds } })).split(/^---\n/m)) {
    const [, file, text] = /^# Source: kube-aurora\/templates\/(\S+)\n([^]*)$/.exec(part) ?? [];
    if (file === undefined || text === undefined) continue;
    const before = files.get(file);
    files.set(file, before === undefined ? text : `${before}---\n${text}`);
  }
  return files;
}

/** The objects that the chart makes. */
export function render(release: Release = {}): readonly Manifest[] {
  return [...renderText(release).values()].flatMap((text) => parseAllDocuments(text).map((document) => document.toJS() as Manifest));
}

/** The one object of a kind and name; throws when there is none. */
export function find<T extends Manifest>(objects: readonly Manifest[], kind: string, name: string): T {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`the chart makes no ${kind} ${name}`);
  return found as T;
}
