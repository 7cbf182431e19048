import { renameSync, writeFileSync } from 'node:fs';

/** What the plugin does wrong. */
export type KmsFault =
  | 'refuses'
  | 'is unwell'
  | 'is slow'
  | 'lies'
  | 'says too much'
  | 'says too little'
  | 'is garbled'
  | 'names another key';

/** What the test plugin's file says. */
export interface KmsState {
  readonly current: string;
  /** By id: 32 bytes in hex. */
  readonly keys: Readonly<Record<string, string>>;
  readonly fault?: KmsFault;
}

/** Keys by ids, each made of a number. */
export function kmsState(current: string, keys: Readonly<Record<string, number>>, fault?: KmsFault): KmsState {
  return {
    current,
    keys: Object.fromEntries(Object.entries(keys).map(([id, fill]) => [id, Buffer.alloc(32, fill).toString('hex')])),
    ...(fault === undefined ? {} : { fault }),
  };
}

/** Replaced whole: a request sees the one state or the other. */
export function writeKmsState(file: string, state: KmsState): void {
  writeFileSync(`${file}.new`, JSON.stringify(state));
  renameSync(`${file}.new`, file);
}
