import { chmodSync, existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleOptions } from '@kube-aurora/images/bundle-options';
import { build } from 'esbuild';
import { leftOut } from './left-out.ts';
import { requiredBuiltins } from './required-builtins.ts';

const REPOSITORY = fileURLToPath(new URL('../../../', import.meta.url));
/** Where it is built to, unless somebody says otherwise. */
export const PLUGIN_DIRECTORY = join(REPOSITORY, 'dist/kubectl-aurora');

/** kubectl finds plugins by their files' names, and asks the second one for completions (kubectl 1.26 or later). */
const PLUGIN = 'kubectl-aurora';
const COMPLETER = 'kubectl_complete-aurora';

/** The client's own need; the machine's Node is not ours. */
const NODE_WANTED = [22, 19] as const;
const CHECK_NODE = `
{
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < ${NODE_WANTED[0]} || (major === ${NODE_WANTED[0]} && minor < ${NODE_WANTED[1]})) {
    process.stderr.write('kubectl-aurora needs Node ${NODE_WANTED.join('.')} or later; ' + process.execPath + ' is ' + process.versions.node + '\\n');
    process.exit(1);
  }
}`;

const COMPLETE = `#!/bin/sh
exec "$(dirname "$0")/${PLUGIN}" __complete "$@"
`;

function ownVersion(): string {
  const { version } = JSON.parse(readFileSync(join(REPOSITORY, 'package.json'), 'utf8')) as { version: string };
  return version;
}

/** Bundles the plugin into `directory`, with the program that kubectl asks for completions. Answers the plugin's file. */
export async function buildPlugin(directory: string): Promise<string> {
  const file = join(directory, PLUGIN);
  const { outputFiles, metafile } = await build({
    ...bundleOptions('/usr/bin/env node', CHECK_NODE),
    absWorkingDir: REPOSITORY,
    entryPoints: ['kubectl-aurora/src/main.ts'],
    outfile: file,
    minify: true,
    plugins: [leftOut(), requiredBuiltins()],
    define: { KUBECTL_AURORA_VERSION: JSON.stringify(ownVersion()) },
    // Only asked for where they are there.
    external: ['pg-native', 'cloudflare:sockets'],
  });
  const [output] = outputFiles;
  if (output === undefined) throw new TypeError('esbuild wrote nothing');
  mkdirSync(directory, { recursive: true });
  writeExecutable(file, output.text);
  writeExecutable(join(directory, COMPLETER), COMPLETE);
  writeFileSync(inputsFile(directory), JSON.stringify(Object.keys(metafile.inputs)));
  return file;
}

/** The plugin in `directory`; bundled when it is not there, or older than what it is made of. */
export async function builtPlugin(directory: string): Promise<string> {
  const file = join(directory, PLUGIN);
  return isFresh(directory) ? file : await buildPlugin(directory);
}

function isFresh(directory: string): boolean {
  const list = inputsFile(directory);
  if (!existsSync(list)) return false;
  const builtAt = statSync(list).mtimeMs;
  const inputs = JSON.parse(readFileSync(list, 'utf8')) as readonly string[];
  return inputs.every((input) => (statSync(join(REPOSITORY, input), { throwIfNoEntry: false })?.mtimeMs ?? Infinity) <= builtAt);
}

const inputsFile = (directory: string): string => join(directory, `.${PLUGIN}.json`);

/** Written aside and renamed: a plugin that runs goes on, and two builds do not meet. */
function writeExecutable(file: string, text: string): void {
  const partial = join(dirname(file), `.${process.pid}.partial`);
  writeFileSync(partial, text);
  chmodSync(partial, 0o755);
  renameSync(partial, file);
}
