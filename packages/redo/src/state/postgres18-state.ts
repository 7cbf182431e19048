import { decodeRecord, isSwitchRecord, type Lsn, RecordWalk, recordEndOffset, RMGR, WAL_SEGMENT_BYTES } from '@kube-aurora/pg-format';
import type { EngineState, PageEffect, PageKey, RecordPlaces, RecordsOf, TouchMany, TouchPage } from '@kube-aurora/redo-engine';
import { databaseSpaces, relationSpaces, spaceOf } from '../page-space.ts';
import { slruSpace, SLRU_MAX_PAGE } from '../slru/layout.ts';
import { touchedPages, walkTouched } from '../touched-pages.ts';
import { RecordsWalk } from '../native/walk.ts';
import { applyEffects, applyWalk, KNOWN } from './apply-effects.ts';
import { encodeVolumeState } from './codec.ts';
import { type Effect, SLRU_NAMES, type VolumeState } from './volume-state.ts';

const BLOCKS_MAX = 2 ** 32;
const NO_EFFECTS: readonly PageEffect[] = [];
/** Filled anew for each record; taking one in is synchronous. */
const WALK = new RecordWalk();
/** Likewise, made for the first volume: it is redo in C's. */
let walkOfMany: RecordsWalk | undefined;

/**
 * The volume's state as storage brings it forward: a record at a time, where it stands. Nearly all records change pages alone: those are walked
 * over, and cost no object; the others are decoded.
 */
export class Postgres18State implements EngineState {
  readonly #state: VolumeState;
  /** Start and end of the last record that changes pages, where the state's own LSNs do not have it yet: they get it when they are asked for. -1: they do. */
  #last = -1;
  #end = -1;

  constructor(state: VolumeState) {
    this.#state = state;
  }

  take(bytes: Buffer, at: number, length: number, lsn: number, touch: TouchPage): readonly PageEffect[] {
    const walk = WALK.read(bytes, at, length, lsn);
    if (walk.blocks === 0 || walk.rmid === RMGR.HASH) return this.#takeDecoded(bytes.subarray(at, at + length), lsn, touch);
    walkTouched(walk, touch);
    applyWalk(this.#state, walk);
    this.#took(lsn, length, isSwitchRecord(walk.rmid, walk.info));
    return NO_EFFECTS;
  }

  takeMany(of: RecordsOf, places: RecordPlaces, touch: TouchMany): number {
    const walk = (walkOfMany ??= new RecordsWalk(KNOWN));
    const count = walk.take(of, places);
    if (count === 0) return 0;
    const { relations, transactions } = this.#state;
    transactions.observe(walk.xid);
    walk.tellForks((spcOid, dbOid, relNumber, fork, block) => relations.touch(spcOid, dbOid, relNumber, fork, block));
    const last = places.first + count - 1;
    // A switch of WAL segments has no block.
    this.#took(Number(places.lsns[last]), places.lengths[last] ?? 0, false);
    walk.tellPages(touch);
    return count;
  }

  /** The last record that changes pages begins at `lsn`. */
  #took(lsn: number, length: number, isSwitch: boolean): void {
    const offset = lsn % WAL_SEGMENT_BYTES;
    this.#last = lsn;
    this.#end = lsn - offset + recordEndOffset(offset, length, isSwitch);
  }

  /** Records whose content matters to the state, or to which pages they change. */
  #takeDecoded(raw: Buffer, lsn: number, touch: TouchPage): readonly PageEffect[] {
    this.#settle();
    const record = decodeRecord(raw, BigInt(lsn) as Lsn);
    for (const { space, block, replaces } of touchedPages(record, this.#state.control.trackCommitTimestamp)) touch(space, block, replaces);
    const effects = applyEffects(this.#state, record);
    return effects.length === 0 ? NO_EFFECTS : effects.flatMap(pageEffects);
  }

  #settle(): void {
    if (this.#last < 0) return;
    this.#state.lastRecordLsn = BigInt(this.#last) as Lsn;
    this.#state.endLsn = BigInt(this.#end) as Lsn;
    this.#state.maxPageLsn = this.#state.endLsn;
    this.#last = -1;
  }

  get endLsn(): bigint {
    this.#settle();
    return this.#state.endLsn;
  }

  encode(): Buffer {
    this.#settle();
    return encodeVolumeState(this.#state);
  }

  imagePages(): PageKey[] {
    return SLRU_NAMES.flatMap((slru) => {
      const space = slruSpace(slru);
      return Array.from(this.#state.slrus[slru].pages(), (block) => ({ space, block }));
    });
  }
}

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
