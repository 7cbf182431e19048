/**
 * `npm run kubectl-aurora -- [DIRECTORY] [--if-older]`: the plugin as one executable file; in dist/kubectl-aurora when no directory is said.
 * `--if-older`: only when it is not there, or older than its sources; says nothing.
 */
import { resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { builtPlugin, buildPlugin, PLUGIN_DIRECTORY } from './build.ts';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { 'if-older': { type: 'boolean', default: false } } });
const directory = resolve(positionals[0] ?? PLUGIN_DIRECTORY);
if (values['if-older']) await builtPlugin(directory);
else {
  const file = await buildPlugin(directory);
  process.stdout.write(
    `${file}\nPut its directory on the PATH, or copy both files to one that is; kubectl finds it as 'kubectl aurora'.\n`,
  );
}
