import { COPIES } from './copies.ts';
import { EPOCHS } from './epochs.ts';
import { LEASES } from './leases.ts';
import type { Mutation } from './mutation.ts';
import { PAGES } from './pages.ts';
import { READERS } from './readers.ts';
import { REDO_LOG } from './redo-log.ts';

/** Every mutation, each under a name of its own. */
export const MUTATIONS: readonly Mutation[] = [...REDO_LOG, ...EPOCHS, ...PAGES, ...COPIES, ...READERS, ...LEASES];
