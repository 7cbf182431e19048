/**
 * What append-wire.ts measures of the programs themselves: a real storage daemon in a process of its own, and the
 * compute's write path behind a batch (VolumeWriter: ring, streams, quorum). Records change pages, so that indexing,
 * applying and checkpoints are in the figures; there are no peers, so gossip is not.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import { recordEndLsn, type Lsn, type RelFork } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { encodePageKey, postgres18 } from '@kube-aurora/redo';
import { EngineRegistry } from '@kube-aurora/redo-engine';
import { PLAIN_TEXT, SegmentClient } from '@kube-aurora/rpc';
import { RecordRun } from '@kube-aurora/volume';
import { homeSegment, SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { VolumeWriter } from '../../compute-node/src/write-path/volume-writer.ts';
import { Daemon } from '../../storage-daemon/src/daemon.ts';
import { systemDisk } from '../../storage-daemon/src/disk/system-disk.ts';
import { systemNetwork } from '../../storage-daemon/src/edge/daemon-network.ts';
import { DEFAULT_LIMITS } from '../../storage-daemon/src/segment/limits.ts';
import { deltaRecord, filledPage, syntheticState } from '../../storage-daemon/src/testing/synthetic-records.ts';

const VOLUME = '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10';
const SEGMENT = homeSegment(VOLUME);
const DEADLINE = { deadlineMs: 30_000 };
const FORK: RelFork = { spcOid: 1663, dbOid: 5, relNumber: 16384, fork: 0 };
const PAGES = 2000;
/** As in a TPC-B transaction: three updates, an insert, an index entry, a commit. */
const RECORDS_A_BATCH = 6;
/** Of a record that changes a page, beside what it writes there. */
const RECORD_OVERHEAD_BYTES = 48;
const RING_BYTES = 32 * 1024 * 1024;
const ZONES = 3;
const ROLE = 'FULL';

/** gRPC and frames. */
export interface DaemonPorts {
  readonly port: number;
  readonly framesPort: number;
}

/** A daemon without peers in this process. */
export async function serveDaemon(directory: string, index: number): Promise<DaemonPorts> {
  const clock = systemClock();
  const daemon = await Daemon.start({
    dataDirectory: mkdtempSync(join(directory, 'daemon-')),
    listen: '127.0.0.1:0',
    framesListen: '127.0.0.1:0',
    daemonId: `d${index}`,
    zone: `z${index % ZONES}`,
    peers: [{ id: `d${index}`, address: '127.0.0.1:1' }],
    limits: DEFAULT_LIMITS,
    scrubBytesPerSecond: 0,
    logger: silentLogger(),
    disk: systemDisk(),
    engines: new EngineRegistry([postgres18]),
    network: systemNetwork(clock, PLAIN_TEXT, await AppendLanes.load(undefined, clock)),
    clock,
  });
  return { port: daemon.port, framesPort: daemon.framesPort };
}

export interface OurWriter {
  /** Sends one batch and resolves when it is durable. */
  round(): Promise<void>;
  close(): void;
}

/** Makes a volume on the daemons and opens it as its writer. */
export async function openVolume(daemons: readonly DaemonPorts[], batchBytes: number): Promise<OurWriter> {
  const clock = systemClock();
  const endpoints: SegmentEndpoint[] = daemons.map(({ port, framesPort }, index) => ({
    index,
    id: `d${index}`,
    zone: `z${index % ZONES}`,
    role: ROLE,
    client: new SegmentClient({ address: `127.0.0.1:${port}`, framesAddress: `127.0.0.1:${framesPort}` }, clock, PLAIN_TEXT),
  }));
  const { encoded, baseLsn } = syntheticState(0x150_0028n, [{ fork: FORK, blocks: PAGES }]);
  for (const { client } of endpoints) await importInto(client, encoded, baseLsn);
  const writerId = 'bench';
  const history = [
    { epoch: 1n, startLsn: baseLsn },
    { epoch: 2n, startLsn: baseLsn },
  ];
  for (const { client } of endpoints) await client.openEpoch({ role: ROLE, segment: SEGMENT, epoch: 2n, writerId, leaseMs: 0 }, DEADLINE);
  for (const { client } of endpoints) await client.installHistory({ segment: SEGMENT, epoch: 2n, history }, DEADLINE);

  let awaited = baseLsn;
  let resolve = (): void => undefined;
  const writer: VolumeWriter = new VolumeWriter({
    placement: SINGLE_GROUP,
    segments: endpoints,
    identity: { segment: SEGMENT, writerId },
    epoch: 2n,
    history,
    startLsn: baseLsn,
    previousEpoch: 1n,
    ringBytesMax: RING_BYTES,
    oldestRead: () => undefined,
    onDurable: () => {
      if (writer.vdl >= awaited) resolve();
    },
    onFenced: (message) => {
      throw new Error(message);
    },
    clock,
    logger: silentLogger(),
  });
  writer.start();
  const run = new RecordRun();
  const bytes = Buffer.alloc(Math.max(8, Math.floor(batchBytes / RECORDS_A_BATCH) - RECORD_OVERHEAD_BYTES), 7);
  let block = 0;
  return {
    round() {
      run.clear();
      for (let count = 0; count < RECORDS_A_BATCH; count++) {
        block = (block + 7919) % PAGES;
        const raw = deltaRecord(FORK, block, 4096, bytes);
        let lsn = awaited as Lsn;
        if (lsn % 8192n === 0n) lsn = (lsn + 40n) as Lsn;
        awaited = recordEndLsn(lsn, raw.length, false);
        run.add(Number(lsn), Number(awaited), raw, 0, raw.length);
      }
      return new Promise((settle) => {
        resolve = settle;
        writer.append(run);
      });
    },
    close() {
      writer.stop();
      for (const { client } of endpoints) (client as SegmentClient).close();
    },
  };
}

async function importInto(client: SegmentEndpoint['client'], volumeState: Buffer, baseLsn: bigint): Promise<void> {
  const { call, answer } = client.importBase(DEADLINE);
  call.write({
    begin: { role: ROLE, segment: SEGMENT, epoch: 1n, baseLsn, systemIdentifier: 7n, volumeState, engine: postgres18.id },
    pages: [],
    finish: false,
  });
  for (let from = 0; from < PAGES; from += 100) {
    const pages = Array.from({ length: Math.min(100, PAGES - from) }, (_, index) => ({
      key: encodePageKey({ ...FORK, block: from + index }),
      page: filledPage(1),
    }));
    call.write({ begin: undefined, pages, finish: false });
  }
  call.write({ begin: undefined, pages: [], finish: true });
  call.end();
  await answer;
}
