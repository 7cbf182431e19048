import { writeFileSync } from 'node:fs';
import { breakingChanges } from './breaking.ts';
import { agreedSchema, currentSchema, generatedFiles, pathOf, textOf } from './files.ts';

/**
 * `npm run proto:generate` makes the message types and tables from proto/*.proto; with `--check`, a part of `npm run
 * check`, it says whether they are current. Neither lets a change pass that a daemon or compute of the release before
 * could not live with.
 */
async function main(): Promise<number> {
  const schema = currentSchema();
  const breaks = breakingChanges(agreedSchema(), schema);
  for (const line of breaks) process.stderr.write(`proto: ${line}\n`);
  if (breaks.length > 0) return 1;
  const stale = (await generatedFiles(schema)).filter(({ file, text }) => textOf(file) !== text);
  if (process.argv.includes('--check')) {
    for (const { file } of stale) process.stderr.write(`${file}: is not what proto/*.proto says; run 'npm run proto:generate'\n`);
    return stale.length === 0 ? 0 : 1;
  }
  for (const { file, text } of stale) {
    writeFileSync(pathOf(file), text);
    process.stdout.write(`${file}: written\n`);
  }
  return 0;
}

process.exitCode = await main();
