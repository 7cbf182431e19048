import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
const SOURCE = path.join(REPOSITORY, 'console/src/page');
/** Files that are served as they are. */
const PLAIN = ['index.html', 'icon.svg'];
/** Where it is built to, unless somebody says otherwise. */
export const PAGE_DIRECTORY = path.join(REPOSITORY, 'dist/console');
const INPUTS = '.inputs.json';

/** The page's files, by name, for whoever puts them somewhere. */
export async function bundlePage(): Promise<{ readonly files: ReadonlyMap<string, Uint8Array>; readonly inputs: readonly string[] }> {
  const { outputFiles, metafile } = await build({
    absWorkingDir: REPOSITORY,
    entryPoints: { console: 'console/src/page/main.tsx' },
    outdir: '/page',
    bundle: true,
    write: false,
    metafile: true,
    minify: true,
    format: 'esm',
    target: ['es2022', 'chrome110', 'firefox115', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    legalComments: 'none',
    logLevel: 'error',
  });
  const plain = PLAIN.map((name) => [name, readFileSync(path.join(SOURCE, name))] as const);
  return {
    files: new Map([...plain, ...outputFiles.map(({ path: file, contents }) => [path.basename(file), contents] as const)]),
    inputs: [...Object.keys(metafile.inputs), ...PLAIN.map((name) => path.relative(REPOSITORY, path.join(SOURCE, name)))],
  };
}

/** The page in `directory`; built when it is not there, or older than what it is made of. Answers the directory. */
export async function builtPage(directory = PAGE_DIRECTORY): Promise<string> {
  if (isFresh(directory)) return directory;
  const { files, inputs } = await bundlePage();
  mkdirSync(directory, { recursive: true });
  for (const [name, content] of files) {
    // Written aside and renamed: whoever reads meanwhile has a whole file.
    const partial = path.join(directory, `.${process.pid}.partial`);
    writeFileSync(partial, content);
    renameSync(partial, path.join(directory, name));
  }
  writeFileSync(path.join(directory, INPUTS), JSON.stringify(inputs));
  return directory;
}

function isFresh(directory: string): boolean {
  const list = path.join(directory, INPUTS);
  if (!existsSync(list)) return false;
  const builtAt = statSync(list).mtimeMs;
  const inputs = JSON.parse(readFileSync(list, 'utf8')) as readonly string[];
  return inputs.every((input) => (statSync(path.join(REPOSITORY, input), { throwIfNoEntry: false })?.mtimeMs ?? Infinity) <= builtAt);
}
