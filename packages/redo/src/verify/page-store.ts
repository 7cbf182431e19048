import type { PageId } from '../page-key.ts';
import { SLRU_FORK, SLRU_KINDS } from '../page-key.ts';
import { SLRU_MAX_PAGE } from '../slru/layout.ts';
import type { Effect } from '../state/volume-state.ts';

/** Pages of a whole volume in memory, at one LSN: what a verifier replays onto. Too plain for anything else. */
export class PageStore {
  /** By tablespace/database/relation/fork; each fork by block. */
  readonly #forks = new Map<string, { readonly id: Omit<PageId, 'block'>; readonly pages: Map<number, Buffer> }>();

  get(id: PageId): Buffer | undefined {
    return this.#forks.get(forkKey(id))?.pages.get(id.block);
  }

  put(id: PageId, page: Buffer): void {
    const key = forkKey(id);
    let fork = this.#forks.get(key);
    if (fork === undefined) {
      const { spcOid, dbOid, relNumber } = id;
      this.#forks.set(key, (fork = { id: { spcOid, dbOid, relNumber, fork: id.fork }, pages: new Map() }));
    }
    fork.pages.set(id.block, page);
  }

  *pages(): Generator<{ id: PageId; page: Buffer }> {
    for (const { id, pages } of this.#forks.values()) {
      for (const [block, page] of pages) yield { id: { ...id, block }, page };
    }
  }

  apply(effect: Effect): void {
    switch (effect.kind) {
      case 'drop':
        for (let fork = 0; fork < 4; fork++) this.#forks.delete(forkKey({ ...effect.relation, fork }));
        return;
      case 'drop-database':
        for (const [key, { id }] of this.#forks) {
          if (id.spcOid === effect.spcOid && id.dbOid === effect.dbOid && id.fork !== SLRU_FORK) this.#forks.delete(key);
        }
        return;
      case 'truncate': {
        const pages = this.#forks.get(forkKey(effect.fork))?.pages;
        for (const block of pages?.keys() ?? []) if (block >= effect.blocks) pages?.delete(block);
        return;
      }
      case 'copy-database': {
        const { from, to } = effect;
        for (const { id, page } of this.pages()) {
          if (id.spcOid === from.spcOid && id.dbOid === from.dbOid) this.put({ ...id, ...to }, Buffer.from(page));
        }
        return;
      }
      case 'slru-truncate': {
        const id = { spcOid: 0, dbOid: SLRU_KINDS[effect.slru], relNumber: 0, fork: SLRU_FORK };
        const pages = this.#forks.get(forkKey(id))?.pages;
        const size = SLRU_MAX_PAGE[effect.slru] + 1;
        for (let page = effect.fromPage; page !== effect.beforePage % size; page = (page + 1) % size) pages?.delete(page);
        return;
      }
    }
  }
}

function forkKey(id: Omit<PageId, 'block'>): string {
  return `${id.spcOid}/${id.dbOid}/${id.relNumber}/${id.fork}`;
}
