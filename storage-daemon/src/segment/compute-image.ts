import type { Clock } from '@kube-aurora/clock';
import { decodeRecord, PAGE_BYTES, type Lsn } from '@kube-aurora/pg-format';
import {
  applyEffects,
  decodeVolumeState,
  encodePageKey,
  encodeVolumeState,
  SLRU_FORK,
  SLRU_KINDS,
  SLRU_NAMES,
  type PageId,
} from '@kube-aurora/redo';
import { AuroraRpcError, type ComputeImageChunk, type PageImage } from '@kube-aurora/rpc';
import type { SegmentStorage } from './segment-storage.ts';

/** Everything but relation pages as of exactly one LSN, which the caller has waited for. */

const STATE_CHUNK_BYTES = 512 * 1024;
const PAGES_PER_CHUNK = 32;
const REPLAY_STRIDE = 512;
const EMPTY = Buffer.alloc(0);

export async function* computeImage(storage: SegmentStorage, lsn: bigint, clock: Clock): AsyncGenerator<ComputeImageChunk> {
  const { encoded, pages } = await stateAt(storage, lsn, clock);
  for (let at = 0; at < encoded.length; at += STATE_CHUNK_BYTES) {
    const end = Math.min(encoded.length, at + STATE_CHUNK_BYTES);
    yield { volumeState: encoded.subarray(at, end), stateComplete: end === encoded.length, slruPages: [] };
  }
  for (let at = 0; at < pages.length; at += PAGES_PER_CHUNK) {
    const slruPages: PageImage[] = [];
    for (const id of pages.slice(at, at + PAGES_PER_CHUNK)) {
      const { page } = await storage.reader.pageAt(id, Number(lsn));
      slruPages.push({ key: encodePageKey(id), page: page ?? Buffer.alloc(PAGE_BYTES) });
    }
    yield { volumeState: EMPTY, stateComplete: true, slruPages };
  }
}

interface StateAt {
  readonly encoded: Buffer;
  readonly pages: PageId[];
}

async function stateAt(storage: SegmentStorage, lsn: bigint, clock: Clock): Promise<StateAt> {
  const { applier, checkpointer, store, table, log } = storage;
  const target = Number(lsn);
  if (applier.appliedLsn <= target) return describe(applier.state);
  // The live state has gone past: the stored one is brought forward from the checkpoint instead.
  for (let attempt = 0; attempt < 3; attempt++) {
    const { checkpoint } = checkpointer;
    if (lsn < checkpoint.lsn) throw new AuroraRpcError('TOO_OLD', `the segment keeps states from ${checkpoint.lsn} on, not ${lsn}`);
    const bytes = await store.state();
    if (checkpointer.checkpoint !== checkpoint || bytes === undefined) continue;
    const state = decodeVolumeState(bytes);
    const end = table.lowerBound(target);
    let moved = false;
    for (let seq = table.lowerBound(Number(checkpoint.lsn)); seq < end; seq++) {
      if (seq % REPLAY_STRIDE === 0) {
        await clock.turn();
        moved = checkpointer.checkpoint !== checkpoint;
        if (moved) break;
      }
      const at = BigInt(table.lsn(seq)) as Lsn;
      applyEffects(state, decodeRecord(log.reader.record(table.position(seq), table.recordBytes(seq), at), at));
    }
    if (!moved) return describe(state);
  }
  throw new AuroraRpcError('BEHIND', 'the segment is making a checkpoint; ask again');
}

function describe(state: Parameters<typeof encodeVolumeState>[0]): StateAt {
  const pages: PageId[] = [];
  for (const slru of SLRU_NAMES) {
    for (const block of state.slrus[slru].pages()) pages.push({ spcOid: 0, dbOid: SLRU_KINDS[slru], relNumber: 0, fork: SLRU_FORK, block });
  }
  return { encoded: encodeVolumeState(state), pages };
}
