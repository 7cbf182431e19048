import { parseArgs } from 'node:util';
import { formatLsn } from '@kube-aurora/pg-format';
import { RedoError } from '@kube-aurora/redo-engine';
import { compareWithFiles } from './compare-files.ts';
import { readVolume } from './data-directory.ts';
import { formatCoverage, RedoVerifier } from './redo-verifier.ts';
import { walRecords } from './wal-files.ts';

/**
 * Verifies redo on a log: replays it natively from a data directory that was shut down cleanly, and compares each page
 * with the images that wal_consistency_checking attached, and the result with the files of the server that wrote the
 * log.
 *
 *   node packages/redo/src/verify/main.ts --base DIR --wal DIR [--files DIR] [--timeline N]
 *
 * Exit codes: 0 no difference, 1 differences or a log that cannot be replayed, 64 wrong arguments.
 */
const USAGE = `usage: main.ts --base DIR --wal DIR [--files DIR] [--timeline N]
  --base      copy of the data directory where the log begins (after a clean shutdown)
  --wal       directory with the WAL segments, usually DIR/pg_wal
  --files     data directory of the server that wrote the log, after its clean shutdown at the log's end
  --timeline  timeline of the WAL segments, 1 when not given\n`;
const SHOWN_MAX = 20;

function main(): number {
  const { values } = parseArgs({
    options: { base: { type: 'string' }, wal: { type: 'string' }, files: { type: 'string' }, timeline: { type: 'string', default: '1' } },
  });
  if (values.base === undefined || values.wal === undefined || !/^[1-9]\d*$/.test(values.timeline)) {
    process.stderr.write(USAGE);
    return 64;
  }
  const { state, pages } = readVolume(values.base);
  const verifier = new RedoVerifier(state, pages);
  const startLsn = state.endLsn;
  const startedAt = performance.now();
  try {
    for (const record of walRecords(values.wal, startLsn, Number(values.timeline))) verifier.apply(record);
  } catch (error) {
    if (!(error instanceof RedoError)) throw error;
    process.stderr.write(`stopped at ${formatLsn(error.lsn)}: ${error.message}\n`);
    return 1;
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const lines = verifier.mismatches.map(
    ({ lsn, record, page, difference }) => `${formatLsn(lsn)} ${record} ${page}: ${JSON.stringify(difference)}`,
  );
  if (values.files !== undefined) lines.push(...compareWithFiles(verifier, values.files).differences);
  const records = [...verifier.coverage.values()].reduce((sum, { records }) => sum + records, 0);
  process.stdout.write(`${formatCoverage(verifier.coverage)}\n\n`);
  process.stdout.write(
    `${records} records from ${formatLsn(startLsn)} to ${formatLsn(state.endLsn)} in ${seconds.toFixed(1)} s, ${lines.length} differences\n`,
  );
  for (const line of lines.slice(0, SHOWN_MAX)) process.stdout.write(`${line}\n`);
  if (lines.length > SHOWN_MAX) process.stdout.write(`and ${lines.length - SHOWN_MAX} more\n`);
  return lines.length === 0 ? 0 : 1;
}

process.exitCode = main();
