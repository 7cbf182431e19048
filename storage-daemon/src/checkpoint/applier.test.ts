import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '@kube-aurora/clock';
import { buildRecord, INVALID_LSN, OPCODE, RMGR } from '@kube-aurora/pg-format';
import { pageKeyOf, postgres18, SLRU_FORK, SLRU_KINDS } from '@kube-aurora/redo';
import { decodeRedoBatchHeader, REDO_BATCH_HEADER_BYTES } from '@kube-aurora/volume';
import { expect, it } from 'vitest';
import type { RedoLog } from '../redo-log/redo-log.ts';
import { RecordTable } from '../pages/record-table.ts';
import { RedoIndex } from '../pages/redo-index.ts';
import { Tombstones } from '../pages/tombstones.ts';
import { batchAfter, syntheticRecord, syntheticState, type ChainEnd } from '../testing/synthetic-records.ts';
import { Applier } from './applier.ts';
import { WorkPace } from './work-pace.ts';

function parameters(commitTimestamps: boolean): Buffer {
  const mainData = Buffer.alloc(26);
  mainData[25] = commitTimestamps ? 1 : 0;
  return buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.PARAMETER_CHANGE, xid: 0, prev: INVALID_LSN, mainData });
}

const commit = (xid: number): Buffer =>
  buildRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.COMMIT, xid, prev: INVALID_LSN, mainData: Buffer.alloc(8) });
/** The page of pg_commit_ts of the first few hundred transactions. */
const COMMIT_TS = pageKeyOf({ spcOid: 0, dbOid: SLRU_KINDS.pg_commit_ts, relNumber: 0, fork: SLRU_FORK, block: 0 });

/** An applier, and a log that has what is added. */
function applierRig() {
  const { encoded, baseLsn } = syntheticState(0x150_0028n);
  const batches: { position: number; batch: Buffer }[] = [];
  const stored = new Set<number>();
  const index = new RedoIndex();
  const batch = (position: number): Buffer => batches.find((one) => one.position === position)?.batch ?? Buffer.alloc(0);
  const nothing = (): void => {};
  const applier = new Applier(
    {
      log: {
        reader: { batch, recentBatch: (position: number) => (stored.has(position) ? undefined : batch(position)) },
      } as unknown as RedoLog,
      table: new RecordTable(),
      index,
      tombstones: new Tombstones(),
      clock: systemClock(),
      pace: new WorkPace(() => 1),
      chainMax: 1000,
      onProgress: nothing,
      onLongChain: nothing,
      onFailure: nothing,
    },
    postgres18.decodeState(encoded),
    baseLsn,
  );
  let end: ChainEnd = { lsn: baseLsn, epoch: 1n };
  let position = 0;
  return {
    applier,
    index,
    end: () => end,
    /** `isStored`: it is to be read back. */
    add: (raws: readonly Buffer[], isStored = false): void => {
      const next = batchAfter(end, 1n, raws);
      batches.push({ position, batch: next.batch });
      const header = decodeRedoBatchHeader(next.batch);
      if (isStored) stored.add(position);
      if (isStored) applier.addStored(header, position);
      else applier.add(header, position);
      position += next.batch.length + REDO_BATCH_HEADER_BYTES;
      ({ end } = next);
    },
    annul: (to: ChainEnd): void => {
      applier.annul(to.lsn);
      end = to;
    },
  };
}

it('indexes nothing past VDL, so that what is annulled has set nothing', async () => {
  const { applier, index, add, annul, end } = applierRig();
  const refs = (): number => index.refsOf(COMMIT_TS)?.length ?? 0;
  add([commit(700)]);
  add([parameters(true), syntheticRecord(40)], true);
  const on = end();
  add([parameters(false)]);
  add([commit(701)], true);
  annul(on);
  add([commit(702)], true);
  const second = end();
  add([commit(703)]);
  await delay(50);
  expect(index.pages).toBe(0);
  applier.noteVdl(second.lsn);
  await expect.poll(() => applier.appliedLsn).toBe(second.lsn);
  // While timestamps were off nothing was written of them.
  expect(refs()).toBe(1);
  expect(applier.hasApplied(second.lsn)).toBe(true);
  expect(applier.hasApplied(end().lsn)).toBe(false);
  applier.stop();
});

it('counts as not applied what is durable, and nothing once that is done', async () => {
  const { applier, add, end } = applierRig();
  const start = applier.appliedLsn;
  add([syntheticRecord(4000)]);
  const first = end();
  add([syntheticRecord(4000)]);
  expect(applier.unappliedBytes).toBe(0);
  applier.noteVdl(first.lsn);
  expect(applier.unappliedBytes).toBe(Number(first.lsn - start));
  await expect.poll(() => applier.appliedLsn).toBe(first.lsn);
  expect(applier.unappliedBytes).toBe(0);
  applier.stop();
});
