import { print } from '../bench/table.ts';
import type { LedgerReport } from './ledger.ts';

/** Prints what became of a ledger; gives whether it adds up and holds all that was acknowledged. */
export function printVerdict(report: LedgerReport): boolean {
  print(`${report.acknowledged} commits acknowledged, ${report.unknown} of unknown outcome, ${report.seen} seen by the auditor`);
  for (const violation of report.violations) print(`VIOLATION: ${violation}`);
  const addsUp = report.violations.length === 0;
  if (addsUp) print('the ledger adds up; every acknowledged commit is there');
  return addsUp;
}
