import { once } from 'node:events';
import { chmod, cp, lchown, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import {
  decodePgControl,
  parseLsn,
  recordEndLsn,
  walSegmentFileName,
  WAL_SEGMENT_BYTES,
  WalStreamDecoder,
  type Lsn,
} from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { runVariedWorkload, startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { encodeRedoBatch, REDO_BATCH_HEADER_BYTES, type BatchRecord } from '@kube-aurora/volume';
import type { Client } from 'pg';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { DurableRedo } from '../../compute-node/src/reader/durable-redo.ts';
import { watchConflicts, type RecoveryConflicts } from '../../compute-node/src/reader/recovery-conflicts.ts';
import { Walsender, type StandbyReply, type WalsenderOptions } from '../../compute-node/src/reader/walsender.ts';

/** A stock PostgreSQL as hot standby of a walsender that is given another's WAL, record by record. */

const TIMELINE = 1;
/** At the end of what it has a standby finds a record of no length: that is nothing. */
const COMPLAINTS = /incorrect|unexpected|invalid(?! record length .* got 0)|PANIC/i;

/** Reads what a PostgreSQL has written of its WAL, as whole records. */
class WalOf {
  readonly #primary: TestPostgres;
  readonly #decoder: WalStreamDecoder;
  #from: Lsn;

  constructor(primary: TestPostgres, startLsn: Lsn) {
    this.#primary = primary;
    this.#decoder = new WalStreamDecoder(startLsn);
    this.#from = startLsn;
  }

  /** Everything up to `to`, in runs of at most so many records. */
  async *upTo(to: Lsn, recordsMax: number): AsyncGenerator<DurableRedo> {
    let records: BatchRecord[] = [];
    while (this.#decoder.position < to) {
      while (this.#decoder.advance()) {
        const { lsn, endLsn, bytes, start, length } = this.#decoder.record;
        records.push({ lsn: BigInt(lsn) as Lsn, endLsn: BigInt(endLsn) as Lsn, raw: Buffer.from(bytes.subarray(start, start + length)) });
        if (records.length >= recordsMax || endLsn >= to) yield this.#run(records);
        if (records.length >= recordsMax || endLsn >= to) records = [];
        if (endLsn >= to) return;
      }
      await this.#read(to);
    }
  }

  #run(records: BatchRecord[]): DurableRedo {
    const startLsn = this.#from;
    const endLsn = records.at(-1)?.endLsn ?? startLsn;
    this.#from = endLsn;
    const batch = encodeRedoBatch({ records, pg: 0, epoch: 1n, backlink: startLsn, previousEpoch: 1n });
    return { startLsn, endLsn, records: batch.subarray(REDO_BATCH_HEADER_BYTES) };
  }

  async #read(to: Lsn): Promise<void> {
    const at = this.#decoder.receivedLsn;
    const inSegment = Number(BigInt(at) % BigInt(WAL_SEGMENT_BYTES));
    const bytes = Buffer.alloc(Math.min(1024 * 1024, WAL_SEGMENT_BYTES - inSegment, Number(to - BigInt(at))));
    const file = await open(path.join(this.#primary.dataDir, 'pg_wal', walSegmentFileName(TIMELINE, BigInt(at) as Lsn)));
    await file.read(bytes, 0, bytes.length, inSegment);
    await file.close();
    this.#decoder.push(bytes);
  }
}

let primary: TestPostgres;
let standby: TestPostgres;
let writer: Client;
let walsender: Walsender;
let wal: WalOf;
let scratch: string;
let options: WalsenderOptions;
const replies: StandbyReply[] = [];
const wants: boolean[] = [];

beforeEach(() => {
  wants.length = 0;
});
beforeAll(async () => {
  const settings = { wal_level: 'replica', max_prepared_transactions: 5, autovacuum: false, wal_keep_size: '2GB' };
  primary = await startPostgres({ initdb: ['--no-data-checksums'], settings });
  const client = await primary.connect();
  await client.query('create table money (id int primary key, amount int); insert into money select g, 100 from generate_series(1, 10) g');
  await client.end();
  await primary.stop();
  scratch = await mkdtemp(path.join(tmpdir(), 'ka-ws-'));
  await chmod(scratch, 0o711);
  const copy = path.join(scratch, 'data');
  await cp(primary.dataDir, copy, { recursive: true, preserveTimestamps: true });
  await own(copy);
  await writeFile(path.join(copy, 'standby.signal'), '');
  const control = decodePgControl(await readFile(path.join(primary.dataDir, 'global/pg_control')));
  const startLsn = recordEndLsn(control.checkPoint, 114, false);
  options = {
    socketPath: path.join(scratch, '.s.PGSQL.6000'),
    owner: primary.user.uid === undefined ? undefined : { uid: primary.user.uid, gid: primary.user.gid ?? 0 },
    systemIdentifier: control.systemIdentifier,
    timeline: TIMELINE,
    startLsn,
    clock: systemClock(),
    logger: silentLogger(),
    onReply: (reply) => void replies.push(reply),
    onWantsMore: (more) => void wants.push(more),
  };
  walsender = new Walsender(options);
  await walsender.listen();
  await primary.restart();
  writer = await primary.connect();
  wal = new WalOf(primary, startLsn);
  standby = await startPostgres({
    dataDir: copy,
    settings: {
      max_prepared_transactions: 5,
      hot_standby: true,
      primary_conninfo: `host=${scratch} port=6000 user=postgres`,
      wal_retrieve_retry_interval: '50ms',
      hot_standby_feedback: true,
      wal_receiver_status_interval: '1s',
      max_standby_streaming_delay: '200ms',
    },
  });
});

afterAll(async () => {
  await writer.end();
  await standby.remove();
  await walsender.close();
  await primary.remove();
  await rm(scratch, { recursive: true, force: true });
});

async function own(directory: string): Promise<void> {
  const { uid, gid } = primary.user;
  if (uid === undefined || gid === undefined) return;
  for (const entry of await readdir(directory, { recursive: true })) await lchown(path.join(directory, entry), uid, gid);
  await lchown(directory, uid, gid);
}

async function flushedLsn(): Promise<Lsn> {
  const { rows } = await writer.query<{ lsn: string }>('select pg_current_wal_flush_lsn() as lsn');
  return parseLsn(rows[0]?.lsn ?? '');
}

/** Hands over what the primary has written, and waits until the standby has replayed it. */
async function pass(recordsMax = 1000): Promise<Lsn> {
  const to = await flushedLsn();
  for await (const redo of wal.upTo(to, recordsMax)) walsender.push(redo);
  await expect.poll(() => replies.at(-1)?.applyLsn ?? 0n).toBe(walsender.endLsn);
  return to;
}

async function sum(of = standby): Promise<number> {
  const reader = await of.connect();
  const { rows } = await reader.query<{ sum: number }>('select sum(amount)::int as sum from money');
  await reader.end();
  return rows[0]?.sum ?? 0;
}

it('replays what is pushed, of every kind, and says how far it is', async () => {
  await writer.query('update money set amount = amount - 10 where id = 1');
  await pass(1);
  expect(await sum()).toBe(await sum(primary));
  await runVariedWorkload(primary);
  await writer.query('update money set amount = amount - 10 where id = 1');
  await pass();
  expect(await sum()).toBe(await sum(primary));
  const reader = await standby.connect();
  const count = 'select count(*)::int as plain, (select count(*)::int from indexed) as indexed from plain';
  expect((await reader.query(count)).rows).toEqual((await writer.query(count)).rows);
  await reader.end();
  expect(replies.some(({ feedback }) => feedback !== undefined)).toBe(true);
  expect(await standby.log()).not.toMatch(COMPLAINTS);
});

it('goes on where a walreceiver that was killed had written, and after a restart of the standby', async () => {
  for (const how of ['walreceiver', 'standby', 'walreceiver'] as const) {
    await writer.query('update money set amount = amount - 1');
    const to = await flushedLsn();
    const { length } = replies;
    let pushed = 0;
    for await (const redo of wal.upTo(to, 1)) {
      walsender.push(redo);
      if (++pushed === 3 && how === 'walreceiver') {
        const reader = await standby.connect();
        const { rows } = await reader.query<{ pid: number }>('select pid from pg_stat_wal_receiver');
        await reader.end();
        if (rows[0] !== undefined) process.kill(rows[0].pid, 'SIGTERM');
      }
    }
    if (how === 'standby') await standby.restart();
    await expect.poll(() => replies.slice(length).at(-1)?.applyLsn ?? 0n).toBe(walsender.endLsn);
    expect(await sum()).toBe(await sum(primary));
  }
  expect(await standby.log()).not.toMatch(COMPLAINTS);
});

it('a standby that stands still gets no more, and nothing grows; then it catches up', async () => {
  await pass();
  process.kill(standby.pid, 'SIGSTOP');
  const reader = await standbyProcesses('SIGSTOP');
  try {
    await writer.query('create table filler as select g, repeat(md5(g::text), 20) as t from generate_series(1, 30000) g');
    const to = await flushedLsn();
    const parts: DurableRedo[] = [];
    for await (const redo of wal.upTo(to, 200)) parts.push(redo);
    while (wants.at(-1) !== false && parts.length > 0) walsender.push(parts.shift()!);
    expect(wants).toEqual([false]);
    expect(parts.length).toBeGreaterThan(0);
    await standbyProcesses('SIGCONT');
    process.kill(standby.pid, 'SIGCONT');
    for (const part of parts) {
      await expect.poll(() => wants.at(-1)).toBe(true);
      walsender.push(part);
    }
    await expect.poll(() => replies.at(-1)?.applyLsn ?? 0n).toBe(walsender.endLsn);
  } finally {
    await standbyProcesses('SIGCONT', reader);
    process.kill(standby.pid, 'SIGCONT');
  }
  expect(await standby.log()).not.toMatch(COMPLAINTS);
});

it('one whose replay waits is not given all there is', async () => {
  await pass();
  await walsender.close();
  walsender = new Walsender({ ...options, startLsn: walsender.endLsn, limits: { unappliedBytes: 1024 * 1024 } });
  // A standby that stands still connects to nobody: it has to have come back first.
  replies.length = 0;
  await walsender.listen();
  await pass();
  const reader = await standby.connect();
  await reader.query('select pg_wal_replay_pause()');
  await writer.query('create table more as select g, repeat(md5(g::text), 20) as t from generate_series(1, 10000) g');
  const to = await flushedLsn();
  for await (const redo of wal.upTo(to, 200)) walsender.push(redo);
  const applied = replies.at(-1)?.applyLsn ?? 0n;
  await expect.poll(() => (replies.at(-1)?.flushLsn ?? 0n) - applied).toBeGreaterThan(1024 * 1024);
  expect((replies.at(-1)?.flushLsn ?? 0n) - applied).toBeLessThan(1.5 * 1024 * 1024);
  await reader.query('select pg_wal_replay_resume()');
  await reader.end();
  await expect.poll(() => replies.at(-1)?.applyLsn ?? 0n).toBe(walsender.endLsn);
});

it('queries that are canceled for replay are counted by kind', async () => {
  const counted: RecoveryConflicts[] = [];
  const over = new AbortController();
  const socket = { dir: standby.socketDir, port: standby.port };
  const options = { socket, onCounted: (one: RecoveryConflicts) => void counted.push(one), clock: systemClock(), logger: silentLogger() };
  const watching = watchConflicts({ ...options, lookMs: 100 }, over.signal);
  await writer.query('create table locked as select 1 as one');
  await pass();
  const reader = await standby.connect();
  const lost = once(reader, 'error');
  await reader.query('begin; select * from locked');
  await writer.query('alter table locked add column two int');
  await pass();
  expect(await lost).toMatchObject([{ message: expect.stringMatching(/conflict with recovery/) }]);
  await expect.poll(() => counted.at(-1)).toMatchObject({ lock: 1, snapshot: 0, bufferpin: 0 });
  over.abort();
  await watching;
  await reader.end();
});

it('redo that does not follow is not taken, and what is no walreceiver is told so', async () => {
  const before = walsender.endLsn;
  const nothing = Buffer.alloc(0);
  expect(() => walsender.push({ startLsn: (before + 8n) as Lsn, endLsn: (before + 16n) as Lsn, records: nothing })).toThrow(
    /does not follow/,
  );
  expect(() => walsender.push({ startLsn: before, endLsn: (before + 16n) as Lsn, records: nothing })).toThrow(/ends at/);
  expect(walsender.endLsn).toBe(before);

  const stranger = connect(options.socketPath);
  stranger.write('GET / HTTP/1.1\r\n\r\n');
  expect(await heard(stranger)).toContain('C08P01\0');
  const client = connect(options.socketPath);
  const startup = Buffer.from('....\0\x03\0\0user\0app\0database\0app\0\0', 'latin1');
  startup.writeUInt32BE(startup.length, 0);
  client.write(startup);
  expect(await heard(client)).toContain('replication: physical replication alone');
  await writer.query('update money set amount = amount - 10 where id = 1');
  await pass();
  expect(await sum()).toBe(await sum(primary));
});

async function heard(socket: Socket): Promise<string> {
  let text = '';
  socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')));
  await once(socket, 'close');
  return text;
}

/** The standby's processes but the postmaster; PostgreSQL's children work in its data directory. */
async function standbyProcesses(signal: NodeJS.Signals, pids?: readonly number[]): Promise<number[]> {
  const children = pids ?? (await readFile(`/proc/${standby.pid}/task/${standby.pid}/children`, 'utf8')).trim().split(' ').map(Number);
  for (const pid of children) {
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
    }
  }
  return [...children];
}
