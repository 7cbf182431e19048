/**
 * Transactions append to lists and read them. Beside what single reads tell (list-order.ts), three orders must be free of cycles:
 *
 * 1. Serializable transactions: writes after writes (ww), reads after writes (wr), writes after reads (rw), and real time together. That is
 *    strict serializability.
 * 2. Snapshots on the writer among the writer's commits: ww, wr, real time, and what a snapshot sees and does not see. It has whatever was
 *    acknowledged before it began.
 * 3. Snapshots on readers, all of them, among the same: each is a prefix of one order of commits, and one session's do not go back. Real time counts only
 *    away from them (nothing is shown before it was sent): they may be old.
 *
 * 2 and 3 leave out what serializable transactions did not see: a snapshot is not serializable with them (no server's is, under
 * REPEATABLE READ), and a commit may be in the redo, and so on a reader, a moment before others see it at the writer.
 */
import { named, type Anomaly, type AnomalyKind } from './anomaly.ts';
import { DependencyGraph, type Step } from './dependency-graph.ts';
import type { Mode, Transaction } from './history.ts';
import { listOrders, type ListOrders } from './list-order.ts';

export function listAppendAnomalies(transactions: readonly Transaction[]): Anomaly[] {
  const touching = transactions.filter(({ operations }) => operations.some(({ kind }) => kind === 'append' || kind === 'read'));
  const lists = listOrders(touching);
  return [
    ...lists.anomalies,
    ...cyclesAmong(touching, lists, 'serializable'),
    ...cyclesAmong(touching, lists, 'current'),
    ...cyclesAmong(touching, lists, 'past'),
  ];
}

/** @param shown whose reads are looked at beside the commits of all */
function cyclesAmong(touching: readonly Transaction[], lists: ListOrders, shown: Mode): Anomaly[] {
  const nodes = touching.filter(({ mode, outcome }) => outcome !== 'failed' && (mode === 'serializable' || mode === shown));
  const nodeOf = new Map(nodes.map((transaction, node) => [transaction, node]));
  const graph = new DependencyGraph(nodes.length);
  const writerNode = (value: number | undefined): number | undefined => {
    const writer = value === undefined ? undefined : lists.writers.get(value);
    return writer === undefined ? undefined : nodeOf.get(writer);
  };
  for (const [key, order] of lists.orders)
    for (const [index, value] of order.entries()) {
      const [from, to] = [writerNode(value), writerNode(order[index + 1])];
      if (from !== undefined && to !== undefined) graph.add(from, to, 'ww', key);
    }
  for (const { transaction, key, items } of lists.reads) {
    const node = nodeOf.get(transaction);
    if (node === undefined) continue;
    const seen = writerNode(items.at(-1));
    if (seen !== undefined) graph.add(seen, node, 'wr', key);
    const unseen = writerNode(lists.orders.get(key)?.[items.length]);
    if (unseen !== undefined && transaction.mode === shown) graph.add(node, unseen, 'rw', key);
  }
  graph.addTimes(
    nodes.flatMap(({ outcome, endedMs }, node) => (outcome === 'ok' ? [{ node, atMs: endedMs }] : [])),
    nodes.flatMap(({ mode, beganMs }, node) => (mode === 'past' ? [] : [{ node, atMs: beganMs }])),
  );
  if (shown === 'past') addSessions(graph, nodes);
  return graph.cycles().map((steps) => ({ kind: kindOf(steps, shown), says: steps.map((step) => saidOf(step, nodes)).join('; ') }));
}

function addSessions(graph: DependencyGraph, nodes: readonly Transaction[]): void {
  const last = new Map<number, number>();
  const inOrder = nodes.map((transaction, node) => ({ transaction, node })).filter(({ transaction }) => transaction.mode === 'past');
  for (const { transaction, node } of inOrder.toSorted((a, b) => a.transaction.beganMs - b.transaction.beganMs)) {
    const before = last.get(transaction.session);
    if (before !== undefined) graph.add(before, node, 'session');
    last.set(transaction.session, node);
  }
}

function kindOf(steps: readonly Step[], shown: Mode): AnomalyKind {
  const has = (kind: Step['kind']): number => steps.filter((step) => step.kind === kind).length;
  if (has('session') > 0) return 'backwards';
  const unseen = has('rw');
  if (unseen > 0 && shown === 'past') return 'never-was';
  if (unseen > 0 && shown === 'current') return 'stale';
  const base = unseen > 1 ? 'G2' : unseen === 1 ? 'G-single' : has('wr') > 0 ? 'G1c' : 'G0';
  return has('time') > 0 ? `${base}-realtime` : base;
}

function saidOf({ from, to, kind, key }: Step, nodes: readonly Transaction[]): string {
  const [one, other] = [nodes[from], nodes[to]].map((node) => (node === undefined ? 'nobody' : named(node)));
  switch (kind) {
    case 'ww':
      return `${one} appended to list ${key} before ${other}`;
    case 'wr':
      return `what ${one} appended to list ${key} was seen by ${other}`;
    case 'rw':
      return `${one} read list ${key} without what ${other} appended`;
    case 'time':
      return `${one} had ended when ${other} began`;
    case 'session':
      return `${one} came before ${other} in one session`;
  }
}
