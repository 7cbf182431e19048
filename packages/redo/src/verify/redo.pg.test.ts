import { startPostgres, type TestPostgres } from '@kube-aurora/test-postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeVolumeState, encodeVolumeState } from '../state/codec.ts';
import { preparedXids } from '../state/volume-state.ts';
import { compareWithFiles } from './compare-files.ts';
import { twoPhaseFiles } from './data-directory.ts';
import { RARE_LOGS } from './rare-logs.ts';
import { addCoverage, formatAllTypes, NOT_WRITTEN, unseenTypes } from './record-types.ts';
import type { Coverage } from './redo-verifier.ts';
import type { Replayed } from './replay-log.ts';
import { replayWorkload, WITH_EXPECTED_PAGES } from './replay-workload.ts';

/** Record types with pages that the workload must reach; each is replayed and compared. */
const MUST_SEE = [
  ...['INSERT', 'INSERT+INIT', 'DELETE', 'UPDATE', 'UPDATE+INIT', 'HOT_UPDATE', 'HEAP_CONFIRM', 'LOCK', 'INPLACE'].map(
    (name) => `Heap/${name}`,
  ),
  ...['PRUNE_ON_ACCESS', 'PRUNE_VACUUM_SCAN', 'PRUNE_VACUUM_CLEANUP', 'VISIBLE', 'MULTI_INSERT', 'MULTI_INSERT+INIT', 'LOCK_UPDATED'].map(
    (name) => `Heap2/${name}`,
  ),
  ...['INSERT_LEAF', 'INSERT_UPPER', 'INSERT_META', 'INSERT_POST', 'SPLIT_L', 'SPLIT_R', 'DEDUP', 'DELETE', 'VACUUM'].map(
    (name) => `Btree/${name}`,
  ),
  ...['UNLINK_PAGE', 'UNLINK_PAGE_META', 'NEWROOT', 'MARK_PAGE_HALFDEAD', 'META_CLEANUP'].map((name) => `Btree/${name}`),
  'Sequence/LOG',
];
/** Types that change SLRU pages or the state; the files at the end tell whether rightly. */
const MUST_SEE_EFFECTS = [
  ...['COMMIT', 'ABORT', 'PREPARE', 'COMMIT_PREPARED', 'ABORT_PREPARED', 'ASSIGNMENT'].map((name) => `Transaction/${name}`),
  ...['CREATE_ID', 'ZERO_OFF_PAGE', 'ZERO_MEM_PAGE', 'TRUNCATE_ID'].map((name) => `MultiXact/${name}`),
  ...['CREATE', 'TRUNCATE'].map((name) => `Storage/${name}`),
  ...['CREATE_FILE_COPY', 'CREATE_WAL_LOG', 'DROP'].map((name) => `Database/${name}`),
  ...['CREATE', 'DROP'].map((name) => `Tablespace/${name}`),
  ...['SET', 'DROP'].map((name) => `ReplicationOrigin/${name}`),
  ...['ZEROPAGE', 'TRUNCATE'].map((name) => `CommitTs/${name}`),
  ...['LOCK', 'RUNNING_XACTS'].map((name) => `Standby/${name}`),
  'CLOG/ZEROPAGE',
  'RelMap/UPDATE',
  'XLOG/FPI',
];

/** What all logs of this file held together. */
const seen = new Map<string, Coverage>();

/** The counters that the log's last shutdown checkpoint states, against those that replay had arrived at before it. */
function expectSameCounters({ ours, theirs, orphans, onlineDifferences }: Replayed): void {
  expect(onlineDifferences).toEqual([]);
  // A clean shutdown gives back OIDs that were reserved; limits are raised without a record until the next checkpoint.
  const { nextOid, oldestXid, oldestXidDb, oldestMultiDb, oldestCommitTsXid, fullPageWrites, ...exact } = ours;
  expect(theirs).toMatchObject(exact);
  // The setting that a server starts with is logged only when a standby could use the log.
  if (theirs.walLevel > 0) expect(fullPageWrites).toBe(theirs.fullPageWrites);
  expect(nextOid).toBeGreaterThanOrEqual(theirs.nextOid);
  expect(oldestXid).toBeLessThanOrEqual(theirs.oldestXid);
  expect(oldestCommitTsXid).toBeLessThanOrEqual(theirs.oldestCommitTsXid);
  expect(orphans).toEqual([]);
  expect([oldestXidDb, oldestMultiDb].every((oid) => oid > 0)).toBe(true);
}

describe.each([
  {
    name: 'with the expected page in every record',
    settings: WITH_EXPECTED_PAGES,
    scale: 0.25,
    images: true,
  },
  { name: 'as a running cluster writes it', settings: { wal_level: 'replica' }, scale: 0.5, images: false },
])('a log $name', ({ settings, scale, images }) => {
  let pg: TestPostgres;
  let replayed: Replayed;

  beforeAll(async () => {
    pg = await startPostgres({ initdb: ['--no-data-checksums'] });
    replayed = await replayWorkload(pg, settings, scale);
  });
  afterAll(() => pg?.remove());

  test('replays to the pages that PostgreSQL had after each record', () => {
    const { coverage, mismatches } = replayed.verifier;
    addCoverage(seen, coverage);
    expect(mismatches).toEqual([]);
    for (const name of MUST_SEE) {
      expect(coverage.get(name)?.pages, name).toBeGreaterThan(0);
      if (images) expect(coverage.get(name)?.compared, name).toBeGreaterThan(0);
    }
    for (const name of MUST_SEE_EFFECTS) expect(coverage.get(name)?.records, name).toBeGreaterThan(0);
  });

  test('replays to the files of the server: pages, sizes, visibility maps, transaction status', () => {
    const { compared, differences } = compareWithFiles(replayed.verifier, replayed.dataDir);
    expect(differences).toEqual([]);
    expect(compared).toBeGreaterThan(1000);
  });

  test('knows the counters that the shutdown checkpoint states', () => {
    expectSameCounters(replayed);
  });

  test('holds prepared transactions as their files do, and nothing else runs', () => {
    const { state } = replayed.verifier;
    const ours = new Map(
      [...state.prepared.values()].map(({ fullXid, data }) => [fullXid.toString(16).toUpperCase().padStart(16, '0'), data]),
    );
    expect(ours).toEqual(twoPhaseFiles(replayed.dataDir));
    expect([...state.prepared.values()].map(({ gid }) => gid)).toEqual(['kept']);
    expect(state.transactions.running).toEqual(preparedXids(state));
    expect([...state.locks.keys()]).toEqual([...state.prepared.keys()]);
  });

  test('survives being stored', () => {
    const { state } = replayed.verifier;
    const stored = encodeVolumeState(state);
    expect(replayed.verifier.encodedAsTaken().equals(stored)).toBe(true);
    expect(encodeVolumeState(decodeVolumeState(stored)).equals(stored)).toBe(true);
    expect([...state.relations.forks()]).toEqual([...decodeVolumeState(stored).relations.forks()]);
  });
});

test.each(RARE_LOGS)('a log of $name replays to the files, and the counters, of the server', async ({ holds, write }) => {
  const pg = await startPostgres({ initdb: ['--no-data-checksums'] });
  try {
    await pg.stop('fast');
    const replayed = await write(pg);
    const { coverage, mismatches } = replayed.verifier;
    addCoverage(seen, coverage);
    expect(mismatches).toEqual([]);
    expect(compareWithFiles(replayed.verifier, replayed.dataDir).differences).toEqual([]);
    expect(replayed.verifier.encodedAsTaken().equals(encodeVolumeState(replayed.verifier.state))).toBe(true);
    expectSameCounters(replayed);
    expect(holds.filter((name) => !coverage.has(name))).toEqual([]);
  } finally {
    await pg.remove();
  }
});

test('together these logs hold every record type that PostgreSQL 18 writes', () => {
  process.stdout.write(`${formatAllTypes(seen)}\n`);
  expect(unseenTypes(seen)).toEqual([]);
  expect([...NOT_WRITTEN.keys()].filter((name) => seen.has(name))).toEqual([]);
});
