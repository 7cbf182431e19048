/** Whatever amcheck looks at, on any instance, is whole: index and table agree. */
import { named, type Anomaly } from './anomaly.ts';
import type { Transaction } from './history.ts';

export function damageAnomalies(transactions: readonly Transaction[]): Anomaly[] {
  return transactions.flatMap((transaction) =>
    transaction.operations.flatMap((operation): Anomaly[] =>
      operation.kind === 'checked' && operation.wrong.length > 0
        ? [{ kind: 'damaged', says: `${named(transaction)} found table ${operation.table} damaged: ${operation.wrong.join('; ')}` }]
        : [],
    ),
  );
}
