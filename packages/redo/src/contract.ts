import type { WalRecord } from '@kube-aurora/pg-format';
import type { TouchedPage as EngineTouchedPage } from '@kube-aurora/redo-engine';
import type { PageId } from './page-key.ts';

/**
 * How a record reaches a page: through a registered block, or through an effect that PostgreSQL's redo applies outside
 * registered blocks (visibility-map bits cleared by heap records, SLRU pages).
 */
export type TouchedPage = PageId &
  EngineTouchedPage & {
    /** Index into `record.blocks`, or undefined for an effect outside registered blocks. */
    readonly blockIndex: number | undefined;
    /**
     * True when the result does not depend on what the page held before (WILL_INIT, applied image, zeroed SLRU page).
     */
    readonly replaces: boolean;
  };

/**
 * redo(page, record, touched) → page. `page` is undefined or all zero when it did not exist; it is mutated and
 * returned.
 */
export type Redo = (page: Buffer | undefined, record: WalRecord, touched: TouchedPage) => Buffer;
