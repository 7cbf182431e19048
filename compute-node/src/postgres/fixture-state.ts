/** Test fixture: the state of an empty volume with one database, without a PostgreSQL to make it. */
import { CHECKPOINT, CHECKPOINT_BYTES, DB_STATE, decodeStruct, lsn, PG_CONTROL } from '@kube-aurora/pg-format';
import { CONTROL_FILE } from '../engine.ts';
import { addDatabase, emptyVolumeState, type VolumeState } from '@kube-aurora/redo';

/** First record of a segment's third page. */
const CHECKPOINT_LSN = lsn(0x300_4018n);
const CONTROL_BYTES = 296;

export function fixtureState(): VolumeState {
  const state = emptyVolumeState({
    ...decodeStruct(PG_CONTROL, Buffer.alloc(CONTROL_BYTES)),
    systemIdentifier: 7_000_000_000_000_000_001n,
    pgControlVersion: CONTROL_FILE.controlVersion,
    catalogVersion: CONTROL_FILE.catalogVersion,
    state: DB_STATE.SHUTDOWNED,
    checkPoint: CHECKPOINT_LSN,
    checkPointCopy: {
      ...decodeStruct(CHECKPOINT, Buffer.alloc(CHECKPOINT_BYTES)),
      redo: CHECKPOINT_LSN,
      timeline: 1,
      prevTimeline: 1,
      nextXid: 750n,
    },
    mockAuthenticationNonce: Buffer.alloc(32),
  });
  addDatabase(state, { spcOid: 1663, dbOid: 5 });
  return state;
}
