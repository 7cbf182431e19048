import type { Clock } from '@kube-aurora/clock';
import { formatLsn } from '@kube-aurora/pg-format/lsn';
import type { EngineState, PageKey, RedoEngine } from '@kube-aurora/redo-engine';
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
  /** The pages that a compute is given with it. */
  readonly imagePages: readonly PageKey[];
}

export interface StateSources {
  readonly engine: RedoEngine;
  readonly applier: Applier;
  readonly checkpointer: Checkpointer;
  readonly store: PageStore;
  readonly table: RecordTable;
  readonly log: RedoLog;
  readonly clock: Clock;
}

/**
 * Throws AuroraRpcError: TOO_OLD below the checkpoint, BEHIND when checkpoints come faster than the state can be worked
 * out.
 */
export async function stateAt(from: StateSources, lsn: bigint): Promise<StateAt> {
  const { engine, applier, checkpointer, store } = from;
  if (applier.appliedLsn <= lsn) return describe(applier.state);
  // The live state has gone past: the stored one is brought forward from the checkpoint instead.
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const { checkpoint } = checkpointer;
    const keptFrom = checkpoint.lsn;
    if (lsn < keptFrom) {
      throw new AuroraRpcError('TOO_OLD', `the segment keeps states from ${formatLsn(checkpoint.lsn)} on, not ${formatLsn(lsn)}`);
    }
    const bytes = await store.state();
    if (checkpointer.checkpoint !== checkpoint || bytes === undefined) continue;
    const state = engine.decodeState(bytes);
    if (await replay(from, state, keptFrom, lsn, () => checkpointer.checkpoint === checkpoint)) return describe(state);
  }
  throw new AuroraRpcError('BEHIND', 'the segment is making a checkpoint; ask again');
}

/** Its pages are indexed already. */
const NO_TOUCH = (): void => {};

/**
 * Brings the state forward from one LSN to another; gives false when it could not, as the checkpoint moved meanwhile.
 */
async function replay(
  { table, log, clock }: StateSources,
  state: EngineState,
  from: bigint,
  to: bigint,
  isSame: () => boolean,
): Promise<boolean> {
  const end = table.lowerBound(to);
  for (let seq = table.lowerBound(from); seq < end; seq++) {
    if (seq % REPLAY_STRIDE === 0) {
      await clock.turn();
      if (!isSame()) return false;
    }
    const at = table.lsn(seq);
    const raw = log.reader.record(table.position(seq), table.recordBytes(seq), at);
    state.take(raw, 0, raw.length, Number(at), NO_TOUCH);
  }
  return true;
}

function describe(state: EngineState): StateAt {
  return { encoded: state.encode(), imagePages: state.imagePages() };
}
