import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import type { Writer } from '../e2e/compute-process.ts';
import { connectTo, Ledger } from './ledger.ts';
import { relation, servedPages, type ServedRelation } from './observe.ts';

/**
 * A zone and one more, of six copies of which three are tails, while clients write: real processes, killed with their
 * disks lost. Daemons 0, 2 and 4 are the full segments of their zones, 1, 3 and 5 the tails.
 */

const STALL_MS = 1500;

let cluster: Cluster;
let ledger: Ledger;
/** Whom the clients talk to: it moves when another writer takes over. */
const connection = { host: '', port: 5432, user: 'app', password: 'e2e-password', database: 'app' };
let writer: Writer;

beforeAll(async () => {
  // Small checkpoints, so that tails have dropped redo that is in pages: then pages are what is lost with a full
  // segment.
  cluster = await Cluster.start({ copies: 'Mixed', env: { AURORA_CHECKPOINT_MIB: '1' }, readyWithinMs: 90_000 });
  writer = cluster.writer;
  connection.host = writer.host;
  ledger = new Ledger(() => connectTo(connection));
  await ledger.create();
  ledger.start(4);
  await ledger.progress(200, 60_000);
}, 180_000);
afterAll(async () => {
  await ledger?.stop();
  await cluster?.destroy();
});

async function loseDisks(daemons: readonly number[]): Promise<void> {
  await Promise.all(daemons.map(async (index) => cluster.daemons[index]?.kill()));
  for (const index of daemons) {
    const directory = join(cluster.directory, `d${index}`);
    rmSync(directory, { recursive: true });
    mkdirSync(directory);
  }
}

function startAll(daemons: readonly number[]): void {
  for (const index of daemons) cluster.daemons[index]?.start();
}

/** Nothing is acknowledged any more: what was under way when the last of a quorum died may still have been. */
async function expectStall(): Promise<void> {
  await delay(STALL_MS);
  const { acknowledged } = ledger;
  await delay(STALL_MS);
  expect(ledger.acknowledged).toBe(acknowledged);
}

async function point(): Promise<{ epoch: bigint; lsn: bigint }> {
  const status = await writer.status();
  if (status === undefined) throw new Error('the writer does not answer');
  return { epoch: BigInt(status.epoch), lsn: BigInt(status.vdl) };
}

/** Every page of a table, from this daemon alone, as of all that was acknowledged. */
async function expectReadable(daemon: number, where: ServedRelation): Promise<void> {
  const at = await point();
  const pages = await servedPages(cluster, daemon, where, at);
  expect(pages.length).toBeGreaterThan(where.blocks * 8192);
}

async function level(): Promise<void> {
  await cluster.until(
    'all six are level again',
    async () =>
      (await writer.status())?.segments.every(({ state, behindBytes }) => state === 'streaming' && behindBytes < 1_000_000) === true,
    90_000,
  );
}

describe('mixed copies, while clients write', () => {
  it('lose a zone and a full segment more: pages are read on; with empty disks in their place a writer that was killed opens, and all is there', async () => {
    const where = await relation(cluster, 'account');
    const lost = [0, 1, 2];
    await loseDisks(lost);
    await expectStall();
    await expectReadable(4, where);
    await writer.kill();
    writer.start();
    startAll(lost);
    await cluster.writerReady(90_000, writer);
    await ledger.progress(100, 60_000);
    await level();
  }, 240_000);

  it('lose a zone and a tail more: the same, and the writer that waited is overtaken by another', async () => {
    const where = await relation(cluster, 'account');
    const lost = [2, 3, 5];
    await loseDisks(lost);
    await expectStall();
    await expectReadable(0, where);
    const overtaken = writer;
    const second = cluster.addWriter('zone-c');
    second.start();
    await delay(STALL_MS);
    expect((await second.status())?.phase).not.toBe('running');
    startAll(lost);
    await cluster.writerReady(90_000, second);
    // A fenced one answers no client: they go where the Service would send them.
    connection.host = second.host;
    await cluster.until('the overtaken writer knows it', async () => (await overtaken.status())?.phase === 'fenced', 60_000);
    writer = second;
    await ledger.progress(100, 60_000);
    await level();
  }, 240_000);

  it('have lost nothing that was acknowledged or shown', async () => {
    await ledger.stop();
    const { violations, acknowledged } = await ledger.verify();
    expect(violations).toEqual([]);
    expect(acknowledged).toBeGreaterThan(400);
  }, 120_000);
});
