import { OPCODE, RMGR, type RmgrName } from '@kube-aurora/pg-format';
import { RMGRS } from '../rmgrs.ts';
import { type Coverage, formatCoverage } from './redo-verifier.ts';

/** Every record type of PostgreSQL 18, and which of them a test's logs held. */

/**
 * Types that have a number but no code that writes them, with the reason; units with records made by hand cover them.
 */
export const NOT_WRITTEN: ReadonlyMap<string, string> = new Map([
  // The name occurs in xlog_redo, in logical decoding and in pg_waldump; no XLogInsert has it (18.6).
  ['XLOG/NOOP', 'replay and decoding know it, nothing inserts it'],
]);

/**
 * Managers whose own tests, `rmgr/*.pg.test.ts`, ask that each of their types is met and agrees: their logs are long.
 */
export const MANAGERS_WITH_OWN_TEST: readonly RmgrName[] = ['HASH', 'GIN', 'GIST', 'SPGIST', 'BRIN', 'GENERIC'];

/** Names, as `recordName` gives them, of the types that the given managers have. */
export function recordTypes(managers: readonly string[] = Object.keys(RMGR)): string[] {
  return Object.entries(RMGR)
    .filter(([manager]) => managers.includes(manager))
    .flatMap(([manager, rmid]) => Object.keys(OPCODE[manager as RmgrName]).map((opcode) => `${RMGRS.nameOf(rmid)}/${opcode}`));
}

/** Types that some server writes and that this coverage lacks, beside those that another test answers for. */
export function unseenTypes(coverage: ReadonlyMap<string, Coverage>): string[] {
  const elsewhere = new Set(recordTypes(MANAGERS_WITH_OWN_TEST));
  return recordTypes().filter((name) => !coverage.has(name) && !NOT_WRITTEN.has(name) && !elsewhere.has(name));
}

/** Adds up what several logs held. */
export function addCoverage(sum: Map<string, Coverage>, coverage: ReadonlyMap<string, Coverage>): void {
  for (const [name, more] of coverage) {
    const had = sum.get(name) ?? { records: 0, pages: 0, compared: 0, mismatches: 0 };
    sum.set(name, {
      records: had.records + more.records,
      pages: had.pages + more.pages,
      compared: had.compared + more.compared,
      mismatches: had.mismatches + more.mismatches,
    });
  }
}

/** The table of coverage, followed by what is not in it and why. */
export function formatAllTypes(coverage: ReadonlyMap<string, Coverage>): string {
  return [
    formatCoverage(coverage),
    ...[...NOT_WRITTEN].map(([name, reason]) => `${name.padEnd(36)}   not written by any server: ${reason}`),
    ...MANAGERS_WITH_OWN_TEST.map((manager) => `${`${RMGRS.nameOf(RMGR[manager])}/*`.padEnd(36)}   by the test of its own`),
    ...unseenTypes(coverage).map((name) => `${name.padEnd(36)}   NOT SEEN`),
  ].join('\n');
}
