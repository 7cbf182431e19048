/** What the clients of a history work on, and what they may ask for: decided by seeded numbers alone. */
import type { Bank, Operation } from '../history/history.ts';
import type { SeededRandom } from './random.ts';

const OPENING_BALANCE = 100;
export const GROUP_ACCOUNTS = 8;

export interface BankTable extends Bank {
  readonly groups: number;
  /** Bytes beside each balance. */
  readonly filler: number;
}

/** Few rows that everybody changes. */
const BANK: BankTable = { name: 'bank', groups: 2, accounts: GROUP_ACCOUNTS, total: GROUP_ACCOUNTS * OPENING_BALANCE, filler: 0 };

/** A group's accounts lie on as many pages, far from one another; all together are more than a compute's cache of 64 MiB. */
const VAULT: BankTable = { name: 'vault', groups: 1300, accounts: GROUP_ACCOUNTS, total: GROUP_ACCOUNTS * OPENING_BALANCE, filler: 500 };

export function banksOf(hasVault: boolean): readonly BankTable[] {
  return hasVault ? [BANK, VAULT] : [BANK];
}

/** What amcheck looks at: each table with its primary key. */
export const checkedTables = (banks: readonly BankTable[]): string[] => ['list', 'taken', ...banks.map(({ name }) => name)];

/** So that whoever owns the tables may have them checked. */
export const amcheckSql = (user: string): string[] => [
  'CREATE EXTENSION IF NOT EXISTS amcheck',
  `GRANT EXECUTE ON FUNCTION bt_index_check(regclass, boolean), verify_heapam(regclass, boolean, boolean, text, bigint, bigint) TO "${user}"`,
];

/** One row takes a tenth of a page at most, and pages are filled to a tenth: a page each where the rows are wide. */
export function schemaSql(banks: readonly BankTable[]): string[] {
  return [
    'DROP TABLE IF EXISTS list, taken, bank, vault',
    'DROP SEQUENCE IF EXISTS ids',
    'CREATE TABLE list (key int PRIMARY KEY, items int[] NOT NULL)',
    'CREATE SEQUENCE ids',
    'CREATE TABLE taken (id bigint NOT NULL, tag int PRIMARY KEY)',
    ...banks.flatMap(({ name, groups, accounts, filler }) => [
      `CREATE TABLE ${name} (id int PRIMARY KEY, grp int NOT NULL, balance int NOT NULL, filler text NOT NULL) WITH (fillfactor = 10)`,
      `INSERT INTO ${name} SELECT n, n % ${groups}, ${OPENING_BALANCE}, repeat('x', ${filler}) FROM generate_series(0, ${groups * accounts - 1}) n`,
    ]),
  ];
}

/** Ids of a group's accounts, in order. */
export function accountsOf({ groups, accounts }: BankTable, group: number): number[] {
  return Array.from({ length: accounts }, (_unused, index) => group + index * groups);
}

const LISTS = 6;
/** A list that has got so many is left for a new one, so that histories stay short to read. */
const APPENDS_MAX = 40;

/** The lists that are in use, and values that are used once. */
export class Lists {
  readonly #keys = Array.from({ length: LISTS }, (_unused, key) => key);
  readonly #appended = new Map<number, number>();
  #values = 0;

  keys(random: SeededRandom, count: number): number[] {
    const keys = new Set(Array.from({ length: count }, () => random.pick(this.#keys)));
    return [...keys].toSorted((a, b) => a - b);
  }

  append(key: number): Extract<Operation, { kind: 'append' }> {
    const count = (this.#appended.get(key) ?? 0) + 1;
    this.#appended.set(key, count);
    const at = this.#keys.indexOf(key);
    if (count >= APPENDS_MAX && at >= 0) this.#keys[at] = Math.max(...this.#keys) + 1;
    return { kind: 'append', key, value: ++this.#values };
  }
}
