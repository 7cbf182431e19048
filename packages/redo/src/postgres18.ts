import { decodeRecord, PAGE_BYTES, recordCrcIsValid, type Lsn, type WalRecord } from '@kube-aurora/pg-format';
import { RMGRS } from './rmgrs.ts';
import type { EngineState, PageEffect, PageKey, RedoEngine, TouchedPages } from '@kube-aurora/redo-engine';
import type { TouchedPage } from './contract.ts';
import { runnerOf } from './native/run.ts';
import { formatPage, SLRU_FORK, SLRU_KINDS } from './page-key.ts';
import { databaseSpaces, pageIdOf, relationSpaces, spaceOf } from './page-space.ts';
import { redo } from './redo.ts';
import { slruSpace, SLRU_MAX_PAGE } from './slru/layout.ts';
import { applyEffects } from './state/apply-effects.ts';
import { decodeVolumeState, encodeVolumeState } from './state/codec.ts';
import { commitTimestampsAfter } from './state/control-effects.ts';
import { SLRU_NAMES, type Effect, type VolumeState } from './state/volume-state.ts';
import { touchedPages } from './touched-pages.ts';

/** PostgreSQL 18 as storage sees it. Storage gives back only records, states and touched pages that came from here. */

const BLOCKS_MAX = 2 ** 32;
const FORK_MAX = 3;

/**
 * Commit timestamps are kept only while track_commit_timestamp is on, which records change: so it is followed ahead of
 * the state.
 */
class TouchedAhead implements TouchedPages {
  #commitTimestamps: boolean;

  constructor(commitTimestamps: boolean) {
    this.#commitTimestamps = commitTimestamps;
  }

  of(record: WalRecord): readonly TouchedPage[] {
    this.#commitTimestamps = commitTimestampsAfter(record) ?? this.#commitTimestamps;
    return touchedPages(record, this.#commitTimestamps);
  }
}

class Postgres18State implements EngineState {
  readonly #state: VolumeState;

  constructor(state: VolumeState) {
    this.#state = state;
  }

  apply(record: WalRecord): readonly PageEffect[] {
    const effects = applyEffects(this.#state, record);
    return effects.length === 0 ? NO_EFFECTS : effects.flatMap(pageEffects);
  }

  encode(): Buffer {
    return encodeVolumeState(this.#state);
  }

  imagePages(): PageKey[] {
    return SLRU_NAMES.flatMap((slru) => {
      const space = slruSpace(slru);
      return Array.from(this.#state.slrus[slru].pages(), (block) => ({ space, block }));
    });
  }

  touchedPages(): TouchedPages {
    return new TouchedAhead(this.#state.control.trackCommitTimestamp);
  }
}

const NO_EFFECTS: readonly PageEffect[] = [];

/** An effect in terms of spaces and blocks. */
export function pageEffects(effect: Effect): PageEffect[] {
  switch (effect.kind) {
    case 'drop':
      return [{ kind: 'drop-spaces', spaces: relationSpaces(effect.relation) }];
    case 'drop-database':
      return [{ kind: 'drop-spaces', spaces: databaseSpaces(effect) }];
    case 'copy-database':
      return [{ kind: 'copy-spaces', from: databaseSpaces(effect.from), to: databaseSpaces(effect.to) }];
    case 'truncate': {
      const { spcOid, dbOid, relNumber, fork } = effect.fork;
      return [{ kind: 'drop-blocks', space: spaceOf(spcOid, dbOid, relNumber, fork), from: effect.blocks, before: BLOCKS_MAX }];
    }
    case 'slru-truncate': {
      const { slru, fromPage, beforePage } = effect;
      const gone = (from: number, before: number): PageEffect => ({ kind: 'drop-blocks', space: slruSpace(slru), from, before });
      // Page numbers wrap around to 0.
      return fromPage <= beforePage ? [gone(fromPage, beforePage)] : [gone(fromPage, SLRU_MAX_PAGE[slru] + 1), gone(0, beforePage)];
    }
  }
}

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
