/**
 * WAL that a real PostgreSQL 18 writes for the redo benchmark: full_page_writes=off, no consistency images, as our
 * writer's.
 */
import { cpSync, rmSync } from 'node:fs';
import path from 'node:path';
import { type WalRecord, resourceManagers } from '@kube-aurora/pg-format';
import { encodeVolumeState } from '@kube-aurora/redo';
import { startPostgres } from '@kube-aurora/test-postgres';
import { encodeRedoBatch, recordBytesInBatch, type BatchRecord } from '@kube-aurora/volume';
import { readVolume } from '../../packages/redo/src/verify/data-directory.ts';
import type { PageStore } from '../../packages/redo/src/verify/page-store.ts';
import { walRecords } from '../../packages/redo/src/verify/wal-files.ts';

const BATCH_BYTES = 64 * 1024;

export interface WalStream {
  readonly name: string;
  /** The volume where the stream begins. */
  readonly state: Buffer;
  readonly pages: PageStore;
  /** The records as redo batches of about the size that was asked for. */
  readonly batches: readonly Buffer[];
  readonly records: number;
  /** From the first record's start to the last one's end. */
  readonly walBytes: number;
  /** Share of the records by resource manager, the largest first: "Btree 74 %, Heap 25 %". */
  readonly mix: string;
}

interface Workload {
  readonly setup: readonly string[];
  /** `ROWS` stands for the number asked for. */
  readonly load: readonly string[];
}

/** A permutation of 1..ROWS, without random(): the same WAL in each run. */
const SHUFFLED = '(g::bigint * 7919) % ROWS';

export const STREAMS: Readonly<Record<string, Workload>> = {
  insert: {
    setup: ['create table numbers (i int, t text)'],
    load: [`insert into numbers select g, '' from generate_series(1, ROWS) g`],
  },
  copy: {
    setup: ['create table source (aid int, bid int, balance int, filler char(84))'],
    load: [`copy source from program 'seq 1 ROWS | sed "s/$/\t1\t0\t/"'`, 'vacuum source', 'alter table source add primary key (aid)'],
  },
  rows: {
    setup: ['create table rows (aid int, bid int, balance int, filler char(84))'],
    load: [`copy rows from program 'seq 1 ROWS | sed "s/$/\t1\t0\t/"'`],
  },
  index: {
    setup: ['create table indexed (i int, t text)', `insert into indexed select g, md5(g::text) from generate_series(1, ROWS) g`],
    load: ['create index on indexed (i)', 'create index on indexed (t)'],
  },
  heap: {
    setup: ['create table h (id int, n int, note text) with (fillfactor = 90)'],
    load: [
      `insert into h select g, 0, repeat('x', g % 90) from generate_series(1, ROWS) g`,
      'update h set n = n + 1 where id % 2 = 0',
      `update h set note = repeat('y', id % 300) where id % 3 = 0`,
      'delete from h where id % 5 = 0',
      'vacuum h',
      `insert into h select g, 1, md5(g::text) from generate_series(1, ROWS) g`,
      'update h set n = n + 1',
      'vacuum (freeze) h',
    ],
  },
  updates: {
    setup: [
      'create table steady (id int primary key, filler text) with (fillfactor = 70)',
      `insert into steady select g, repeat(md5(g::text), 12) from generate_series(1, 20000) g`,
      'vacuum freeze steady',
    ],
    load: [
      `do $$ declare first int; begin for i in 1..ROWS / 100 loop first := (i * 7919) % 19900;
         update steady set filler = repeat(md5(i::text), 12) where id > first and id <= first + 100; commit; end loop; end $$`,
    ],
  },
  btree: {
    setup: [
      'create table b (a int primary key, m text, k int)',
      'create index on b (m)',
      'create index on b (k)',
      'create index on b (k, a)',
      'create index on b (m, k)',
    ],
    load: [
      `insert into b select ${SHUFFLED}, md5(g::text), g % 100 from generate_series(1, ROWS) g`,
      'delete from b where a % 3 = 0',
      'vacuum b',
      `insert into b select ${SHUFFLED} + ROWS, md5((g + 7)::text), g % 1000 from generate_series(1, ROWS) g`,
      'update b set k = k + 1 where a % 4 = 1',
    ],
  },
  GIN: {
    setup: [
      'create table g (id int, words text[], body tsvector)',
      'create index on g using gin (words) with (fastupdate = off)',
      'create index on g using gin (body)',
    ],
    load: [
      `insert into g select g, array[md5((g % 977)::text), md5((g % 31)::text), 'w' || g % 7, 'all', md5(g::text)],
         to_tsvector('simple', 'a' || g % 1009 || ' b' || g % 89 || ' c' || g % 5 || ' d' || g)
       from generate_series(1, ROWS / 4) g`,
      'delete from g where id % 3 = 0',
      'vacuum g',
      `insert into g select g, array[md5((g % 977)::text), md5((g % 31)::text), 'w' || g % 7, 'all'],
         to_tsvector('simple', 'a' || g % 1009 || ' b' || g % 89)
       from generate_series(1, ROWS / 4) g`,
      'vacuum g',
    ],
  },
};

/**
 * Starts a server, lets it write the workload's WAL, and reads it. The server and its files are gone when this
 * resolves.
 */
export async function writeStream(name: string, rows: number, batchBytes = BATCH_BYTES): Promise<WalStream> {
  const workload = STREAMS[name];
  if (workload === undefined) throw new RangeError(`no stream is called ${name}; one of ${Object.keys(STREAMS).join(', ')}`);
  const settings = {
    full_page_writes: 'off',
    wal_level: 'replica',
    wal_recycle: 'off',
    wal_keep_size: '20GB',
    max_wal_size: '20GB',
    checkpoint_timeout: '1h',
    autovacuum: 'off',
  };
  const postgres = await startPostgres({ settings, initdb: ['--no-data-checksums'] });
  const base = `${postgres.dataDir}-base`;
  try {
    await runAll(postgres.connect(), workload.setup, rows);
    await postgres.stop('fast');
    cpSync(postgres.dataDir, base, { recursive: true, verbatimSymlinks: true });
    await postgres.restart();
    await runAll(postgres.connect(), workload.load, rows);
    await postgres.stop('fast');
    const { state, pages } = readVolume(base);
    return {
      name,
      state: encodeVolumeState(state),
      pages,
      ...laidOut(state.endLsn, walRecords(path.join(postgres.dataDir, 'pg_wal'), state.endLsn), batchBytes),
    };
  } finally {
    await postgres.remove();
    rmSync(base, { recursive: true, force: true });
  }
}

async function runAll(
  connecting: Promise<{ query(text: string): Promise<unknown>; end(): Promise<void> }>,
  statements: readonly string[],
  rows: number,
): Promise<void> {
  const client = await connecting;
  try {
    for (const statement of statements) await client.query(statement.replaceAll('ROWS', String(rows)));
  } finally {
    await client.end();
  }
}

function laidOut(
  base: bigint,
  records: Iterable<WalRecord>,
  batchBytes: number,
): Pick<WalStream, 'batches' | 'records' | 'walBytes' | 'mix'> {
  const batches: Buffer[] = [];
  const byManager = new Map<string, number>();
  let pending: BatchRecord[] = [];
  let pendingBytes = 0;
  let backlink = base;
  let start: bigint | undefined;
  let end = 0n;
  let count = 0;
  const flush = (): void => {
    if (pending.length === 0) return;
    batches.push(encodeRedoBatch({ pg: 0, epoch: 1n, previousEpoch: 1n, backlink, records: pending }));
    backlink = pending.at(-1)?.endLsn ?? backlink;
    pending = [];
    pendingBytes = 0;
  };
  for (const { lsn, endLsn, raw, rmid } of records) {
    start ??= lsn;
    end = endLsn;
    count++;
    byManager.set(resourceManagers(18).nameOf(rmid), (byManager.get(resourceManagers(18).nameOf(rmid)) ?? 0) + 1);
    pending.push({ lsn, endLsn, raw: Buffer.from(raw) });
    pendingBytes += recordBytesInBatch(raw.length);
    if (pendingBytes >= batchBytes) flush();
  }
  flush();
  const mix = [...byManager]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, 3)
    .map(([name, records]) => `${name} ${Math.round((100 * records) / count)} %`)
    .join(', ');
  return { batches, records: count, walBytes: Number(end - (start ?? end)), mix };
}
