/** Ids that the database gives: no two alike, and whoever was given one is found with it in the end. */
import { named, type Anomaly } from './anomaly.ts';
import type { Transaction } from './history.ts';

export function uniqueIdAnomalies(transactions: readonly Transaction[]): Anomaly[] {
  const anomalies: Anomaly[] = [];
  const givenTo = new Map<number, Transaction>();
  const takers = new Map<number, Transaction>();
  for (const transaction of transactions)
    for (const operation of transaction.operations) {
      if (operation.kind !== 'take') continue;
      takers.set(operation.tag, transaction);
      if (transaction.outcome !== 'ok' || operation.id === undefined) continue;
      const other = givenTo.get(operation.id);
      if (other !== undefined)
        anomalies.push({ kind: 'duplicate', says: `${named(other)} and ${named(transaction)} were both given the id ${operation.id}` });
      givenTo.set(operation.id, transaction);
    }
  for (const transaction of transactions)
    for (const operation of transaction.operations)
      if (operation.kind === 'taken' && transaction.outcome === 'ok')
        anomalies.push(...wrongIn(operation.ids, transaction, takers, givenTo));
  return anomalies;
}

function wrongIn(
  ids: readonly (readonly [id: number, tag: number])[],
  reader: Transaction,
  takers: ReadonlyMap<number, Transaction>,
  givenTo: ReadonlyMap<number, Transaction>,
): Anomaly[] {
  const anomalies: Anomaly[] = [];
  const present = new Set<number>();
  for (const [id, tag] of ids) {
    const taker = takers.get(tag);
    if (present.has(id)) anomalies.push({ kind: 'duplicate', says: `the id ${id} is there twice for ${named(reader)}` });
    if (taker === undefined) anomalies.push({ kind: 'unsent', says: `the id ${id} is there with the tag ${tag}, which nobody sent` });
    else if (taker.outcome === 'failed')
      anomalies.push({ kind: 'aborted', says: `the id ${id} is there for ${named(reader)}, and ${named(taker)}, which took it, failed` });
    present.add(id);
  }
  if (reader.mode === 'past') return anomalies;
  for (const [id, taker] of givenTo)
    if (taker.endedMs < reader.beganMs && !present.has(id))
      anomalies.push({ kind: 'lost', says: `the id ${id}, which ${named(taker)} was given, is not there for ${named(reader)}` });
  return anomalies;
}
