import type { Mixture } from '../mix.ts';

/**
 * One line for each rule of the protocol, and how to break it. The random runs must find every one of them: a rule
 * whose break nobody sees is either not needed or not tried. `npm run simulate:mutations` breaks them one at a time.
 */
export interface Mutation {
  readonly name: string;
  /** The rule that is broken. */
  readonly rule: string;
  /** One, unless a rule stands on several lines, each of which is enough. */
  readonly edits: readonly Edit[];
  /** Whose seeds are to find it; `any` unless given. */
  readonly mixture?: Mixture;
}

export interface Edit {
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}
