import { decodeRecord, PAGE_BYTES, recordCrcIsValid, type Lsn, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from './rmgrs.ts';
import type { RedoEngine } from '@kube-aurora/redo-engine';
import type { TouchedPage } from './contract.ts';
import { runnerOf } from './native/run.ts';
import { formatPage, SLRU_FORK, SLRU_KINDS } from './page-key.ts';
import { pageIdOf } from './page-space.ts';
import { redo } from './redo.ts';
import { decodeVolumeState } from './state/codec.ts';
import { Postgres18State } from './state/postgres18-state.ts';
import { touchedPages } from './touched-pages.ts';

/** PostgreSQL 18 as storage sees it. Storage gives back only records, states and touched pages that came from here. */

const FORK_MAX = 3;

export const postgres18: RedoEngine = {
  id: { engine: 'postgres', major: 18 },
  pageBytes: PAGE_BYTES,
  isRecordSound: recordCrcIsValid,
  decode: (raw, lsn) => decodeRecord(raw, lsn as Lsn),
  touched(record: WalRecord) {
    return touchedPages(record, true);
  },
  redo(page: Buffer | undefined, record: WalRecord, touched: TouchedPage) {
    return redo(page, record, touched);
  },
  runner: runnerOf,
  decodeState: (bytes) => new Postgres18State(decodeVolumeState(bytes)),
  keyProblem(key) {
    const page = pageIdOf(key);
    if (page === undefined) return `its space has ${key.space.length} bytes, PostgreSQL's have 13`;
    const { spcOid, dbOid, relNumber, fork } = page;
    if (fork === SLRU_FORK) {
      const isKnown = spcOid === 0 && relNumber === 0 && Object.values(SLRU_KINDS).some((kind) => kind === dbOid);
      return isKnown ? undefined : `fork ${SLRU_FORK} is of SLRUs, and there is none ${spcOid}/${dbOid}/${relNumber}`;
    }
    return fork <= FORK_MAX ? undefined : `${fork} is not a relation's fork (0 to ${FORK_MAX}) or ${SLRU_FORK}`;
  },
  describeRecord(record: WalRecord) {
    return RMGRS.recordName(record);
  },
  describePage(key) {
    const page = pageIdOf(key);
    return page === undefined ? `space ${Buffer.from(key.space, 'latin1').toString('hex')} block ${key.block}` : formatPage(page);
  },
};
