import { chown, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildRecord } from './build-record.ts';
import { buildCheckpointRecord, type CheckPoint } from './checkpoint.ts';
import { lsn, type Lsn } from './lsn.ts';
import { DB_STATE, decodePgControl, encodePgControl, type PgControl } from './pg-control.ts';
import { OPCODE, RMGR } from './rmgr.ts';
import { WAL_SEGMENT_BYTES } from './wal-layout.ts';
import { emptyWalPage, WalPageWriter } from './wal-page-writer.ts';
import { recordEndLsn, recordStart, segmentStart, walSegmentFileName } from './wal-position.ts';

/**
 * A stock PostgreSQL starts, without replay, on a pg_control and a WAL segment that this package wrote. This is how the
 * compute node opens a volume; its data directory is a stopped one here.
 */
const TIMELINE = 1;
let postgres: TestPostgres;
beforeEach(async () => {
  postgres = await startPostgres({ initdb: ['--no-data-checksums'] });
  const client = await postgres.connect();
  await client.query('create table kept as select generate_series(1, 1000) id');
  await client.end();
  await postgres.stop();
});
afterEach(() => postgres.remove());

interface EndOfLog {
  readonly control: PgControl;
  readonly checkpoint: CheckPoint;
  /** The last real record, and where it ends. */
  readonly lastRecord: Lsn;
  readonly endLsn: Lsn;
}

async function endOfLog(): Promise<EndOfLog> {
  const control = decodePgControl(await readFile(path.join(postgres.dataDir, 'global/pg_control')));
  return {
    control,
    checkpoint: control.checkPointCopy,
    lastRecord: control.checkPoint,
    endLsn: recordEndLsn(control.checkPoint, 114, false),
  };
}

/** Replaces everything in pg_wal by the segments that hold the writer's pages. */
async function replaceWal(writer: WalPageWriter, systemIdentifier: bigint): Promise<void> {
  const directory = path.join(postgres.dataDir, 'pg_wal');
  for (const name of await readdir(directory)) await rm(path.join(directory, name), { recursive: true });
  const segments = new Map<Lsn, Buffer>();
  for (const { lsn: position, bytes } of writer.pages()) {
    const start = segmentStart(position);
    const segment = segments.get(start) ?? emptySegment(start, systemIdentifier);
    segments.set(start, segment);
    bytes.copy(segment, Number(position - start));
  }
  for (const [start, bytes] of segments) await put(path.join(directory, walSegmentFileName(TIMELINE, start)), bytes);
  for (const name of ['archive_status', 'summaries']) {
    await mkdir(path.join(directory, name));
    await own(path.join(directory, name));
  }
  await own(directory);
}

function emptySegment(start: Lsn, systemIdentifier: bigint): Buffer {
  const segment = Buffer.alloc(WAL_SEGMENT_BYTES);
  emptyWalPage({ systemIdentifier, timeline: TIMELINE, pageLsn: start }).copy(segment);
  return segment;
}

async function put(file: string, bytes: Buffer): Promise<void> {
  await writeFile(file, bytes, { mode: 0o600 });
  await own(file);
}

async function own(file: string): Promise<void> {
  const { uid, gid } = postgres.user;
  if (uid !== undefined && gid !== undefined) await chown(file, uid, gid);
}

async function expectStartWithoutReplay(): Promise<void> {
  const before = (await postgres.log()).length;
  await postgres.restart();
  const client = await postgres.connect();
  expect((await client.query('select count(*)::int as rows from kept')).rows).toEqual([{ rows: 1000 }]);
  await client.query('insert into kept values (1001)');
  await client.end();
  const log = (await postgres.log()).slice(before);
  expect(log).toMatch(/database system is ready/);
  expect(log).not.toMatch(/redo|recovery|not properly shut down/i);
  // The log it wrote on to is whole: it starts again, by itself.
  await postgres.restart();
}

test('at the end of the log, after abort records', async () => {
  const { control, checkpoint, lastRecord, endLsn } = await endOfLog();
  const { systemIdentifier } = control;
  const writer = new WalPageWriter({ systemIdentifier, timeline: TIMELINE, startLsn: endLsn });
  // As for a transaction that died with the writer: time, xinfo with the lock flag.
  const mainData = Buffer.alloc(12);
  mainData.writeUInt32LE(0x40, 8);
  const xid = Number(checkpoint.nextXid);
  const abort = writer.append(buildRecord({ rmid: RMGR.XACT, info: OPCODE.XACT.ABORT | 0x80, xid, prev: lastRecord, mainData }));
  const redo = recordStart(abort.endLsn);
  const ours = { ...checkpoint, redo, nextXid: checkpoint.nextXid + 1n };
  expect(writer.append(buildCheckpointRecord({ checkpoint: ours, shutdown: true, prev: abort.lsn })).lsn).toBe(redo);
  await replaceWal(writer, systemIdentifier);

  const started = { ...control, state: DB_STATE.SHUTDOWNED, checkPoint: redo, checkPointCopy: ours };
  await put(path.join(postgres.dataDir, 'global/pg_control'), encodePgControl(started));
  await expectStartWithoutReplay();
});

test('in a fresh segment', async () => {
  const { control, checkpoint, lastRecord, endLsn } = await endOfLog();
  const startLsn = lsn(segmentStart(endLsn) + 5n * BigInt(WAL_SEGMENT_BYTES));
  const writer = new WalPageWriter({ systemIdentifier: control.systemIdentifier, timeline: TIMELINE, startLsn });
  const redo = recordStart(startLsn);
  const ours = { ...checkpoint, redo };
  writer.append(buildCheckpointRecord({ checkpoint: ours, shutdown: true, prev: lastRecord }));
  await replaceWal(writer, control.systemIdentifier);
  await put(path.join(postgres.dataDir, 'global/pg_control'), encodePgControl({ ...control, checkPoint: redo, checkPointCopy: ours }));
  await expectStartWithoutReplay();
});
