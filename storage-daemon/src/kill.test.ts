import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { encodePageKey, postgres18 } from '@kube-aurora/redo';
import { systemClock } from '@kube-aurora/clock';
import { freePort } from '@kube-aurora/test-ports';
import { encodeAppendRequest, SegmentClient, type AppendResponse } from '@kube-aurora/rpc';
import { batchAfter, imageRecord, syntheticRecord, syntheticState, type ChainEnd } from './testing/synthetic-records.ts';
import { DEADLINE, SEGMENT } from './testing/test-cluster.ts';

/**
 * A real daemon process, killed -9 at random points of a stream of appends: what it acknowledged is there afterwards.
 */

const MAIN = fileURLToPath(new URL('main.ts', import.meta.url));
const REL = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };
const ROUNDS = 3;

let directory: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), 'aurora-kill-'));
});
afterEach(() => {
  child?.kill('SIGKILL');
  fs.rmSync(directory, { recursive: true, force: true });
});

async function startDaemon(port: number, framesPort: number): Promise<void> {
  const started = spawn(process.execPath, [MAIN], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env['PATH'],
      AURORA_DATA_DIR: directory,
      AURORA_LISTEN: `127.0.0.1:${port}`,
      AURORA_FRAMES_LISTEN: `127.0.0.1:${framesPort}`,
      AURORA_METRICS_LISTEN: '127.0.0.1:0',
      AURORA_DAEMON_ID: 'd0',
      AURORA_ZONE: 'zone-a',
      AURORA_PEERS: `d0=127.0.0.1:${port}`,
      AURORA_CHECKPOINT_MIB: '1',
    },
  });
  child = started;
  await new Promise<void>((resolve, reject) => {
    started.stdout?.on('data', (text: Buffer) => {
      if (text.includes('storage daemon is ready')) resolve();
    });
    started.on('exit', (code) => reject(new Error(`the daemon exited with ${code}`)));
  });
}

async function kill(): Promise<void> {
  const exited = new Promise((resolve) => child?.once('exit', resolve));
  child?.kill('SIGKILL');
  await exited;
}

describe('a daemon that is killed -9 while it appends', () => {
  it('has every batch that it acknowledged, and goes on from there', async () => {
    const [port, framesPort] = [await freePort(), await freePort()];
    const addresses = { address: `127.0.0.1:${port}`, framesAddress: `127.0.0.1:${framesPort}` };
    await startDaemon(port, framesPort);
    let client = new SegmentClient(addresses, systemClock());
    const { encoded, baseLsn } = syntheticState(0x150_0028n);
    const { call, answer } = client.importBase(DEADLINE);
    call.write({
      begin: { role: 'FULL', segment: SEGMENT, epoch: 1n, baseLsn, systemIdentifier: 7n, volumeState: encoded, engine: postgres18.id },
      pages: [],
      finish: true,
    });
    call.end();
    await answer;
    let random = 20_261_121;
    const next = (below: number): number => (random = (random * 1_103_515_245 + 12_345) % 2 ** 31) % below;
    const history = [{ epoch: 1n, startLsn: baseLsn }];
    let start: ChainEnd = { lsn: baseLsn, epoch: 1n };
    const fills = new Map<number, { fill: number; lsn: bigint }[]>();
    for (let round = 0; round < ROUNDS; round++) {
      const epoch = BigInt(round + 2);
      await client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch, writerId: `w/${round}`, leaseMs: 0 }, DEADLINE);
      history.push({ epoch, startLsn: start.lsn });
      await client.installHistory({ segment: SEGMENT, epoch, history }, DEADLINE);
      const stream = client.append();
      let acknowledged = start.lsn;
      stream.on('data', (response: AppendResponse) => {
        if (response.result === 'OK' && response.scl > acknowledged) acknowledged = response.scl;
      });
      const broken = new Promise((resolve) => stream.on('error', resolve));
      stream.write({
        hello: { role: 'FULL', segment: SEGMENT, epoch, writerId: `w/${round}`, history },
        batches: undefined,
        vdl: 0n,
        pgmrpl: 0n,
      });
      let end = start;
      const killAfter = 20 + next(120);
      for (let sent = 0; sent < killAfter; sent++) {
        const block = next(40);
        const fill = next(250);
        const made = batchAfter(end, epoch, next(3) === 0 ? [syntheticRecord(next(3000))] : [imageRecord(REL, block, fill)]);
        const [record] = made.records;
        if (record !== undefined && record.raw.length > 8192) fills.set(block, [...(fills.get(block) ?? []), { fill, lsn: record.endLsn }]);
        stream.write(encodeAppendRequest([made.batch], acknowledged, acknowledged));
        end = made.end;
        if (next(4) === 0) await new Promise((resolve) => setTimeout(resolve, next(4)));
      }
      await kill();
      await broken;
      client.close();
      await startDaemon(port, framesPort);
      client = new SegmentClient(addresses, systemClock());
      const state = await client.status(SEGMENT, DEADLINE);
      expect(state.phase).toBe('READY');
      expect(state.scl).toBeGreaterThanOrEqual(acknowledged);
      expect(state.scl).toBeLessThanOrEqual(end.lsn);
      // Redo past SCL never happened.
      for (const [block, history] of fills)
        fills.set(
          block,
          history.filter(({ lsn }) => lsn <= state.scl),
        );
      for (const block of fills.keys()) {
        const page = await client.getPages({ segment: SEGMENT, epoch, lsn: state.scl, keys: [encodePageKey({ ...REL, block })] }, DEADLINE);
        const last = fills.get(block)?.at(-1);
        expect([block, page.present[0] === 1 ? page.pages[0]?.[8000] : undefined]).toEqual([block, last?.fill]);
      }
      start = { lsn: state.scl, epoch: state.lastBatchEpoch };
    }
    client.close();
    await kill();
  });
});
