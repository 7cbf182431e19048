import type { CacheCounters } from './postgres/cache-file.ts';

const MIB = 1024 * 1024;
/** So much over the limit is what comes and goes while pages are read. */
const OVER_BY = 1.05;

/** How the local cache of relation pages stands, for the status. */
export interface CacheStatus {
  /**
   * | state      |                                                                                          |
   * | ---------- | ---------------------------------------------------------------------------------------- |
   * | within     | inside its limit, or on its way there                                                    |
   * | held       | over it: what is local cannot be let go of at present; `message` says why and what to do |
   * | cannotFree | over it, or will be: the file system under the data directory makes no holes in files    |
   */
  readonly state: 'within' | 'held' | 'cannotFree';
  readonly limitBytes: number;
  readonly bytes: number;
  readonly message: string;
}

/** Undefined before PostgreSQL was first started. */
export function cacheStatus(counters: CacheCounters | undefined): CacheStatus | undefined {
  if (counters === undefined) return undefined;
  const { limitBytes, residentBytes: bytes, heldBytes, punchErrno } = counters;
  const status = (state: CacheStatus['state'], message: string): CacheStatus => ({ state, limitBytes, bytes, message });
  if (punchErrno !== 0) {
    return status(
      'cannotFree',
      `the local cache grows past its limit of ${mib(limitBytes)}: the file system of the data directory makes no holes in files ` +
        `(errno ${punchErrno}); use one that does, as ext4, xfs and tmpfs do`,
    );
  }
  const held = heldBytes.byTransactions + heldBytes.undurable + heldBytes.forGood;
  if (bytes <= limitBytes * OVER_BY || held === 0) return status('within', '');
  const over = `the local cache takes ${mib(bytes)} of a limit of ${mib(limitBytes)}`;
  if (heldBytes.byTransactions >= heldBytes.undurable && heldBytes.byTransactions >= heldBytes.forGood) {
    return status(
      'held',
      `${over}: ${mib(heldBytes.byTransactions)} may have been changed by transactions that still run, and stay until they end; ` +
        'end long transactions (pg_stat_activity), load in several, or raise spec.compute.cacheSize',
    );
  }
  if (heldBytes.undurable >= heldBytes.forGood) {
    return status('held', `${over}: ${mib(heldBytes.undurable)} wait until storage has taken PostgreSQL's WAL`);
  }
  return status(
    'held',
    `${over}: ${mib(heldBytes.forGood)} are pages that storage cannot give back as they are (sequences, indexes being built); ` +
      'raise spec.compute.cacheSize',
  );
}

function mib(bytes: number): string {
  return `${Math.round(bytes / MIB)} MiB`;
}
