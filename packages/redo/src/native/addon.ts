import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { takeCrc32c, type Crc32cOf } from '@kube-aurora/pg-format/crc32c';

/** Redo in C (../../native), as TypeScript sees it: what it does stands in native/apply.h and native/run.h. */
export interface Addon {
  /**
   * Applies a record to the page with the key given, as PageId has it. False: it is not one of those that are redone here. Throws an Error
   * that says why where record and page do not fit. The page is as it was unless true is returned.
   */
  apply(raw: Buffer, lsn: bigint, page: Buffer, spcOid: number, dbOid: number, relNumber: number, fork: number, block: number): boolean;
  run(
    positions: Float64Array,
    lengths: Uint32Array,
    lsns: BigUint64Array,
    stepPages: Uint32Array,
    keys: Uint32Array,
    from: BigUint64Array,
    applied: Uint32Array,
    bytes: readonly (Buffer | undefined)[],
    log: Buffer,
    position: number,
    first: number,
    end: number,
  ): number;
  /** Walks over records of a batch (native/walk.h), and gives how many were taken: walk.ts says what `found` has of them. */
  walk(
    batch: Buffer,
    at: number,
    end: number,
    position: number,
    limit: number,
    known: Uint8Array,
    lsns: BigUint64Array,
    positions: Float64Array,
    lengths: Uint32Array,
    place: number,
    places: number,
    found: Uint32Array,
  ): number;
  /** As crc32cRange in packages/pg-format. */
  readonly crc32c: Crc32cOf;
  /** Offsets and constants that native/layout.h has, by name. */
  readonly layouts: Readonly<Record<string, number>>;
}

let loaded: Addon | undefined;

/**
 * Loads the addon, which is ready made at `library`, or compiled when its sources changed, and takes checksums with it from then on. Programs that redo pages do so at their start; where
 * nobody has, the first record does. Throws where it is no addon, or for another Node, and where there is neither it nor a compiler.
 */
export function loadPageRedo(library: string | undefined): Addon {
  const path = library ?? compile();
  const addon: unknown = createRequire(import.meta.url)(path);
  if (typeof addon !== 'object' || addon === null || !('apply' in addon)) throw new TypeError(`${path} is no addon of redo`);
  loaded = addon as Addon;
  takeCrc32c(loaded.crc32c);
  return loaded;
}

export function pageRedo(): Addon {
  return loaded ?? loadPageRedo(undefined);
}

function compile(): string {
  const build: unknown = createRequire(import.meta.url)(fileURLToPath(new URL('../../native/build.mjs', import.meta.url)));
  if (typeof build !== 'object' || build === null || !('buildPageRedo' in build) || typeof build.buildPageRedo !== 'function')
    throw new TypeError('native/build.mjs does not export buildPageRedo');
  return String(build.buildPageRedo());
}
