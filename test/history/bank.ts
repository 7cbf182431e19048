/** Money moves between the accounts of a group: every snapshot of a group, of any instance, adds up. */
import { named, type Anomaly } from './anomaly.ts';
import type { Bank, Transaction } from './history.ts';

export function bankAnomalies(banks: readonly Bank[], transactions: readonly Transaction[]): Anomaly[] {
  const bankOf = new Map(banks.map((bank) => [bank.name, bank]));
  const anomalies: Anomaly[] = [];
  for (const transaction of transactions) {
    if (transaction.outcome !== 'ok') continue;
    for (const operation of transaction.operations) {
      if (operation.kind !== 'balances') continue;
      const { bank: name, group, balances } = operation;
      const bank = bankOf.get(name);
      if (bank === undefined) throw new RangeError(`no history to check: there is no bank '${name}'`);
      const total = balances.reduce((sum, balance) => sum + balance, 0);
      if (balances.length === bank.accounts && total === bank.total) continue;
      anomalies.push({
        kind: 'unbalanced',
        says:
          `${named(transaction)} saw ${balances.length} accounts with ${total} in group ${group} of ${name}, which has ${bank.accounts} ` +
          `with ${bank.total}: ${balances.join(' ')}`,
      });
    }
  }
  return anomalies;
}
