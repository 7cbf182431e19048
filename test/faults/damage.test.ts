import { closeSync, openSync, readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import { daemonMetrics, metric, readPoint, relation, servedPages } from './observe.ts';
import { SeededRandom } from './random.ts';

const VICTIM = 5;
const SEED = 20_261_121;
const CORRUPTIONS = 'aurora_storage_corruptions_detected_total';
const REPAIRS = 'aurora_storage_repairs_total';

let cluster: Cluster;
const random = new SeededRandom(SEED);

beforeAll(async () => {
  cluster = await Cluster.start({
    env: { AURORA_CHECKPOINT_MIB: '1', AURORA_SCRUB_BYTES_PER_SECOND: '20000000' },
    pgParameters: { autovacuum: 'off' },
  });
  await cluster.query('create table item (id int primary key, version int, filler text)');
  for (let round = 0; round < 4; round++) {
    await cluster.query(`insert into item select ${round} * 2000 + g, 0, repeat(md5(g::text), 6) from generate_series(1, 2000) g`);
    await cluster.query('update item set version = version + 1 where id % 3 = $1', [round % 3]);
  }
}, 90_000);
afterAll(() => cluster?.destroy());

function victim(): Cluster['daemons'][number] {
  const daemon = cluster.daemons[VICTIM];
  if (daemon === undefined) throw new Error('no such daemon');
  return daemon;
}

/** The victim's files whose names match, relative to its segment. */
function files(pattern: RegExp): string[] {
  const directory = join(cluster.directory, `d${VICTIM}`, cluster.volumeId, '0');
  return readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((name) => pattern.test(name))
    .toSorted()
    .map((name) => join(directory, name));
}

/**
 * Flips one bit in each of `count` bytes of what was written to the files (zeros at the end of a redo file were not).
 */
function flip(paths: readonly string[], count: number): void {
  for (let done = 0; done < count; done++) {
    const path = random.pick(paths);
    const bytes = readFileSync(path);
    let used = bytes.length;
    while (used > 0 && bytes[used - 1] === 0) used--;
    if (used === 0) continue;
    const at = random.integer(0, used - 1);
    const file = openSync(path, 'r+');
    writeSync(file, Buffer.from([(bytes[at] ?? 0) ^ (1 << random.integer(0, 7))]), 0, 1, at);
    closeSync(file);
  }
}

const count = async (name: string): Promise<number> => (await metric(daemonMetrics(cluster, VICTIM), name)) ?? 0;

async function level(): Promise<void> {
  await cluster.until('the victim is level again', async () => {
    const segment = (await cluster.writer.status())?.segments[VICTIM];
    return segment?.state === 'streaming' && segment.behindBytes === 0;
  });
}

/** Reads whole relations from all six at the same LSN, the victim twice; a redo that goes on may overtake that LSN. */
async function expectSamePages(): Promise<void> {
  for (const name of ['item', 'item_pkey']) {
    const where = await relation(cluster, name);
    expect(where.blocks).toBeGreaterThan(10);
    const at = await readPoint(cluster);
    const wanted = await servedPages(cluster, 0, where, at);
    for (const daemon of [1, 2, 3, 4, VICTIM, VICTIM]) {
      const pages = await servedPages(cluster, daemon, where, at);
      expect(pages.equals(wanted), `${name} of daemon ${daemon}`).toBe(true);
    }
  }
}

/** Damages the stopped victim, starts it, and wants the same pages of it as of the others. */
async function damageStopped(pattern: RegExp, bytes: number): Promise<void> {
  await victim().kill();
  const damaged = files(pattern);
  expect(damaged.length).toBeGreaterThan(0);
  flip(damaged, bytes);
  victim().start();
  await level();
  await expectSamePages();
}

describe(`flipped bits on one daemon's disk (seed ${SEED})`, () => {
  it('serves the same pages as its peers to begin with', async () => {
    await cluster.until('pages were merged', () => files(/pages\.slots$/).some((path) => statSync(path).size > 0), 20_000);
    await expectSamePages();
    expect(await count(CORRUPTIONS)).toBe(0);
  });

  it('in the redo log of a running daemon: found by the scrubber, replaced from a peer', async () => {
    flip(files(/\.redo$/), 3);
    await cluster.until('the log is repaired', async () => (await count(CORRUPTIONS)) > 0 && (await count(REPAIRS)) > 0, 30_000);
    await expectSamePages();
  });

  it('in the redo log of a stopped daemon: cut there, fetched again', async () => {
    await damageStopped(/\.redo$/, 3);
    expect(await count(CORRUPTIONS)).toBeGreaterThan(0);
  });

  it('in the stored pages of a stopped daemon', async () => {
    await damageStopped(/pages\.slots$/, 12);
    await cluster.until('found and repaired', async () => (await count(CORRUPTIONS)) > 0 && (await count(REPAIRS)) > 0, 60_000);
    await expectSamePages();
  }, 120_000);

  it('in what says where the pages are', async () => {
    await damageStopped(/pages-\d+\/(\d+\.(log|ldb)|MANIFEST-\d+)$/, 4);
  });

  it('in what the segment promised: taken from the second copy', async () => {
    await damageStopped(/control$/, 1);
    expect(await count(CORRUPTIONS)).toBeGreaterThan(0);
    expect(await count(REPAIRS)).toBeGreaterThan(0);
  });

  it('goes on: a commit reaches the daemon that was damaged', async () => {
    await cluster.query('update item set version = 99 where id = 1');
    await level();
    await delay(100);
    await expectSamePages();
  });
});
