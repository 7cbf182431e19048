/**
 * `npm run psql`: a small psql for machines that have none. `-c SQL`, a script on standard input, or a prompt.
 */
import { parseArgs } from 'node:util';
import { clusterConnection, ENDPOINTS } from './cluster-connection.ts';
import { SMALL_PSQL_FLAGS, smallPsql } from './small-psql.ts';

const USAGE = `usage: npm run psql -- [-c SQL]... [-f FILE] [-d DATABASE] [-U superuser] [-A] [-t] [-x]
                       [--cluster NAME] [--namespace NAME] [--superuser] [--endpoint rw|ro|r]
  without -c or -f: reads a script from standard input, or gives a prompt on a terminal`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      ...SMALL_PSQL_FLAGS,
      cluster: { type: 'string', default: 'demo' },
      namespace: { type: 'string', short: 'n', default: 'default' },
      superuser: { type: 'boolean', default: false },
      endpoint: { type: 'string', default: 'rw' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  const endpoint = ENDPOINTS.find((one) => one === values.endpoint);
  if (endpoint === undefined) throw new Error(`--endpoint ${values.endpoint} is none: use ${ENDPOINTS.join(', ')}`);
  return await smallPsql(await clusterConnection({ ...values, endpoint }), values);
}

try {
  process.exitCode = await main();
} catch (error) {
  process.stderr.write(`psql: error: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}
