/**
 * `npm run docs:pictures`: draws who imports whom into docs/dependencies. A test compares them
 * (dependency-pictures.test.ts). With `--before CHECKOUT` it draws an older state, beside which today's stand.
 */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { dependenciesOf, DRAWN, drawDependencies, pictureFile } from './dependency-pictures.ts';

const { values } = parseArgs({ options: { before: { type: 'string' } } });
const root = values.before === undefined ? path.resolve(import.meta.dirname, '../..') : path.resolve(values.before);
for (const program of DRAWN) {
  const graph = await dependenciesOf(program, root);
  writeFileSync(pictureFile(program, values.before === undefined ? 'now' : 'before'), await drawDependencies(graph));
}
