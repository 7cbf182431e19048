/**
 * Verifies redo at length: a PostgreSQL writes the tests' workload at any size, with the page that it expects in every
 * record; the log is replayed natively and compared with those pages and, at its end, with the server's files.
 *
 *   node packages/redo/src/verify/long-run.ts [--scale 1]
 *
 * Scale 1 makes about 450,000 records, more than 2 GiB of WAL. Exit codes: 0 no difference, 1 differences.
 */
import { parseArgs } from 'node:util';
import { formatLsn } from '@kube-aurora/pg-format';
import { startPostgres } from '@kube-aurora/test-postgres';
import { compareWithFiles } from './compare-files.ts';
import { formatCoverage } from './redo-verifier.ts';
import { replayWorkload, WITH_EXPECTED_PAGES } from './replay-workload.ts';

const { values } = parseArgs({ options: { scale: { type: 'string', default: '1' } } });
const pg = await startPostgres({ initdb: ['--no-data-checksums'] });
try {
  const { verifier, dataDir } = await replayWorkload(pg, WITH_EXPECTED_PAGES, Number(values.scale));
  const { compared, differences } = compareWithFiles(verifier, dataDir);
  const found = [
    ...verifier.mismatches.map(({ lsn, record, page, difference }) => `${formatLsn(lsn)} ${record} ${page}: ${JSON.stringify(difference)}`),
    ...differences,
  ];
  const coverage = [...verifier.coverage.values()];
  const records = coverage.reduce((sum, { records: count }) => sum + count, 0);
  const checked = coverage.reduce((sum, { compared: count }) => sum + count, 0);
  process.stdout.write(`${formatCoverage(verifier.coverage)}\n\n`);
  process.stdout.write(
    `${records} records up to ${formatLsn(verifier.state.endLsn)}; ${checked} pages compared after their record, ${compared} at the end; ${found.length} differences\n`,
  );
  for (const line of found.slice(0, 20)) process.stdout.write(`${line}\n`);
  process.exitCode = found.length === 0 ? 0 : 1;
} finally {
  await pg.remove();
}
