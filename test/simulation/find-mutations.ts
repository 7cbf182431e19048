import { spawn } from 'node:child_process';
import { parseArgs } from 'node:util';
import { fileURLToPath } from 'node:url';
import { MUTATIONS } from './mutations/all.ts';
import type { Mutation } from './mutations/mutation.ts';

/**
 * Breaks each rule of mutations/ in turn and counts the seeds until a run fails: `npm run simulate:mutations [--
 * --only NAME]`.
 */

const { values } = parseArgs({ options: { seeds: { type: 'string', default: '1000' }, only: { type: 'string' } } });
const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

/** The seeds that were needed, or undefined when none of them found it. */
function seedsNeeded({ name, mixture = 'any' }: Mutation): Promise<{ readonly seeds: number; readonly how: string } | undefined> {
  return new Promise((resolve, reject) => {
    const seeds = ['--seeds', values.seeds];
    const child = spawn(
      process.execPath,
      ['--import', here('mutation-hook.ts'), here('main.ts'), ...seeds, '--workers', '1', '--until-failure', '--mixture', mixture],
      {
        env: { ...process.env, AURORA_MUTATION: name },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    let output = '';
    child.stdout.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
    child.on('error', reject);
    child.on('exit', (code) => {
      const found = /^seed (\d+) fails: (.*)$/m.exec(output);
      if (found !== null) resolve({ seeds: Number(found[1]), how: found[2] ?? '' });
      else if (code === 0) resolve(undefined);
      else reject(new Error(`the simulation ended with ${code}: ${output.slice(-500)}`));
    });
  });
}

const chosen = MUTATIONS.filter(({ name }) => values.only === undefined || name === values.only);
let missed = 0;
process.stdout.write('| broken rule | seeds needed | how it showed |\n| --- | --- | --- |\n');
for (const mutation of chosen) {
  const { name, rule } = mutation;
  const found = await seedsNeeded(mutation);
  if (found === undefined) missed++;
  process.stdout.write(`| ${name}: ${rule} | ${found?.seeds ?? `not in ${values.seeds}`} | ${(found?.how ?? '').slice(0, 120)} |\n`);
}
if (missed > 0) {
  process.stdout.write(`${missed} of ${chosen.length} were not found\n`);
  process.exit(1);
}
