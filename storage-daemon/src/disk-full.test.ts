import { afterEach, describe, expect, it } from 'vitest';
import { createLogger } from '@kube-aurora/process';
import { systemDisk } from './disk/system-disk.ts';
import { diskError, FaultDisk, type DiskFault, type DiskOperation } from './testing/fault-disk.ts';
import { imageRecord, truncateRecord } from './testing/synthetic-records.ts';
import { SEGMENT, TestCluster, VOLUME, type TestWriter } from './testing/test-cluster.ts';

/** A disk that is full or fails is no damage: what is stored is served, redo waits, and it goes on by itself. */

const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const PAGE = { ...REL, block: 1 };
const MIB = 1024 * 1024;
const PLENTY = 1024 * MIB;

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

/** Its disk fails as told, and says what is free. */
class Patient {
  readonly disk: FaultDisk;
  fails: (operation: DiskOperation) => DiskFault | undefined = () => undefined;

  constructor() {
    this.disk = new FaultDisk(systemDisk(), (operation) => this.fails(operation));
    this.disk.freeBytes = PLENTY;
  }
}

interface Started {
  readonly running: TestCluster;
  readonly patient: Patient;
  readonly writer: TestWriter;
  readonly members: number[];
  readonly errors: string[];
}

/** `size` daemons, of which the first has the disk that the test rules, and a writer with one page written. */
async function started(size: number): Promise<Started> {
  const running = (cluster = await TestCluster.start(size));
  const patient = new Patient();
  const errors: string[] = [];
  await running.stopDaemon(0);
  running.disks.set(0, patient.disk);
  running.logger = createLogger('test', { level: 'error', destination: { write: (line) => void errors.push(line) } });
  await running.startDaemon(0);
  const members = Array.from({ length: size }, (_, i) => i);
  await running.reachable(0);
  const start = await running.import(1n, members);
  const writer = await running.open(2n, 'w/1', start, [{ epoch: 1n, startLsn: start.lsn }], members);
  await writer.append([imageRecord(REL, 1, 11)], members);
  writer.points(members);
  return { running, patient, writer, members, errors };
}

async function answered(writer: TestWriter, i: number, result: string): Promise<void> {
  for (let tries = 0; !writer.stream(i).answers.some((answer) => answer.result === result); tries++) {
    if (tries > 1000) throw new Error(`d${i} never answered ${result}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('a disk that is full', () => {
  it('stops redo while there is a reserve; reads, peers and openers are served; with room it goes on by itself', async () => {
    const { running, patient, writer, members, errors } = await started(4);
    const others = members.slice(1);
    patient.disk.freeBytes = 100 * MIB;
    const full = await running.until(0, (state) => state.fault?.kind === 'DISK_FULL');
    expect([full.phase, full.fault]).toEqual([
      'READY',
      { kind: 'DISK_FULL', freeBytes: BigInt(100 * MIB), neededBytes: BigInt(320 * MIB) },
    ]);
    expect(running.daemon(0).readiness()).toEqual({ ok: false, message: expect.stringContaining('the disk is full') as string });
    const held = writer.end.lsn;
    await writer.append([imageRecord(REL, 1, 12)], members, false);
    await answered(writer, 0, 'UNWRITABLE');
    for (const i of others) await writer.acknowledged(i, writer.end.lsn);
    // What is durable is still heard on that stream, and what is stored is read.
    expect(await running.page(0, PAGE, held, writer.epoch)).toBe(11);
    await running.until(0, (state) => state.appliedLsn === held);
    // A peer that lost its disk has the others to copy from, this one too.
    expect(
      (
        await running
          .client(0)
          .openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 3n, writerId: 'w/2', leaseMs: 0 }, { deadlineMs: 10_000 })
      ).scl,
    ).toBe(held);
    // Peers do not push redo onto it either.
    running.daemon(0).peers.onGap(await running.daemon(0).segment(VOLUME, 0));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect((await running.status(0)).scl).toBe(held);
    patient.disk.freeBytes = PLENTY;
    const after = await running.until(0, (state) => state.fault === undefined && state.scl === writer.end.lsn);
    expect(after.phase).toBe('READY');
    expect(running.daemon(0).readiness()).toEqual({ ok: true, message: 'ready' });
    expect(errors.filter((line) => line.includes('damage'))).toEqual([]);
    writer.close();
  });

  it('makes a checkpoint and drops what it can to make room', async () => {
    const { running, patient, writer } = await started(1);
    for (let i = 0; i < 60; i++) await writer.append([imageRecord(REL, i % 4, i)], [0]);
    writer.points([0]);
    const { pages: storage } = await running.daemon(0).segment(VOLUME, 0);
    if (storage === undefined) throw new Error('no content');
    const before = storage.logBytes;
    expect(before).toBeGreaterThan(256 * 1024);
    patient.disk.freeBytes = 100 * MIB;
    for (let tries = 0; storage.logBytes > before / 2; tries++) {
      if (tries > 1000) throw new Error(`the log has ${storage.logBytes} of ${before} bytes still`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(storage.stats().checkpoints).toBeGreaterThan(0);
    writer.close();
  });
});

describe('a write that fails', () => {
  const isRedo = ({ path }: DiskOperation): boolean => path.endsWith('.redo');

  it('makes nobody forget what is durable, though the disk took no note of it: no history annuls that', async () => {
    const { running, patient, writer, errors } = await started(1);
    const before = writer.end.lsn;
    await running.until(0, (state) => state.vdl === before);
    await writer.append([imageRecord(REL, 1, 12)], [0]);
    let isBroken = true;
    patient.fails = ({ path }) => (isBroken && /durable|redo|probe/.test(path) ? { error: diskError('ENOSPC') } : undefined);
    writer.points([0]);
    const { lsn } = writer.end;
    await running.until(0, (state) => state.vdl === lsn);
    await expect.poll(() => errors.join()).toContain('what is durable cannot be noted');
    await writer.append([imageRecord(REL, 1, 13)], [0], false);
    await running.until(0, (state) => state.fault !== undefined);
    isBroken = false;
    await running.until(0, (state) => state.fault === undefined && state.scl === lsn);
    const history = [...writer.history, { epoch: 3n, startLsn: before }];
    await expect(running.client(0).installHistory({ segment: SEGMENT, epoch: 3n, history }, { deadlineMs: 10_000 })).rejects.toMatchObject({
      code: 'REFUSED',
    });
    expect((await running.status(0)).scl).toBe(lsn);
    writer.close();
  });

  it.each([
    ['ENOSPC', 'DISK_FULL', 'write'],
    ['EDQUOT', 'DISK_FULL', 'write'],
    ['EIO', 'DISK_ERROR', 'sync'],
    ['EROFS', 'DISK_ERROR', 'write'],
    ['EMFILE', 'DISK_ERROR', 'write'],
  ] as const)(
    'with %s in the redo log is %s: nothing acknowledged is lost, and redo is taken again once it can be',
    async (errno, kind, operation) => {
      const { running, patient, writer, errors } = await started(1);
      const held = writer.end;
      let isBroken = true;
      patient.fails = (one) =>
        isBroken && ((one.kind === operation && isRedo(one)) || one.path.endsWith('probe')) ? { error: diskError(errno) } : undefined;
      await writer.append([imageRecord(REL, 1, 12)], [0], false);
      const state = await running.until(0, (one) => one.fault !== undefined);
      expect([state.phase, state.fault?.kind, state.scl]).toEqual(['READY', kind, held.lsn]);
      if (state.fault?.kind === 'DISK_ERROR') expect(state.fault).toEqual({ kind, error: errno, operation: 'write redo log' });
      expect(running.daemon(0).readiness().ok).toBe(false);
      expect(await running.page(0, PAGE, held.lsn, writer.epoch)).toBe(11);
      await writer.append([imageRecord(REL, 1, 13)], [0], false);
      await answered(writer, 0, 'UNWRITABLE');
      isBroken = false;
      const after = await running.until(0, (one) => one.fault === undefined);
      // What was not synced is not there, although a file may show it.
      expect([after.phase, after.scl]).toEqual(['READY', held.lsn]);
      writer.drop(0);
      writer.end = held;
      await writer.append([imageRecord(REL, 1, 14)], [0]);
      writer.points([0]);
      expect(await running.page(0, PAGE, writer.end.lsn, writer.epoch)).toBe(14);
      expect(errors.filter((line) => line.includes('damage'))).toEqual([]);
      writer.close();
    },
  );

  it('in the redo log, and then opening it anew fails once more: what was not synced is still not there', async () => {
    const { running, patient, writer } = await started(1);
    const held = writer.end;
    let isBroken = true;
    let opens = 0;
    patient.fails = (one) => {
      if (isBroken) return (one.kind === 'sync' && isRedo(one)) || one.path.endsWith('probe') ? { error: diskError('EIO') } : undefined;
      return one.kind === 'open store' && opens++ === 0 ? { error: diskError('EMFILE') } : undefined;
    };
    await writer.append([imageRecord(REL, 1, 12)], [0], false);
    await running.until(0, (one) => one.fault !== undefined);
    isBroken = false;
    const after = await running.until(0, (one) => one.fault === undefined);
    expect([opens > 1, after.phase, after.scl]).toEqual([true, 'READY', held.lsn]);
    writer.close();
  });

  it.each([
    ['ENOSPC', 'DISK_FULL'],
    ['EROFS', 'DISK_ERROR'],
  ] as const)('in the page store, where the disk says %s, is %s, and the checkpoint is made once it can be', async (errno, kind) => {
    const { running, patient, writer } = await started(1);
    let isBroken = true;
    patient.fails = (one) => {
      if (!isBroken) return undefined;
      // LevelDB says no more than that.
      if (one.kind === 'batch') return { error: Object.assign(new Error('IO error'), { code: 'LEVEL_IO_ERROR' }) };
      return one.path.endsWith('probe') ? { error: diskError(errno) } : undefined;
    };
    await writer.append([truncateRecord(REL, 1)], [0]);
    writer.points([0]);
    const segment = await running.daemon(0).segment(VOLUME, 0);
    const { pages: storage } = segment;
    for (let tries = 0; (storage?.appliedLsn ?? 0n) < writer.end.lsn; tries++) {
      if (tries > 1000) throw new Error('it was not applied');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    storage?.requestCheckpoint();
    const state = await running.until(0, (one) => one.fault?.kind === kind);
    expect([state.phase, state.scl]).toEqual(['READY', writer.end.lsn]);
    isBroken = false;
    await running.until(0, (one) => one.fault === undefined);
    expect(segment.scl).toBe(writer.end.lsn);
    // The stream of before may have ended with what it was attached to.
    writer.drop(0);
    writer.points([0]);
    await running.until(0, () => {
      segment.pages?.requestCheckpoint();
      return segment.storage?.checkpointLsn === writer.end.lsn;
    });
    writer.close();
  });

  it('at a start leaves the segment closed, not empty and not damaged, until it can be opened', async () => {
    const { running, patient, writer } = await started(1);
    const { lsn } = writer.end;
    writer.close();
    await running.stopDaemon(0);
    let isBroken = true;
    patient.fails = (one) =>
      isBroken && (one.kind === 'open store' || one.path.endsWith('probe')) ? { error: diskError('EMFILE') } : undefined;
    await running.startDaemon(0);
    await running.reachable(0);
    const state = await running.status(0);
    expect([state.phase, state.fault?.kind]).toEqual(['DAMAGED', 'DISK_ERROR']);
    isBroken = false;
    const after = await running.until(0, (one) => one.fault === undefined);
    expect([after.phase, after.scl]).toEqual(['READY', lsn]);
  });
});
