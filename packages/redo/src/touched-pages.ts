import { OPCODE, type RecordWalk, RMGR, type WalRecord } from '@kube-aurora/pg-format';
import type { TouchPage } from '@kube-aurora/redo-engine';
import { RMGRS } from './rmgrs.ts';
import type { TouchedPage } from './contract.ts';
import { spaceOf } from './page-space.ts';
import { hashChangesBlock } from './rmgr/hash.ts';
import { cutsVisibilityMapPage, truncatedTo } from './rmgr/smgr.ts';
import { VM_FORK, visibilityCleared, visibilityClearedBy, vmPageOf } from './rmgr/visibility-map.ts';
import { addTouchedSlruPages } from './slru/touched.ts';

/** What touchedPages returns for the many records that change no page. Never written to. */
const NONE: TouchedPage[] = [];

/**
 * Every page that a record changes: its registered blocks, visibility-map pages that PostgreSQL clears without
 * registering them (before 18.5, and when it truncates), and SLRU pages.
 *
 * `commitTimestamps` says whether track_commit_timestamp is on at that point of the log (VolumeState knows); while it
 * is off, commits leave pg_commit_ts alone.
 */
export function touchedPages(record: WalRecord, commitTimestamps = false): TouchedPage[] {
  const { rmid, blocks } = record;
  if (blocks.length > 0) return touchedByBlocks(record);
  if (rmid === RMGR.XACT || rmid === RMGR.CLOG || rmid === RMGR.MULTIXACT || rmid === RMGR.COMMIT_TS) {
    const touched: TouchedPage[] = [];
    addTouchedSlruPages(touched, record, commitTimestamps);
    return touched;
  }
  if (rmid === RMGR.SMGR && RMGRS.opcodeOf(rmid, record.info) === OPCODE.SMGR.TRUNCATE && cutsVisibilityMapPage(record)) {
    const { mainData } = record;
    const spcOid = mainData.readUInt32LE(4);
    const dbOid = mainData.readUInt32LE(8);
    const relNumber = mainData.readUInt32LE(12);
    return [
      {
        space: spaceOf(spcOid, dbOid, relNumber, VM_FORK),
        spcOid,
        dbOid,
        relNumber,
        fork: VM_FORK,
        block: vmPageOf(truncatedTo(record)),
        blockIndex: undefined,
        replaces: false,
      },
    ];
  }
  return NONE;
}

function touchedByBlocks(record: WalRecord): TouchedPage[] {
  const { rmid, blocks } = record;
  const touched: TouchedPage[] = [];
  let namesVisibilityMap = false;
  for (let i = 0; i < blocks.length; i++) {
    const block = blocks[i];
    if (block === undefined) continue;
    const restored = block.image?.apply === true;
    // A hint's record names its block even when it carries no image; some hash records name blocks only to lock them.
    if (!restored && rmid === RMGR.XLOG) continue;
    if (!restored && rmid === RMGR.HASH && !hashChangesBlock(record, block.id)) continue;
    if (block.fork === VM_FORK) namesVisibilityMap = true;
    touched.push({
      space: spaceOf(block.spcOid, block.dbOid, block.relNumber, block.fork),
      spcOid: block.spcOid,
      dbOid: block.dbOid,
      relNumber: block.relNumber,
      fork: block.fork,
      block: block.blockNumber,
      blockIndex: i,
      replaces: restored || block.willInit,
    });
  }
  if ((rmid === RMGR.HEAP || rmid === RMGR.HEAP2) && !namesVisibilityMap) addClearedMapPages(touched, record);
  return touched;
}

function addClearedMapPages(touched: TouchedPage[], record: WalRecord): void {
  const { first, second } = visibilityCleared(record);
  if (first >= 0) addMapPage(touched, record, vmPageOf(first));
  if (second >= 0 && (first < 0 || vmPageOf(second) !== vmPageOf(first))) addMapPage(touched, record, vmPageOf(second));
}

function addMapPage(touched: TouchedPage[], record: WalRecord, block: number): void {
  const heap = record.blocks[0];
  if (heap === undefined) return;
  touched.push({
    space: spaceOf(heap.spcOid, heap.dbOid, heap.relNumber, VM_FORK),
    spcOid: heap.spcOid,
    dbOid: heap.dbOid,
    relNumber: heap.relNumber,
    fork: VM_FORK,
    block,
    blockIndex: undefined,
    replaces: false,
  });
}

/**
 * The same of a record with blocks that was only walked over: {@link touchedPages} for those of all resource managers but HASH, of whose blocks
 * some are named to be locked.
 */
export function walkTouched(walk: RecordWalk, touch: TouchPage): void {
  const { rmid, blocks, spcOids, dbOids, relNumbers, blockNumbers } = walk;
  let namesVisibilityMap = false;
  for (let at = 0; at < blocks; at++) {
    const restored = walk.restores(at);
    if (!restored && rmid === RMGR.XLOG) continue;
    const fork = walk.fork(at);
    if (fork === VM_FORK) namesVisibilityMap = true;
    const space = spaceOf(spcOids[at] ?? 0, dbOids[at] ?? 0, relNumbers[at] ?? 0, fork);
    touch(space, blockNumbers[at] ?? 0, restored || walk.willInit(at));
  }
  if ((rmid !== RMGR.HEAP && rmid !== RMGR.HEAP2) || namesVisibilityMap) return;
  const { first, second } = visibilityClearedBy(rmid, walk.info, walk, blockNumbers[0] ?? 0, secondOf(walk));
  if (first < 0 && second < 0) return;
  const space = spaceOf(spcOids[0] ?? 0, dbOids[0] ?? 0, relNumbers[0] ?? 0, VM_FORK);
  if (first >= 0) touch(space, vmPageOf(first), false);
  if (second >= 0 && (first < 0 || vmPageOf(second) !== vmPageOf(first))) touch(space, vmPageOf(second), false);
}

/** The block that is registered as number 1, after the first; -1 for none. */
function secondOf({ blocks, ids, blockNumbers }: RecordWalk): number {
  return blocks > 1 && ids[1] === 1 ? (blockNumbers[1] ?? -1) : -1;
}
