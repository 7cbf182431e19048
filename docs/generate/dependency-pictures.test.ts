import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { dependenciesOf, DRAWN, drawDependencies, pictureFile, violationsIn } from './dependency-pictures.ts';
import { folderGraph } from './folder-graph.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');

describe.each(DRAWN)('%s', (program) => {
  test('has no circles of folders, and its picture is what the code is; npm run docs:pictures makes it so', async () => {
    const graph = await dependenciesOf(program, ROOT);
    expect(graph.edges.filter(({ circular }) => circular)).toEqual([]);
    expect(readFileSync(pictureFile(program, 'now'), 'utf8')).toBe(await drawDependencies(graph));
  });
});

test('a graph of folders: files count as what they lie in, and circles are marked', () => {
  const graph = folderGraph(
    'p',
    ['p/src/main.ts', 'p/src/a/x.ts', 'p/src/a/deep/y.ts', 'p/src/b/z.ts', 'q/src/other.ts'],
    [
      { from: 'p/src/main.ts', to: 'p/src/a/x.ts' },
      { from: 'p/src/a/x.ts', to: 'p/src/a/deep/y.ts' },
      { from: 'p/src/a/x.ts', to: 'p/src/b/z.ts' },
      { from: 'p/src/a/deep/y.ts', to: 'p/src/b/z.ts' },
      { from: 'p/src/b/z.ts', to: 'p/src/a/x.ts' },
      { from: 'p/src/b/z.ts', to: 'q/src/other.ts' },
    ],
  );
  expect(graph).toEqual({
    nodes: ['a/', 'b/', 'main.ts'],
    edges: [
      { from: 'a/', to: 'b/', count: 2, circular: true },
      { from: 'b/', to: 'a/', count: 1, circular: true },
      { from: 'main.ts', to: 'a/', count: 1, circular: false },
    ],
  });
});

describe('the rules of npm run check refuse circles', () => {
  const directory = mkdtempSync(path.join(tmpdir(), 'kube-aurora-circles-'));
  afterAll(() => rmSync(directory, { recursive: true }));
  const write = (file: string, text: string): void => {
    mkdirSync(path.dirname(path.join(directory, file)), { recursive: true });
    writeFileSync(path.join(directory, file), text);
  };

  test.each(['storage-daemon', 'compute-node', 'operator', 'local-kube', 'packages/volume', 'packages/quickstart', 'test'])(
    'of files and of folders in %s',
    async (part) => {
      // Two files that need one another, types alone; and two folders that do, through files that do not.
      write(`${part}/src/one/a.ts`, "import type { B } from './b.ts';\nexport type A = B | 1;\n");
      write(`${part}/src/one/b.ts`, "import type { A } from './a.ts';\nexport type B = A | 2;\n");
      write(`${part}/src/two/c.ts`, "export { d } from '../three/d.ts';\n");
      write(`${part}/src/two/f.ts`, 'export const f = 1;\n');
      write(`${part}/src/three/d.ts`, 'export const d = 1;\n');
      write(`${part}/src/three/e.ts`, "export { f } from '../two/f.ts';\n");
      const found = await violationsIn([part], directory);
      expect(found.filter(({ rule, from }) => rule === 'no-file-cycles' && from.includes('/one/'))).not.toEqual([]);
      expect(found.filter(({ rule, from }) => rule === 'no-folder-cycles' && /two|three/.test(from))).not.toEqual([]);
    },
  );

  test('and they are asked about all of them', () => {
    const bootstrap = readFileSync(path.join(ROOT, 'scripts/bootstrap.mjs'), 'utf8');
    const sources = /const SOURCES = \[([^\]]*)\]/.exec(bootstrap)?.[1] ?? '';
    for (const part of [
      'packages',
      'storage-daemon',
      'compute-node',
      'operator',
      'local-kube',
      'deploy/images',
      'docs/generate',
      'helm/generate',
      'test',
    ])
      expect(sources).toContain(`'${part}'`);
  });
});
