/**
 * The order of the appends to each list, as reads have it, and what is wrong with single reads. A list tells all of its history,
 * so that of two correct reads one is the beginning of the other, and the longest is the order in which the appends were made.
 */
import { named, type Anomaly } from './anomaly.ts';
import type { Transaction } from './history.ts';

/** What one transaction saw of one list before its own appends. */
export interface ExternalRead {
  readonly transaction: Transaction;
  readonly key: number;
  readonly items: readonly number[];
}

export interface ListOrders {
  /** By key. */
  readonly orders: ReadonlyMap<number, readonly number[]>;
  /** By value: who appended it. */
  readonly writers: ReadonlyMap<number, Transaction>;
  readonly reads: readonly ExternalRead[];
  readonly anomalies: readonly Anomaly[];
}

interface Append {
  readonly transaction: Transaction;
  readonly key: number;
  /** Of those that its transaction made to that list. */
  readonly isLast: boolean;
}

export function listOrders(transactions: readonly Transaction[]): ListOrders {
  const anomalies: Anomaly[] = [];
  const appends = appendsOf(transactions);
  const reads: ExternalRead[] = [];
  const orders = new Map<number, readonly number[]>();
  for (const transaction of transactions) {
    if (transaction.outcome !== 'ok') continue;
    for (const read of readsOf(transaction, anomalies)) reads.push(read);
    for (const operation of transaction.operations)
      if (operation.kind === 'read' && operation.items.length > (orders.get(operation.key)?.length ?? 0))
        orders.set(operation.key, operation.items);
  }
  for (const read of reads) anomalies.push(...wrongWith(read, orders.get(read.key) ?? [], appends));
  anomalies.push(...wrongValues(orders, appends), ...lost(transactions, reads, orders), ...torn(transactions, reads, orders));
  const writers = new Map([...appends].map(([value, { transaction }]) => [value, transaction]));
  return { orders, writers, reads, anomalies };
}

function appendsOf(transactions: readonly Transaction[]): Map<number, Append> {
  const appends = new Map<number, Append>();
  for (const transaction of transactions) {
    const lastOf = new Map<number, number>();
    for (const operation of transaction.operations) if (operation.kind === 'append') lastOf.set(operation.key, operation.value);
    for (const operation of transaction.operations) {
      if (operation.kind !== 'append') continue;
      if (appends.has(operation.value)) throw new RangeError(`no history to check: ${operation.value} is appended twice`);
      appends.set(operation.value, { transaction, key: operation.key, isLast: lastOf.get(operation.key) === operation.value });
    }
  }
  return appends;
}

function readsOf(transaction: Transaction, anomalies: Anomaly[]): ExternalRead[] {
  const own = new Map<number, number[]>();
  const seen = new Map<number, readonly number[]>();
  for (const operation of transaction.operations) {
    if (operation.kind === 'append') own.set(operation.key, [...(own.get(operation.key) ?? []), operation.value]);
    if (operation.kind !== 'read') continue;
    const { key, items } = operation;
    const mine = own.get(key) ?? [];
    const before = items.slice(0, items.length - mine.length);
    if (!isSame(items.slice(before.length), mine)) {
      anomalies.push({
        kind: 'own-write-unseen',
        says: `${named(transaction)} appended ${mine.join(', ')} to list ${key} and then read ${shownItems(items)}`,
      });
      continue;
    }
    const first = seen.get(key);
    if (first === undefined) seen.set(key, before);
    else if (!isSame(first, before))
      anomalies.push({
        kind: 'unrepeatable',
        says: `${named(transaction)} read ${shownItems(first)} and then ${shownItems(before)} in list ${key}, in one snapshot`,
      });
  }
  return [...seen].map(([key, items]) => ({ transaction, key, items }));
}

function wrongWith({ transaction, key, items }: ExternalRead, order: readonly number[], appends: ReadonlyMap<number, Append>): Anomaly[] {
  const at = items.findIndex((value, index) => order[index] !== value);
  if (at >= 0)
    return [
      {
        kind: 'divergent',
        says: `${named(transaction)} read ${shownItems(items)} in list ${key}, of which another read ${shownItems(order)}: they part at place ${at}`,
      },
    ];
  const last = items.at(-1);
  const append = last === undefined ? undefined : appends.get(last);
  if (append === undefined || append.isLast) return [];
  return [
    {
      kind: 'intermediate',
      says: `${named(transaction)} read list ${key} up to ${last}, after which ${named(append.transaction)} appended more to it`,
    },
  ];
}

function wrongValues(orders: ReadonlyMap<number, readonly number[]>, appends: ReadonlyMap<number, Append>): Anomaly[] {
  const anomalies: Anomaly[] = [];
  for (const [key, items] of orders) {
    const seen = new Set<number>();
    for (const value of items) {
      const append = appends.get(value);
      if (seen.has(value)) anomalies.push({ kind: 'duplicate', says: `${value} is twice in list ${key}: ${shownItems(items)}` });
      else if (append?.key !== key) anomalies.push({ kind: 'unsent', says: `${value} is in list ${key}, and nobody appended it there` });
      else if (append.transaction.outcome === 'failed')
        anomalies.push({
          kind: 'aborted',
          says: `${value} is in list ${key}, and ${named(append.transaction)}, which appended it, failed`,
        });
      seen.add(value);
    }
  }
  return anomalies;
}

/** Acknowledged appends to a list that somebody read at the writer later, which no read has. */
function lost(
  transactions: readonly Transaction[],
  reads: readonly ExternalRead[],
  orders: ReadonlyMap<number, readonly number[]>,
): Anomaly[] {
  const lastRead = new Map<number, Transaction>();
  for (const { transaction, key } of reads)
    if (transaction.mode !== 'past' && transaction.beganMs > (lastRead.get(key)?.beganMs ?? -Infinity)) lastRead.set(key, transaction);
  const anomalies: Anomaly[] = [];
  for (const transaction of transactions) {
    if (transaction.outcome !== 'ok') continue;
    for (const operation of transaction.operations) {
      if (operation.kind !== 'append') continue;
      const reader = lastRead.get(operation.key);
      if (reader === undefined || reader.beganMs <= transaction.endedMs || orders.get(operation.key)?.includes(operation.value) === true)
        continue;
      anomalies.push({
        kind: 'lost',
        says: `${operation.value}, which ${named(transaction)} appended to list ${operation.key}, was acknowledged and is not there for ${named(reader)}`,
      });
    }
  }
  return anomalies;
}

/** Transactions of unknown outcome of which a part was seen, and a part was missing for one who looked at the writer after that. */
function torn(
  transactions: readonly Transaction[],
  reads: readonly ExternalRead[],
  orders: ReadonlyMap<number, readonly number[]>,
): Anomaly[] {
  const anomalies: Anomaly[] = [];
  for (const transaction of transactions) {
    if (transaction.outcome !== 'unknown') continue;
    const appended = transaction.operations.filter((operation) => operation.kind === 'append');
    const missing = appended.filter(({ key, value }) => orders.get(key)?.includes(value) !== true);
    if (missing.length === 0 || missing.length === appended.length) continue;
    const seenAtMs = reads
      .filter(({ key, items }) => appended.some((append) => append.key === key && items.includes(append.value)))
      .reduce((first, read) => Math.min(first, read.transaction.endedMs), Infinity);
    const reader = reads.find(
      (read) => read.transaction.mode !== 'past' && read.transaction.beganMs > seenAtMs && missing.some(({ key }) => key === read.key),
    )?.transaction;
    if (reader === undefined) continue;
    const said = missing.map(({ key, value }) => `${value} of list ${key}`).join(', ');
    anomalies.push({
      kind: 'torn',
      says: `of ${named(transaction)}, of unknown outcome, a part had been seen when ${named(reader)} did not see ${said}`,
    });
  }
  return anomalies;
}

function isSame(one: readonly number[], other: readonly number[]): boolean {
  return one.length === other.length && one.every((value, index) => other[index] === value);
}

function shownItems(items: readonly number[]): string {
  return items.length <= 12 ? `[${items.join(' ')}]` : `[${items.slice(0, 4).join(' ')} … ${items.slice(-6).join(' ')}]`;
}
