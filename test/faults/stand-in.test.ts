import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseEndpoints } from '@kube-aurora/rpc';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cluster } from '../e2e/cluster-harness.ts';
import { connectTo, Ledger } from './ledger.ts';
import { readPoint, relation, servedPages } from './observe.ts';

/**
 * A full segment is killed and does not come back, and the tail of its zone stands in for it, while clients write; then a zone and one more lose
 * their disks on top. Real processes: daemons 0, 2 and 4 are the full segments of their zones, 1, 3 and 5 the tails.
 */

const GONE = 0;
const STANDING_IN = 1;

let cluster: Cluster;
let ledger: Ledger;

beforeAll(async () => {
  cluster = await Cluster.start({
    copies: 'Mixed',
    env: { AURORA_CHECKPOINT_MIB: '1', AURORA_STAND_IN_AFTER_SECONDS: '2' },
    readyWithinMs: 90_000,
  });
  ledger = new Ledger(() => connectTo({ host: cluster.writer.host, port: 5432, user: 'app', password: 'e2e-password', database: 'app' }));
  await ledger.create();
  ledger.start(4);
  await ledger.progress(100, 60_000);
}, 180_000);
afterAll(async () => {
  await ledger?.stop();
  await cluster?.destroy();
});

interface Told {
  readonly phase: string;
  readonly role: string;
  readonly standIn?: { readonly of: string; readonly reason: string };
}

/** What a daemon's /status says of its segment; undefined while it does not answer. */
async function told(daemon: number): Promise<Told | undefined> {
  const { address } = parseEndpoints(cluster.daemonsAddress(), 'zoned')[daemon] ?? { address: '' };
  try {
    const response = await fetch(`http://${address.replace(/:7001$/, ':7002')}/status`, { signal: AbortSignal.timeout(20_000) });
    const { segments } = (await response.json()) as { readonly segments: readonly Told[] };
    return segments[0];
  } catch (error) {
    if (error instanceof Error) return undefined;
    throw error;
  }
}

function loseDisk(daemon: number): void {
  const directory = join(cluster.directory, `d${daemon}`);
  rmSync(directory, { recursive: true });
  mkdirSync(directory);
}

describe('a full segment that is away for longer than the set time', () => {
  it('is stood in for by its zone’s tail, and commits go on', async () => {
    await cluster.daemons[GONE]?.kill();
    await cluster.until('a tail stands in', async () => {
      const tail = await told(STANDING_IN);
      return tail?.standIn?.of === 'd0' && tail.phase === 'READY';
    });
    expect(await told(STANDING_IN)).toMatchObject({ role: 'TAIL', phase: 'READY', standIn: { of: 'd0', reason: 'SILENT' } });
    await ledger.progress(100, 60_000);
  }, 150_000);

  it('and a zone and one more are lost on top: its pages are there, and all comes back from them', async () => {
    const where = await relation(cluster, 'account');
    const lost = [2, 3, 4];
    await Promise.all(lost.map(async (daemon) => cluster.daemons[daemon]?.kill()));
    for (const daemon of [GONE, ...lost]) loseDisk(daemon);
    // Nobody else has pages any more.
    const at = await readPoint(cluster);
    expect((await servedPages(cluster, STANDING_IN, where, at)).length).toBeGreaterThan(where.blocks * 8192);
    await cluster.writer.kill();
    cluster.writer.start();
    for (const daemon of [GONE, ...lost]) cluster.daemons[daemon]?.start();
    await cluster.writerReady(90_000);
    await ledger.progress(100, 60_000);
    await cluster.until(
      'nobody stands in for anybody',
      async () => {
        const all = await Promise.all(cluster.daemons.map((_daemon, index) => told(index)));
        return all.every((one) => one?.phase === 'READY' && one.standIn === undefined);
      },
      90_000,
    );
    await ledger.stop();
    const { violations, acknowledged } = await ledger.verify();
    expect(violations).toEqual([]);
    expect(acknowledged).toBeGreaterThan(200);
  }, 300_000);
});
