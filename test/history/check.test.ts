import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AnomalyKind } from './anomaly.ts';
import { anomaliesOf } from './check.ts';
import { BANK, correctHistory } from './fixture-correct-history.ts';
import { historyText, parseHistory, type History, type Mode, type Operation, type Outcome, type Transaction } from './history.ts';

const append = (key: number, value: number): Operation => ({ kind: 'append', key, value });
const read = (key: number, ...items: number[]): Operation => ({ kind: 'read', key, items });

interface Given {
  readonly at: readonly [beganMs: number, endedMs: number];
  readonly mode?: Mode;
  readonly outcome?: Outcome;
  readonly session?: number;
  readonly does: readonly Operation[];
}

function historyOf(given: readonly Given[]): History {
  const transactions = given.map(({ at: [beganMs, endedMs], mode = 'serializable', outcome = 'ok', session = 1, does }, number) => {
    return { number, client: 'c', session, mode, beganMs, endedMs, outcome, operations: does } satisfies Transaction;
  });
  return { beginning: { seed: 1, banks: [BANK] }, faults: [], transactions };
}

const kindsIn = (history: History): AnomalyKind[] => [...new Set(anomaliesOf(history).map(({ kind }) => kind))].toSorted();

const CASES: readonly (readonly [name: string, kinds: readonly AnomalyKind[], given: readonly Given[]])[] = [
  [
    'one after the other',
    [],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [read(1, 1), append(1, 2), read(1, 1, 2)] },
    ],
  ],
  [
    'both orders of two at once',
    [],
    [
      { at: [0, 9], does: [append(1, 1)] },
      { at: [0, 9], does: [read(1)] },
    ],
  ],
  [
    'an append that is not there',
    ['lost'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [read(1)] },
    ],
  ],
  [
    'an unknown one that is not there',
    [],
    [
      { at: [0, 1], outcome: 'unknown', does: [append(1, 1)] },
      { at: [2, 3], does: [read(1)] },
    ],
  ],
  [
    'an unknown one that is there later',
    [],
    [
      { at: [0, 1], outcome: 'unknown', does: [append(1, 1)] },
      { at: [2, 3], does: [read(1)] },
      { at: [4, 5], does: [read(1, 1)] },
    ],
  ],
  [
    'a failed one that is there',
    ['aborted'],
    [
      { at: [0, 1], outcome: 'failed', does: [append(1, 1)] },
      { at: [2, 3], does: [read(1, 1)] },
    ],
  ],
  ['a value of nobody', ['unsent'], [{ at: [2, 3], does: [read(1, 7)] }]],
  [
    'a value twice',
    ['duplicate'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [read(1, 1, 1)] },
    ],
  ],
  [
    'the first of two appends of one transaction',
    ['G-single', 'intermediate'],
    [
      { at: [0, 9], does: [append(1, 1), append(1, 2)] },
      { at: [1, 2], does: [read(1, 1)] },
      { at: [10, 11], does: [read(1, 1, 2)] },
    ],
  ],
  [
    'half of a transaction of unknown outcome',
    ['torn'],
    [
      { at: [0, 9], outcome: 'unknown', does: [append(1, 1), append(2, 2)] },
      { at: [1, 2], does: [read(1, 1)] },
      { at: [3, 4], does: [read(2)] },
    ],
  ],
  ['its own append unseen', ['own-write-unseen'], [{ at: [0, 1], does: [append(1, 1), read(1)] }]],
  [
    'another value at the second look',
    ['unrepeatable'],
    [
      { at: [0, 9], does: [read(1), read(1, 1)] },
      { at: [1, 2], does: [append(1, 1)] },
      { at: [10, 11], does: [read(1, 1)] },
    ],
  ],
  [
    'lists that part',
    ['divergent'],
    [
      { at: [0, 1], outcome: 'unknown', does: [append(1, 1)] },
      { at: [0, 1], outcome: 'unknown', does: [append(1, 2)] },
      { at: [2, 3], mode: 'past', session: 2, does: [read(1, 1)] },
      { at: [4, 5], does: [read(1, 2)] },
    ],
  ],
  [
    'two that append to two lists in opposite orders',
    ['G0'],
    [
      { at: [0, 9], does: [append(1, 1), append(2, 2)] },
      { at: [0, 9], does: [append(1, 3), append(2, 4)] },
      { at: [10, 11], does: [read(1, 1, 3)] },
      { at: [10, 11], does: [read(2, 4, 2)] },
    ],
  ],
  [
    'two that see each other',
    ['G1c'],
    [
      { at: [0, 9], does: [append(1, 1), read(2, 2)] },
      { at: [0, 9], does: [append(2, 2), read(1, 1)] },
    ],
  ],
  [
    'half of another one seen',
    ['G-single'],
    [
      { at: [0, 9], does: [append(1, 1), append(2, 2)] },
      { at: [0, 9], does: [read(1, 1), read(2)] },
      { at: [10, 11], does: [read(2, 2)] },
    ],
  ],
  [
    'write skew',
    ['G2'],
    [
      { at: [0, 9], does: [read(1), append(2, 2)] },
      { at: [0, 9], does: [read(2), append(1, 1)] },
      { at: [10, 11], does: [read(1, 1), read(2, 2)] },
    ],
  ],
  [
    'a serializable read of the past',
    ['G-single-realtime'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [read(1)] },
      { at: [4, 5], does: [read(1, 1)] },
    ],
  ],
  [
    'an append before one that had ended',
    ['G0-realtime'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [append(1, 2)] },
      { at: [4, 5], does: [read(1, 2, 1)] },
    ],
  ],
  [
    'a snapshot on the writer that is old',
    ['stale'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], mode: 'current', does: [read(1)] },
      { at: [4, 5], does: [read(1, 1)] },
    ],
  ],
  [
    'a snapshot on a reader that is old',
    [],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], mode: 'past', does: [read(1)] },
      { at: [4, 5], does: [read(1, 1)] },
    ],
  ],
  [
    'a reader that shows what was not sent yet',
    ['G1c-realtime'],
    [
      { at: [0, 1], mode: 'past', does: [read(1, 1)] },
      { at: [2, 3], does: [append(1, 1)] },
    ],
  ],
  [
    'a reader that goes back in a session',
    ['backwards'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], mode: 'past', session: 2, does: [read(1, 1)] },
      { at: [4, 5], mode: 'past', session: 2, does: [read(1)] },
    ],
  ],
  [
    'another session of the reader’s that is behind',
    [],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], mode: 'past', session: 2, does: [read(1, 1)] },
      { at: [4, 5], mode: 'past', session: 3, does: [read(1)] },
    ],
  ],
  [
    'a reader that shows the second of two and not the first',
    ['never-was'],
    [
      { at: [0, 1], does: [append(1, 1)] },
      { at: [2, 3], does: [append(2, 2)] },
      { at: [4, 5], mode: 'past', does: [read(1), read(2, 2)] },
      { at: [6, 7], does: [read(1, 1)] },
    ],
  ],
  [
    'two readers that show two commits in opposite orders',
    ['never-was'],
    [
      { at: [0, 9], does: [append(1, 1)] },
      { at: [0, 9], does: [append(2, 2)] },
      { at: [10, 11], mode: 'past', session: 2, does: [read(1, 1), read(2)] },
      { at: [10, 11], mode: 'past', session: 3, does: [read(1), read(2, 2)] },
      { at: [12, 13], does: [read(1, 1), read(2, 2)] },
    ],
  ],
  [
    'a transfer half seen',
    ['unbalanced'],
    [{ at: [0, 1], mode: 'past', does: [{ kind: 'balances', bank: 'bank', group: 0, balances: [90, 100, 100, 100] }] }],
  ],
  [
    'an account that is not there',
    ['unbalanced'],
    [{ at: [0, 1], mode: 'current', does: [{ kind: 'balances', bank: 'bank', group: 0, balances: [200, 100, 100] }] }],
  ],
  [
    'an id that two were given',
    ['duplicate'],
    [
      { at: [0, 1], mode: 'committed', does: [{ kind: 'take', tag: 1, id: 5 }] },
      { at: [0, 1], mode: 'committed', does: [{ kind: 'take', tag: 2, id: 5 }] },
    ],
  ],
  [
    'an id that was given and is not there',
    ['lost'],
    [
      { at: [0, 1], mode: 'committed', does: [{ kind: 'take', tag: 1, id: 5 }] },
      { at: [2, 3], does: [{ kind: 'taken', ids: [] }] },
    ],
  ],
  [
    'an id of one who failed',
    ['aborted'],
    [
      { at: [0, 1], mode: 'committed', outcome: 'failed', does: [{ kind: 'take', tag: 1, id: undefined }] },
      { at: [2, 3], does: [{ kind: 'taken', ids: [[5, 1]] }] },
    ],
  ],
  [
    'a table that amcheck finds whole, and one that it does not',
    ['damaged'],
    [
      { at: [0, 1], mode: 'past', does: [{ kind: 'checked', table: 'bank', wrong: [] }] },
      { at: [2, 3], mode: 'past', does: [{ kind: 'checked', table: 'bank', wrong: ['heap tuple (7,1) lacks matching index tuple'] }] },
    ],
  ],
];

describe('a history checker', () => {
  it.each(CASES)('%s: %j', (_name, kinds, given) => {
    expect(kindsIn(historyOf(given))).toEqual(kinds.toSorted());
  });

  const histories = fc.gen().map((gen) => correctHistory((below) => gen(fc.nat, { max: below - 1 }), 120));

  it('finds nothing wrong with what a correct database did, also when it is read back from a file', () => {
    fc.assert(
      fc.property(histories, (history) => {
        expect(anomaliesOf(history)).toEqual([]);
        expect(parseHistory(historyText(history))).toEqual(JSON.parse(JSON.stringify(history)));
      }),
      { numRuns: 60 },
    );
  });

  /** Each spoils one transaction of a correct history; undefined where it has none that it could spoil. */
  const MUTATIONS: Readonly<Record<string, (transactions: readonly Transaction[]) => Transaction[] | undefined>> = {
    'a lost append': (all) => {
      const victim = all.find(({ outcome, operations }) => outcome === 'ok' && operations.some(({ kind }) => kind === 'append'));
      const gone = victim?.operations.find((operation) => operation.kind === 'append')?.value;
      return gone === undefined ? undefined : mapReads(all, (items) => items.filter((value) => value !== gone));
    },
    'a stale read at the writer': (all) => olderRead(all, ({ mode, client }) => mode === 'current' && client === 'current'),
    'a stale read at the end': (all) => olderRead(all, ({ client }) => client === 'last'),
    'a reader’s snapshot of which one list is older': (all) => tornSnapshot(all),
    'a session on a reader that goes back': (all) => {
      const longer = all.find((one) => one.mode === 'past' && sizeOf(one) > 0);
      const before =
        longer === undefined
          ? undefined
          : all.find((one) => one.mode === 'past' && one.session === longer.session && sizeOf(one) < sizeOf(longer));
      if (longer === undefined || before === undefined) return undefined;
      const last = all.filter(({ session }) => session === longer.session).at(-1);
      return all.map((one) => (one === last ? { ...one, operations: before.operations } : one));
    },
    'a transfer half seen': (all) => {
      const victim = all.find(({ mode }) => mode === 'past');
      if (victim === undefined) return undefined;
      const operations = victim.operations.map((operation) =>
        operation.kind === 'balances'
          ? { ...operation, balances: operation.balances.map((balance, id) => (id === 0 ? balance - 1 : balance)) }
          : operation,
      );
      return all.map((one) => (one === victim ? { ...one, operations } : one));
    },
  };

  it.each(Object.entries(MUTATIONS))('finds %s', (_name, mutate) => {
    let spoiled = 0;
    fc.assert(
      fc.property(histories, (history) => {
        const transactions = mutate(history.transactions);
        if (transactions === undefined) return;
        spoiled++;
        expect(anomaliesOf({ ...history, transactions })).not.toEqual([]);
      }),
      { numRuns: 60 },
    );
    expect(spoiled).toBeGreaterThan(5);
  });

  it('refuses what is no history', () => {
    expect(() => parseHistory('{"number":1}\n')).toThrow('the first line of a history');
    expect(() => anomaliesOf(historyOf([{ at: [0, 1], does: [append(1, 1), append(2, 1)] }]))).toThrow('1 is appended twice');
  });
});

function mapReads(all: readonly Transaction[], change: (items: readonly number[]) => number[]): Transaction[] {
  return all.map((one) => ({
    ...one,
    operations: one.operations.map((operation) =>
      operation.kind === 'read' ? { ...operation, items: change(operation.items) } : operation,
    ),
  }));
}

const sizeOf = ({ operations }: Transaction): number =>
  operations.reduce((sum, operation) => sum + (operation.kind === 'read' ? operation.items.length : 0), 0);

/** The last acknowledged append before such a transaction is taken out of what it, alone, read. */
function olderRead(all: readonly Transaction[], isVictim: (one: Transaction) => boolean): Transaction[] | undefined {
  for (const victim of all.filter(isVictim))
    for (const [index, operation] of victim.operations.entries()) {
      if (operation.kind !== 'read') continue;
      const last = operation.items.at(-1);
      const writer = all.find(({ operations }) => operations.some((one) => one.kind === 'append' && one.value === last));
      if (last === undefined || writer?.outcome !== 'ok' || writer.endedMs >= victim.beganMs) continue;
      const own = writer.operations.filter((one) => one.kind === 'append').map(({ value }) => value);
      const items = operation.items.filter((value) => !own.includes(value));
      const operations = victim.operations.with(index, { ...operation, items });
      return all.map((one) => (one === victim ? { ...one, operations } : one));
    }
  return undefined;
}

/** In a reader's snapshot with both lists of one transaction, one list is as it was before it. */
function tornSnapshot(all: readonly Transaction[]): Transaction[] | undefined {
  for (const victim of all.filter(({ mode }) => mode === 'past'))
    for (const [index, operation] of victim.operations.entries()) {
      if (operation.kind !== 'read') continue;
      const last = operation.items.at(-1);
      const writer = all.find(({ operations }) => operations.some((one) => one.kind === 'append' && one.value === last));
      const own = writer?.operations.filter((one) => one.kind === 'append') ?? [];
      if (!own.some(({ key }) => key !== operation.key)) continue;
      const values = own.map(({ value }) => value);
      const operations = victim.operations.with(index, { ...operation, items: operation.items.filter((value) => !values.includes(value)) });
      return all.map((one) => (one === victim ? { ...one, operations } : one));
    }
  return undefined;
}
