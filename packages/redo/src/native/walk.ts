import type { RecordPlaces, RecordsOf, TouchMany } from '@kube-aurora/redo-engine';
import { spaceOf } from '../page-space.ts';
import { pageRedo } from './addon.ts';

/** Numbers of a page in what a walk found: tablespace, database, relation, fork, block, and where its references end. */
const PAGE_NUMBERS = 6;
/** And of a fork: as a page, with its highest block. */
const FORK_NUMBERS = 5;

/** Is told of the highest block of a fork that records name. */
export type NameFork = (spcOid: number, dbOid: number, relNumber: number, fork: number, block: number) => void;

/** What the last walk found is there until the next one. */
export class RecordsWalk {
  readonly #known: Uint8Array;
  readonly #layouts = pageRedo().layouts;
  readonly #found: Uint32Array;
  readonly #refs: Uint32Array;

  /** `known`: by resource manager and high nibble of info, 16 for each, which records there are. */
  constructor(known: Uint8Array) {
    this.#known = known;
    const { WALK_NUMBERS = 0, WALK_REFS_AT, WALK_FORKS_AT } = this.#layouts;
    this.#found = new Uint32Array(WALK_NUMBERS);
    this.#refs = this.#found.subarray(WALK_REFS_AT, WALK_FORKS_AT);
  }

  /** Gives how many records were taken. */
  take({ batch, position, at, end, limit }: RecordsOf, { lsns, positions, lengths, first, count }: RecordPlaces): number {
    return pageRedo().walk(batch, at, end, position, limit, this.#known, lsns, positions, lengths, first, count, this.#found);
  }

  /** The latest of the records' transactions; 0 where none has one. */
  get xid(): number {
    return this.#found[2] ?? 0;
  }

  tellPages(touch: TouchMany): void {
    const found = this.#found;
    const { WALK_PAGES_AT = 0 } = this.#layouts;
    const pages = found[0] ?? 0;
    let from = 0;
    for (let page = 0, at = WALK_PAGES_AT; page < pages; page++, at += PAGE_NUMBERS) {
      const to = found[at + 5] ?? 0;
      const space = spaceOf(found[at] ?? 0, found[at + 1] ?? 0, found[at + 2] ?? 0, found[at + 3] ?? 0);
      touch(space, found[at + 4] ?? 0, this.#refs, from, to);
      from = to;
    }
  }

  tellForks(name: NameFork): void {
    const found = this.#found;
    const { WALK_FORKS_AT = 0 } = this.#layouts;
    const forks = found[1] ?? 0;
    for (let fork = 0, at = WALK_FORKS_AT; fork < forks; fork++, at += FORK_NUMBERS)
      name(found[at] ?? 0, found[at + 1] ?? 0, found[at + 2] ?? 0, found[at + 3] ?? 0, found[at + 4] ?? 0);
  }
}
