/** A program's folders (and the files beside them), and which of them import which. */
export interface FolderGraph {
  readonly nodes: readonly string[];
  readonly edges: readonly FolderEdge[];
}

export interface FolderEdge {
  readonly from: string;
  readonly to: string;
  /** Imports, counted by files. */
  readonly count: number;
  /** Part of a circle: one comes back to `from` from here. */
  readonly circular: boolean;
}

/** An import of one file by another; paths from the root of the repository. */
export interface FileImport {
  readonly from: string;
  readonly to: string;
}

/**
 * The graph of what lies in `<program>/src`: a folder stands for all that is in it. Sorted, so that it reads the same
 * each time.
 */
export function folderGraph(program: string, files: readonly string[], imports: readonly FileImport[]): FolderGraph {
  const prefix = `${program}/src/`;
  const nodeOf = (file: string): string | undefined => {
    if (!file.startsWith(prefix)) return undefined;
    const [first = '', ...rest] = file.slice(prefix.length).split('/');
    return rest.length === 0 ? first : `${first}/`;
  };
  const nodes = [...new Set(files.flatMap((file) => nodeOf(file) ?? []))].toSorted();
  const counts = new Map<string, number>();
  for (const { from, to } of imports) {
    const [a, b] = [nodeOf(from), nodeOf(to)];
    if (a === undefined || b === undefined || a === b) continue;
    counts.set(`${a} ${b}`, (counts.get(`${a} ${b}`) ?? 0) + 1);
  }
  const pairs = [...counts].map(([key, count]) => {
    const [from = '', to = ''] = key.split(' ');
    return { from, to, count };
  });
  const circular = ({ from, to }: { from: string; to: string }): boolean => reaches(pairs, to, from);
  const edges = pairs.map((edge) => ({ ...edge, circular: circular(edge) }));
  return { nodes, edges: edges.toSorted((a, b) => compare(`${a.from} ${a.to}`, `${b.from} ${b.to}`)) };
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function reaches(edges: readonly { from: string; to: string }[], from: string, to: string): boolean {
  const seen = new Set<string>();
  const open = [from];
  for (let at = open.pop(); at !== undefined; at = open.pop()) {
    if (at === to) return true;
    if (seen.has(at)) continue;
    seen.add(at);
    for (const edge of edges) if (edge.from === at) open.push(edge.to);
  }
  return false;
}

/** In Graphviz's language: importers above what they import, folders as boxes, what goes in circles in red. */
export function toDot({ nodes, edges }: FolderGraph): string {
  const shape = (node: string): string =>
    node.endsWith('/') ? 'style="filled,rounded", fillcolor="#eef3fb"' : 'style="rounded", color="#999999"';
  return [
    'digraph {',
    '  rankdir=TB; bgcolor="white"; nodesep=0.25; ranksep=0.45;',
    '  node [shape=box, fontname="Helvetica", fontsize=12, height=0.3, margin="0.12,0.04"];',
    '  edge [arrowsize=0.6, color="#5b6b7f"];',
    ...nodes.map((node) => `  "${node}" [${shape(node)}];`),
    ...edges.map(
      ({ from, to, count, circular }) => `  "${from}" -> "${to}" [penwidth=${penWidth(count)}${circular ? ', color="#cc2222"' : ''}];`,
    ),
    '}',
    '',
  ].join('\n');
}

/** Thicker for more imports, by their order of magnitude. */
function penWidth(count: number): number {
  return count >= 10 ? 2 : count >= 4 ? 1.4 : 0.9;
}
