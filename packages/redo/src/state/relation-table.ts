import type { RelFork } from '@kube-aurora/pg-format';

/** Forks a relation can have: main, free-space map, visibility map, init. */
const FORKS = 4;

export interface ForkSize extends RelFork {
  /** Blocks of 8 KiB. */
  readonly blocks: number;
}

type Forks = [number, number, number, number];

/**
 * Relations and the sizes of their forks. A fork is as long as the highest block that the log ever touched, plus one,
 * less truncations: extension by zeros is not logged. Looked up for each block of each record, hence nested maps of
 * numbers and a memory of the last relation asked for.
 */
export class RelationTable {
  readonly #spaces = new Map<number, Map<number, Map<number, Forks>>>();
  #lastSpc = -1;
  #lastDb = -1;
  #lastRel = -1;
  #lastForks: Forks = [-1, -1, -1, -1];

  /** Notes that a block of a fork was written. */
  touch(spcOid: number, dbOid: number, relNumber: number, fork: number, block: number): void {
    const forks = this.#forksOf(spcOid, dbOid, relNumber);
    if (fork < FORKS && (forks[fork] ?? 0) <= block) forks[fork] = block + 1;
  }

  /** Notes that a fork exists, with no blocks unless it has some already. */
  create(spcOid: number, dbOid: number, relNumber: number, fork: number): void {
    const forks = this.#forksOf(spcOid, dbOid, relNumber);
    if (fork < FORKS && (forks[fork] ?? 0) < 0) forks[fork] = 0;
  }

  /** Sets a fork's size exactly. */
  setBlocks(fork: RelFork, blocks: number): void {
    const forks = this.#forksOf(fork.spcOid, fork.dbOid, fork.relNumber);
    if (fork.fork >= 0 && fork.fork < FORKS) forks[fork.fork] = blocks;
  }

  /** Blocks of a fork, or undefined when there is no such fork. */
  blocks(fork: RelFork): number | undefined {
    const blocks = this.#spaces.get(fork.spcOid)?.get(fork.dbOid)?.get(fork.relNumber)?.[fork.fork];
    return blocks === undefined || blocks < 0 ? undefined : blocks;
  }

  drop(spcOid: number, dbOid: number, relNumber: number): void {
    this.#spaces.get(spcOid)?.get(dbOid)?.delete(relNumber);
    this.#forget();
  }

  /** Drops everything in one database's directory of one tablespace. */
  dropDatabase(spcOid: number, dbOid: number): void {
    this.#spaces.get(spcOid)?.delete(dbOid);
    this.#forget();
  }

  copyDatabase(from: { spcOid: number; dbOid: number }, to: { spcOid: number; dbOid: number }): void {
    for (const [relNumber, forks] of this.#spaces.get(from.spcOid)?.get(from.dbOid) ?? []) {
      for (let fork = 0; fork < FORKS; fork++) {
        const blocks = forks[fork] ?? -1;
        if (blocks >= 0) this.setBlocks({ ...to, relNumber, fork }, blocks);
      }
    }
  }

  /** Every fork, ordered by tablespace, database, relation, fork. */
  *forks(): Generator<ForkSize> {
    for (const spcOid of ascending(this.#spaces.keys())) {
      const databases = this.#spaces.get(spcOid);
      for (const dbOid of ascending(databases?.keys() ?? [])) {
        const relations = databases?.get(dbOid);
        for (const relNumber of ascending(relations?.keys() ?? [])) {
          const forks = relations?.get(relNumber);
          for (let fork = 0; fork < FORKS; fork++) {
            const blocks = forks?.[fork] ?? -1;
            if (blocks >= 0) yield { spcOid, dbOid, relNumber, fork, blocks };
          }
        }
      }
    }
  }

  #forksOf(spcOid: number, dbOid: number, relNumber: number): Forks {
    if (relNumber === this.#lastRel && dbOid === this.#lastDb && spcOid === this.#lastSpc) return this.#lastForks;
    let databases = this.#spaces.get(spcOid);
    if (databases === undefined) this.#spaces.set(spcOid, (databases = new Map()));
    let relations = databases.get(dbOid);
    if (relations === undefined) databases.set(dbOid, (relations = new Map()));
    let forks = relations.get(relNumber);
    if (forks === undefined) relations.set(relNumber, (forks = [-1, -1, -1, -1]));
    this.#lastSpc = spcOid;
    this.#lastDb = dbOid;
    this.#lastRel = relNumber;
    this.#lastForks = forks;
    return forks;
  }

  #forget(): void {
    this.#lastRel = -1;
  }
}

function ascending(keys: Iterable<number>): number[] {
  return [...keys].sort((a, b) => a - b);
}
