/** `node helm/from-bitnami/main.ts RELEASE < values.yaml`: an AuroraCluster on standard output, what is to be known of it on standard error. */
import { text } from 'node:stream/consumers';
import { parse, stringify } from 'yaml';
import { fromBitnami } from './translate.ts';

const [release] = process.argv.slice(2);
if (release === undefined) {
  process.stderr.write('say what the cluster is to be called: node helm/from-bitnami/main.ts RELEASE < values.yaml\n');
  process.exitCode = 64;
} else {
  const { manifest, notes, left } = fromBitnami(parse(await text(process.stdin)), release);
  process.stdout.write(stringify(manifest, { lineWidth: 0 }));
  for (const note of notes) process.stderr.write(`note: ${note}\n`);
  for (const path of left) process.stderr.write(`has no counterpart: ${path}\n`);
}
