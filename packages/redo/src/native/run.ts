import type { RedoPages, RedoRunner, RedoSteps } from '@kube-aurora/redo-engine';
import { pageIdOf } from '../page-space.ts';
import { pageRedo } from './addon.ts';

/** A page's key as native/apply.h has it: five u32. */
const KEY_NUMBERS = 5;
/** No fork of PostgreSQL: a page whose key is none of its own is changed by no record. */
const NO_FORK = 0xffff_ffff;

/** A run of records in C: what it leaves is `redo`'s. */
export function runnerOf(steps: RedoSteps, pages: RedoPages): RedoRunner {
  const addon = pageRedo();
  const keys = new Uint32Array(pages.keys.length * KEY_NUMBERS);
  pages.keys.forEach((key, index) => {
    const page = pageIdOf(key);
    keys.set(
      page === undefined ? [0, 0, 0, NO_FORK, 0] : [page.spcOid, page.dbOid, page.relNumber, page.fork, page.block],
      index * KEY_NUMBERS,
    );
  });
  return {
    apply: (log, position, first, end) =>
      addon.run(
        steps.positions,
        steps.lengths,
        steps.lsns,
        steps.pages,
        keys,
        pages.from,
        pages.applied,
        pages.bytes,
        log,
        position,
        first,
        end,
      ),
  };
}
