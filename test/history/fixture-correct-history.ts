/**
 * A history of a database that is as it should be: transactions happen at one moment between their begin and their end, readers show
 * what there was at a moment that never goes back. Every choice is the caller's.
 */
import type { History, Operation, Outcome, Transaction } from './history.ts';

/** A number in [0, below). */
export type Choose = (below: number) => number;

export const BANK = { name: 'bank', accounts: 4, total: 400 };
const LISTS = 4;
const READERS = 2;

interface State {
  readonly lists: ReadonlyMap<number, readonly number[]>;
  readonly balances: readonly number[];
}

export function correctHistory(choose: Choose, length: number): History {
  const transactions: Transaction[] = [];
  const states: State[] = [{ lists: new Map(), balances: [100, 100, 100, 100] }];
  const shown = Array.from({ length: READERS }, () => 0);
  const ids: [number, number][] = [];
  let values = 0;
  const add = (one: Omit<Transaction, 'number' | 'beganMs' | 'endedMs'>, atMs: number): void => {
    // They overlap: up to three others happen between begin and end.
    transactions.push({ ...one, number: transactions.length, beganMs: atMs - choose(35), endedMs: atMs + choose(35) });
  };
  for (let at = 1; at <= length; at++) {
    const atMs = at * 10;
    const state = states[states.length - 1] ?? { lists: new Map(), balances: [] };
    const outcome = (['ok', 'ok', 'ok', 'ok', 'unknown', 'failed'] as const)[choose(6)] ?? 'ok';
    // Of unknown outcome: done, or not.
    const isDone = outcome === 'ok' || (outcome === 'unknown' && choose(2) === 0);
    const what = choose(8);
    if (what < 3) {
      const lists = new Map(state.lists);
      const operations: Operation[] = [];
      for (let count = 1 + choose(3); count > 0; count--) {
        const key = choose(LISTS);
        if (choose(3) === 0) operations.push({ kind: 'read', key, items: lists.get(key) ?? [] });
        else {
          operations.push({ kind: 'append', key, value: ++values });
          lists.set(key, [...(lists.get(key) ?? []), values]);
        }
      }
      if (isDone) states.push({ ...state, lists });
      add({ client: 'rw', session: 1, mode: 'serializable', outcome, operations }, atMs);
    } else if (what === 3) {
      const [from, to, amount] = [choose(BANK.accounts), choose(BANK.accounts), 1 + choose(9)];
      const balances = state.balances.map((balance, id) => balance + (id === to ? amount : 0) - (id === from ? amount : 0));
      if (isDone) states.push({ ...state, balances });
      add(
        { client: 'rw', session: 1, mode: 'committed', outcome, operations: [{ kind: 'move', bank: BANK.name, group: 0, amount }] },
        atMs,
      );
    } else if (what === 4) {
      if (isDone) ids.push([at, at]);
      add(taking(at, outcome), atMs);
    } else if (what === 5) add({ client: 'current', session: 2, mode: 'current', outcome: 'ok', operations: looksAt(state) }, atMs);
    else {
      const reader = choose(READERS);
      const moment = (shown[reader] ?? 0) + choose(states.length - (shown[reader] ?? 0));
      shown[reader] = moment;
      const past = states[moment] ?? state;
      // One session does one after the other.
      transactions.push({
        number: transactions.length,
        client: `reader-${reader}`,
        session: 10 + reader,
        mode: 'past',
        beganMs: atMs - 1,
        endedMs: atMs + 1,
        outcome: 'ok',
        operations: looksAt(past),
      });
    }
  }
  const last = states[states.length - 1] ?? { lists: new Map(), balances: [] };
  const operations: Operation[] = [...looksAt(last), { kind: 'taken', ids }];
  transactions.push({
    number: transactions.length,
    client: 'last',
    session: 3,
    mode: 'serializable',
    beganMs: length * 10 + 100,
    endedMs: length * 10 + 110,
    outcome: 'ok',
    operations,
  });
  return { beginning: { seed: 0, banks: [BANK] }, faults: [], transactions };
}

function taking(at: number, outcome: Outcome): Omit<Transaction, 'number' | 'beganMs' | 'endedMs'> {
  const operation: Operation = { kind: 'take', tag: at, id: outcome === 'ok' ? at : undefined };
  return { client: 'ids', session: 4, mode: 'committed', outcome, operations: [operation] };
}

function looksAt({ lists, balances }: State): Operation[] {
  return [
    ...Array.from({ length: LISTS }, (_unused, key): Operation => ({ kind: 'read', key, items: lists.get(key) ?? [] })),
    { kind: 'balances', bank: BANK.name, group: 0, balances },
  ];
}
