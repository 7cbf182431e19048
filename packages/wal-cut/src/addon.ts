import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

/** The cutting in C (../native), as TypeScript sees it: what it does stands in native/cut.h. */
export interface Addon {
  /** Gives how many records it cut. `numbers` are by NUMBER, and say the rest; `noted` are places in `run`. */
  cut(log: Buffer, run: Buffer, numbers: Float64Array, noted: Uint32Array, systemIdentifier: BigUint64Array): number;
  /** Offsets and constants that native/layout.h and native/addon.c have, by name. */
  readonly layouts: Readonly<Record<string, number>>;
}

/** Places in `numbers`, as native/addon.c has them. */
export const NUMBER = { START: 0, LSN: 1, PREV: 2, TIMELINE: 3, AT: 4, FULL: 5, USED: 6, COUNT: 7, FIRST: 8, NOTED: 9 } as const;

let loaded: Addon | undefined;

/**
 * Loads the addon, which is ready made at `library`, or compiled when its sources changed. Programs that cut WAL do so at their start; where
 * nobody has, the first WAL does. Throws where it is no addon, or for another Node, and where there is neither it nor a compiler.
 */
export function loadWalCut(library: string | undefined): Addon {
  const path = library ?? compile();
  const addon: unknown = createRequire(import.meta.url)(path);
  if (typeof addon !== 'object' || addon === null || !('cut' in addon)) throw new TypeError(`${path} is no addon that cuts WAL`);
  return (loaded = addon as Addon);
}

export function walCut(): Addon {
  return loaded ?? loadWalCut(undefined);
}

function compile(): string {
  const build: unknown = createRequire(import.meta.url)(fileURLToPath(new URL('../native/build.mjs', import.meta.url)));
  if (typeof build !== 'object' || build === null || !('buildWalCut' in build) || typeof build.buildWalCut !== 'function')
    throw new TypeError('native/build.mjs does not export buildWalCut');
  return String(build.buildWalCut());
}
