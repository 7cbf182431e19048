/**
 * What clients of a cluster did and what they were told, as lines of JSON: first what there was to begin with, then one line a transaction,
 * in the order of their ends. A history that has an anomaly can be checked again from its file.
 */

export type Operation =
  /** Puts a value, which is appended once in a whole history, at the end of a list. */
  | { readonly kind: 'append'; readonly key: number; readonly value: number }
  | { readonly kind: 'read'; readonly key: number; readonly items: readonly number[] }
  /** All accounts of one group of a bank, in the order of their ids. */
  | { readonly kind: 'balances'; readonly bank: string; readonly group: number; readonly balances: readonly number[] }
  | { readonly kind: 'move'; readonly bank: string; readonly group: number; readonly amount: number }
  /** Asks the database for an id that nobody else has. `tag` is the asker's own; `id` is undefined until it was told. */
  | { readonly kind: 'take'; readonly tag: number; readonly id: number | undefined }
  /** Every id that was taken, with the tags of those who took them. */
  | { readonly kind: 'taken'; readonly ids: readonly (readonly [id: number, tag: number])[] }
  /** What amcheck found wrong in a table, or between it and its indexes; of a large one in a part of it. */
  | { readonly kind: 'checked'; readonly table: string; readonly wrong: readonly string[] };

/**
 * - serializable: on the writer, SERIALIZABLE. Strictly serializable together with all others of its kind.
 * - current: a REPEATABLE READ, READ ONLY snapshot on an instance that was the writer before the snapshot was taken.
 * - past: the same on an instance that was a reader then.
 * - committed: READ COMMITTED on the writer; it is there as a whole, or not.
 */
export type Mode = 'serializable' | 'current' | 'past' | 'committed';

/** failed: surely not done. unknown: the connection broke, or the answer was none, when COMMIT was under way. */
export type Outcome = 'ok' | 'failed' | 'unknown';

export interface Transaction {
  readonly number: number;
  readonly client: string;
  /** Of the instance, where the client knows it. */
  readonly instance?: string;
  /** One connection. */
  readonly session: number;
  readonly mode: Mode;
  /** Before its first statement was sent, and after its last answer had come; ms of one clock that all clients share. */
  readonly beganMs: number;
  readonly endedMs: number;
  readonly outcome: Outcome;
  readonly operations: readonly Operation[];
  readonly error?: string;
}

export interface Bank {
  readonly name: string;
  /** Of a group: money moves within groups alone. */
  readonly accounts: number;
  readonly total: number;
}

export interface Beginning {
  readonly seed: number;
  readonly banks: readonly Bank[];
}

export interface FaultNote {
  readonly fault: string;
  readonly atMs: number;
}

export interface History {
  readonly beginning: Beginning;
  readonly faults: readonly FaultNote[];
  readonly transactions: readonly Transaction[];
}

export function historyText({ beginning, faults, transactions }: History): string {
  return `${[beginning, ...faults, ...transactions].map((line) => JSON.stringify(line)).join('\n')}\n`;
}

/** Of what `historyText` gave. Throws SyntaxError when it is no JSON. */
export function parseHistory(text: string): History {
  const [beginning, ...lines] = text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Beginning | FaultNote | Transaction);
  if (beginning === undefined || !('banks' in beginning))
    throw new SyntaxError('the first line of a history says what there was: seed and banks');
  const faults: FaultNote[] = [];
  const transactions: Transaction[] = [];
  for (const line of lines) {
    if ('operations' in line) transactions.push(line);
    else if ('fault' in line) faults.push(line);
  }
  return { beginning, faults, transactions };
}
