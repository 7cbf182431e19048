import type { RelFork } from '@kube-aurora/pg-format';

/** Forks a relation can have: main, free-space map, visibility map, init. */
const FORKS = 4;

export interface ForkSize extends RelFork {
  /** Blocks of 8 KiB. */
  readonly blocks: number;
}

type Forks = [number, number, number, number];

/** Numbers in a packed fork: tablespace, database, relation, fork, blocks. */
export const PACKED_FORK = 5;

/**
 * Relations and the sizes of their forks. A fork is as long as the highest block that the log ever touched, plus one,
 * less truncations: extension by zeros is not logged. Looked up for each block of each record, hence nested maps of
 * numbers and a memory of the last relation asked for.
 */
export class RelationTable {
  readonly #spaces = new Map<number, Map<number, Map<number, Forks>>>();
  /** What is not in the maps yet: nobody may ever ask, and a volume can have a hundred thousand relations. */
  #unread: Uint32Array | undefined;
  #lastSpc = -1;
  #lastDb = -1;
  #lastRel = -1;
  #lastForks: Forks = [-1, -1, -1, -1];

  /** The table that {@link packed} gave. */
  static fromPacked(packed: Uint32Array): RelationTable {
    const table = new RelationTable();
    table.#unread = packed;
    return table;
  }

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
    this.#read();
    const blocks = this.#spaces.get(fork.spcOid)?.get(fork.dbOid)?.get(fork.relNumber)?.[fork.fork];
    return blocks === undefined || blocks < 0 ? undefined : blocks;
  }

  drop(spcOid: number, dbOid: number, relNumber: number): void {
    this.#read();
    this.#spaces.get(spcOid)?.get(dbOid)?.delete(relNumber);
    this.#forget();
  }

  /** Drops everything in one database's directory of one tablespace. */
  dropDatabase(spcOid: number, dbOid: number): void {
    this.#read();
    this.#spaces.get(spcOid)?.delete(dbOid);
    this.#forget();
  }

  copyDatabase(from: { spcOid: number; dbOid: number }, to: { spcOid: number; dbOid: number }): void {
    this.#read();
    for (const [relNumber, forks] of this.#spaces.get(from.spcOid)?.get(from.dbOid) ?? []) {
      for (let fork = 0; fork < FORKS; fork++) {
        const blocks = forks[fork] ?? -1;
        if (blocks >= 0) this.setBlocks({ ...to, relNumber, fork }, blocks);
      }
    }
  }

  /** Every fork, ordered by tablespace, database, relation, fork. */
  *forks(): Generator<ForkSize> {
    const packed = this.packed();
    for (let at = 0; at < packed.length; at += PACKED_FORK) {
      const [spcOid = 0, dbOid = 0, relNumber = 0, fork = 0, blocks = 0] = packed.subarray(at, at + PACKED_FORK);
      yield { spcOid, dbOid, relNumber, fork, blocks };
    }
  }

  /** The same as {@link PACKED_FORK} numbers for each fork. Not to be changed. */
  packed(): Uint32Array {
    if (this.#unread !== undefined) return this.#unread;
    let relations = 0;
    for (const databases of this.#spaces.values()) for (const each of databases.values()) relations += each.size;
    const packed = new Uint32Array(relations * FORKS * PACKED_FORK);
    let at = 0;
    for (const spcOid of ascending(this.#spaces)) {
      const databases = this.#spaces.get(spcOid) ?? new Map<number, Map<number, Forks>>();
      for (const dbOid of ascending(databases)) {
        const each = databases.get(dbOid) ?? new Map<number, Forks>();
        for (const relNumber of ascending(each)) {
          const forks = each.get(relNumber);
          for (let fork = 0; fork < FORKS; fork++) {
            const blocks = forks?.[fork] ?? -1;
            if (blocks < 0) continue;
            packed[at++] = spcOid;
            packed[at++] = dbOid;
            packed[at++] = relNumber;
            packed[at++] = fork;
            packed[at++] = blocks;
          }
        }
      }
    }
    return packed.subarray(0, at);
  }

  /** Brings what came packed into the maps. */
  #read(): void {
    const packed = this.#unread;
    if (packed === undefined) return;
    this.#unread = undefined;
    for (let at = 0; at < packed.length; at += PACKED_FORK) {
      const forks = this.#forksOf(packed[at] ?? 0, packed[at + 1] ?? 0, packed[at + 2] ?? 0);
      forks[packed[at + 3] ?? 0] = packed[at + 4] ?? 0;
    }
  }

  #forksOf(spcOid: number, dbOid: number, relNumber: number): Forks {
    if (relNumber === this.#lastRel && dbOid === this.#lastDb && spcOid === this.#lastSpc) return this.#lastForks;
    this.#read();
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

/** The keys of a map, in a form that sorts fast. */
function ascending(map: ReadonlyMap<number, unknown>): Uint32Array {
  return Uint32Array.from(map.keys()).sort();
}
