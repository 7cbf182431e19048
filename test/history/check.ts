import { damageAnomalies } from './amcheck.ts';
import type { Anomaly } from './anomaly.ts';
import { bankAnomalies } from './bank.ts';
import type { History } from './history.ts';
import { listAppendAnomalies } from './list-append.ts';
import { uniqueIdAnomalies } from './unique-ids.ts';

/** All that is wrong with a history; nothing when it keeps to what docs/consistency.md promises. */
export function anomaliesOf({ beginning, transactions }: History): Anomaly[] {
  return [
    ...listAppendAnomalies(transactions),
    ...bankAnomalies(beginning.banks, transactions),
    ...uniqueIdAnomalies(transactions),
    ...damageAnomalies(transactions),
  ];
}
