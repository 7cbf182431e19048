/**
 * `npm run faults -- --seed 1 --seconds 60 --clients 8`: the long form of the fault test. Without a seed, a random one.
 */
import { parseArgs } from 'node:util';
import { runFaults } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Math.floor(Math.random() * 1_000_000)) },
    seconds: { type: 'string', default: '60' },
    clients: { type: 'string', default: '8' },
  },
});

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 0) throw new TypeError(`--${flag} must be a whole number, not '${text}'`);
  return value;
}

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const seed = wholeNumber('seed', values.seed);
print(`seed ${seed}`);
const report = await runFaults({
  seed,
  seconds: wholeNumber('seconds', values.seconds),
  clients: wholeNumber('clients', values.clients),
  print,
});
print(
  `${report.acknowledged} commits acknowledged, ${report.unknown} of unknown outcome, ${report.seen} seen by the auditor; ` +
    `longest time without a commit ${report.longestGapMs} ms`,
);
if (report.violations.length === 0) print('the ledger adds up; every acknowledged commit is there');
else {
  for (const violation of report.violations) print(`VIOLATION: ${violation}`);
  print(`replay with: npm run faults -- --seed ${seed} --seconds ${values.seconds} --clients ${values.clients}`);
  process.exitCode = 1;
}
