import type { Clock } from '@kube-aurora/clock';
import { decodeRecord, formatLsn, type Lsn } from '@kube-aurora/pg-format';
import {
  applyEffects,
  decodeVolumeState,
  encodeVolumeState,
  SLRU_FORK,
  SLRU_KINDS,
  SLRU_NAMES,
  type PageId,
  type VolumeState,
} from '@kube-aurora/redo';
import { AuroraRpcError } from '@kube-aurora/rpc';
import type { Applier } from '../checkpoint/applier.ts';
import type { Checkpointer } from '../checkpoint/checkpointer.ts';
import type { PageStore } from '../pages/page-store.ts';
import type { RecordTable } from '../pages/record-table.ts';
import type { RedoLog } from '../redo-log/redo-log.ts';

/** The volume's state beside pages as of exactly one LSN, up to which redo is applied. */

const REPLAY_STRIDE = 512;
const TRIES = 3;

export interface StateAt {
  readonly encoded: Buffer;
  /** The SLRU pages that there are. */
  readonly slruPages: PageId[];
}

export interface StateSources {
  readonly applier: Applier;
  readonly checkpointer: Checkpointer;
  readonly store: PageStore;
  readonly table: RecordTable;
  readonly log: RedoLog;
  readonly clock: Clock;
}

/** Throws AuroraRpcError: TOO_OLD below the checkpoint, BEHIND when checkpoints come faster than the state can be worked out. */
export async function stateAt(from: StateSources, lsn: number): Promise<StateAt> {
  const { applier, checkpointer, store } = from;
  if (applier.appliedLsn <= lsn) return describe(applier.state);
  // The live state has gone past: the stored one is brought forward from the checkpoint instead.
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const { checkpoint } = checkpointer;
    const keptFrom = Number(checkpoint.lsn);
    if (lsn < keptFrom) {
      throw new AuroraRpcError('TOO_OLD', `the segment keeps states from ${formatLsn(checkpoint.lsn)} on, not ${formatLsn(BigInt(lsn))}`);
    }
    const bytes = await store.state();
    if (checkpointer.checkpoint !== checkpoint || bytes === undefined) continue;
    const state = decodeVolumeState(bytes);
    if (await replay(from, state, keptFrom, lsn, () => checkpointer.checkpoint === checkpoint)) return describe(state);
  }
  throw new AuroraRpcError('BEHIND', 'the segment is making a checkpoint; ask again');
}

/** Brings the state forward from one LSN to another; gives false when it could not, as the checkpoint moved meanwhile. */
async function replay(
  { table, log, clock }: StateSources,
  state: VolumeState,
  from: number,
  to: number,
  isSame: () => boolean,
): Promise<boolean> {
  const end = table.lowerBound(to);
  for (let seq = table.lowerBound(from); seq < end; seq++) {
    if (seq % REPLAY_STRIDE === 0) {
      await clock.turn();
      if (!isSame()) return false;
    }
    const at = BigInt(table.lsn(seq)) as Lsn;
    applyEffects(state, decodeRecord(log.reader.record(table.position(seq), table.recordBytes(seq), at), at));
  }
  return true;
}

function describe(state: VolumeState): StateAt {
  const slruPages: PageId[] = [];
  for (const slru of SLRU_NAMES) {
    for (const block of state.slrus[slru].pages())
      slruPages.push({ spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK, block });
  }
  return { encoded: encodeVolumeState(state), slruPages };
}
