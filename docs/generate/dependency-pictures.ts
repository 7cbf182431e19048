import path from 'node:path';
import { instance } from '@viz-js/viz';
import { cruise, type ICruiseOptions, type ICruiseResult, type IResolveOptions } from 'dependency-cruiser';
import rules from '../../.dependency-cruiser.mjs';
import { folderGraph, toDot, type FolderGraph } from './folder-graph.ts';

/** Programs whose folders are drawn, see docs/dependencies.md. */
export const DRAWN = ['storage-daemon', 'compute-node', 'operator'] as const;

const { enhancedResolveOptions, ...OPTIONS } = rules.options;

async function cruiseFrom(root: string, parts: readonly string[], options: ICruiseOptions): Promise<ICruiseResult> {
  const { output } = await cruise([...parts], { ...OPTIONS, ...options, baseDir: root }, enhancedResolveOptions as IResolveOptions);
  if (typeof output === 'string') throw new TypeError('dependency-cruiser gave a text instead of its result');
  return output;
}

/** Who imports whom in a program, as a graph of its folders. `root` is a checkout of the repository. */
export async function dependenciesOf(program: string, root: string): Promise<FolderGraph> {
  const { modules } = await cruiseFrom(root, [program], {});
  return folderGraph(
    program,
    modules.map(({ source }) => source),
    modules.flatMap(({ source, dependencies }) => dependencies.map(({ resolved }) => ({ from: source, to: resolved }))),
  );
}

/** What breaks the rules of `npm run check` in some parts of a checkout. */
export async function violationsIn(
  parts: readonly string[],
  root: string,
): Promise<readonly { readonly rule: string; readonly from: string }[]> {
  const { summary } = await cruiseFrom(root, parts, {
    validate: true,
    ruleSet: { forbidden: rules.forbidden } as ICruiseOptions['ruleSet'] & object,
  });
  return summary.violations.map(({ rule, from }) => ({ rule: rule.name, from }));
}

/** The picture of a graph, as SVG. The same graph gives the same bytes. */
export async function drawDependencies(graph: FolderGraph): Promise<string> {
  const viz = await instance();
  return viz.renderString(toDot(graph), { format: 'svg', engine: 'dot' });
}

export function pictureFile(program: string, version: 'now' | 'before'): string {
  return path.resolve(import.meta.dirname, `../dependencies/${program}${version === 'before' ? '-before' : ''}.svg`);
}
