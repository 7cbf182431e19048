import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { silentLogger } from '@kube-aurora/process';
import { encodePageKey, type PageId, postgres18 } from '@kube-aurora/redo';
import {
  AuroraRpcError,
  encodeAppendRequest,
  SegmentClient,
  type AppendResponse,
  type AppendStream,
  type SegmentAddress,
  type SegmentState,
  PLAIN_TEXT,
} from '@kube-aurora/rpc';
import { freePort } from '@kube-aurora/test-ports';
import { rolesOf, type SegmentRole, type VolumeCopies } from '@kube-aurora/volume';
import { Daemon } from '../daemon.ts';
import type { Disk } from '../disk/disk.ts';
import { systemDisk } from '../disk/system-disk.ts';
import { systemNetwork } from '../edge/daemon-network.ts';
import { DEFAULT_LIMITS, type SegmentLimits } from '../segment/limits.ts';
import type { GivenKeys } from '../segment/segment-key.ts';
import { ENGINES } from './postgres-pages.ts';
import { batchAfter, filledPage, syntheticState, type ChainEnd } from './synthetic-records.ts';

/** Daemons in this process, over real gRPC and frames on loopback, and a writer that does the least a writer must. */

export const VOLUME = '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10';
export const SEGMENT = { volumeId: VOLUME, pg: 0 };
export const DEADLINE = { deadlineMs: 30_000 };
const CHECKPOINT = 0x150_0028n;

export const TEST_LIMITS: SegmentLimits = {
  ...DEFAULT_LIMITS,
  logFileBytes: 256 * 1024,
  tailCacheBytes: 64 * 1024,
  pageCacheBytes: 32 * 8192,
};

const zoneOf = (i: number): string => `zone-${i % 3}`;

/** As the program has them. */
const LANES = await AppendLanes.load(undefined, systemClock());

export class TestCluster {
  readonly directory = fs.mkdtempSync(join(tmpdir(), 'aurora-daemons-'));
  readonly list: { id: string; address: string; framesAddress: string; role: SegmentRole }[] = [];
  readonly daemons: (Daemon | undefined)[] = [];
  readonly clients: SegmentClient[] = [];
  readonly limits: SegmentLimits;
  /** Of daemons that start from now on. */
  logger = silentLogger();
  /** Of daemons that start from now on; tails never stand in unless given. */
  standInAfterMs: number | undefined;
  /** Of daemons that start from now on; nothing is sealed unless given. */
  keys: GivenKeys | undefined;
  /** By daemon, of those that start from now on; the machine's own unless given. */
  readonly disks = new Map<number, Disk>();

  private constructor(limits: SegmentLimits) {
    this.limits = limits;
  }

  /** Daemon i is in zone i modulo 3. */
  static async start(size: number, limits = TEST_LIMITS, copies: VolumeCopies = 'Full'): Promise<TestCluster> {
    const cluster = new TestCluster(limits);
    const roles = rolesOf(
      copies,
      Array.from({ length: size }, (_, i) => zoneOf(i)),
    );
    for (let i = 0; i < size; i++) {
      const [address, framesAddress] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
      cluster.list.push({ id: `d${i}`, address, framesAddress, role: roles[i] ?? 'FULL' });
    }
    for (let i = 0; i < size; i++) {
      cluster.clients.push(new SegmentClient(cluster.addresses(i), systemClock()));
      await cluster.startDaemon(i);
    }
    return cluster;
  }

  role(i: number): SegmentRole {
    return this.list[i]?.role ?? 'FULL';
  }

  addresses(i: number): SegmentAddress {
    const addresses = this.list[i];
    if (addresses === undefined) throw new Error(`no daemon ${i}`);
    return addresses;
  }

  dataOf(i: number): string {
    return join(this.directory, `d${i}`);
  }

  async startDaemon(i: number): Promise<Daemon> {
    const daemon = await Daemon.start({
      dataDirectory: this.dataOf(i),
      listen: this.addresses(i).address,
      framesListen: this.addresses(i).framesAddress,
      daemonId: `d${i}`,
      zone: zoneOf(i),
      peers: this.list,
      limits: this.limits,
      scrubBytesPerSecond: 0,
      ...(this.standInAfterMs === undefined ? {} : { standInAfterMs: this.standInAfterMs }),
      logger: this.logger,
      disk: this.disks.get(i) ?? systemDisk(),
      keys: this.keys,
      engines: ENGINES,
      network: systemNetwork(systemClock(), PLAIN_TEXT, LANES),
      clock: systemClock(),
    });
    this.daemons[i] = daemon;
    return daemon;
  }

  async stopDaemon(i: number): Promise<void> {
    await this.daemons[i]?.stop();
    this.daemons[i] = undefined;
  }

  daemon(i: number): Daemon {
    const daemon = this.daemons[i];
    if (daemon === undefined) throw new Error(`daemon ${i} is down`);
    return daemon;
  }

  client(i: number): SegmentClient {
    const client = this.clients[i];
    if (client === undefined) throw new Error(`no daemon ${i}`);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    for (let i = 0; i < this.daemons.length; i++) await this.stopDaemon(i);
    fs.rmSync(this.directory, { recursive: true, force: true });
  }

  /** Waits until a daemon answers: a client's channel rests after a refused connection. */
  async reachable(i: number): Promise<void> {
    for (let tries = 0; ; tries++) {
      try {
        await this.status(i);
        return;
      } catch (error) {
        if (!(error instanceof AuroraRpcError) || error.code !== 'UNREACHABLE' || tries > 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  status(i: number): Promise<SegmentState> {
    return this.client(i).status(SEGMENT, DEADLINE);
  }

  /** Waits until a daemon's state is as wanted. */
  async until(i: number, isThere: (state: SegmentState) => boolean, timeoutMs = 40_000): Promise<SegmentState> {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const state = await this.status(i);
      if (isThere(state)) return state;
      if (Date.now() > end)
        throw new Error(
          `d${i} did not get there: ${JSON.stringify(state, (_key, value: unknown) => (typeof value === 'bigint' ? value.toString(16) : value))}`,
        );
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Has the pages of these daemons stored as of the end of the redo, which must be the last that was sent. */
  async checkpointAt(members: readonly number[], { lsn }: ChainEnd): Promise<void> {
    for (const i of members) {
      const { pages } = await this.daemon(i).segment(VOLUME, 0);
      if (pages === undefined) throw new Error(`d${i} has no pages`);
      // Asked of one that has not applied all of it, it would store them as of an older end, or find nothing to do.
      await this.until(i, () => pages.appliedLsn === lsn);
      pages.requestCheckpoint();
      await this.until(i, () => pages.checkpointLsn === lsn);
    }
  }

  /** Imports a volume with a few pages into the daemons given. Returns where its log begins. */
  async import(epoch: bigint, members: readonly number[], pages: readonly { page: PageId; fill: number }[] = []): Promise<ChainEnd> {
    const { encoded, baseLsn } = syntheticState(
      CHECKPOINT,
      pages.map(({ page }) => ({ fork: page, blocks: page.block + 1 })),
    );
    const importInto = async (i: number): Promise<void> => {
      const { call, answer } = this.client(i).importBase(DEADLINE);
      call.write({
        begin: { role: this.role(i), segment: SEGMENT, epoch, baseLsn, systemIdentifier: 7n, volumeState: encoded, engine: postgres18.id },
        pages: [],
        finish: false,
      });
      call.write({
        begin: undefined,
        pages: this.role(i) === 'TAIL' ? [] : pages.map(({ page, fill }) => ({ key: encodePageKey(page), page: filledPage(fill) })),
        finish: false,
      });
      call.write({ begin: undefined, pages: [], finish: true });
      call.end();
      await answer;
    };
    // All at once, as a bootstrap does it: a daemon that is left out copies itself from three that are done.
    await Promise.all(members.map(importInto));
    return { lsn: baseLsn, epoch };
  }

  /** Opens an epoch on the daemons given and annuls past `start`. */
  async open(
    epoch: bigint,
    writerId: string,
    start: ChainEnd,
    history: { epoch: bigint; startLsn: bigint }[],
    members: readonly number[],
  ): Promise<TestWriter> {
    for (const i of members)
      await this.client(i).openEpoch({ role: this.role(i), segment: SEGMENT, epoch, writerId, leaseMs: 0 }, DEADLINE);
    const whole = [...history, { epoch, startLsn: start.lsn }];
    for (const i of members) await this.client(i).installHistory({ segment: SEGMENT, epoch, history: whole }, DEADLINE);
    return new TestWriter(this, epoch, writerId, whole, start);
  }

  async page(i: number, page: PageId, lsn: bigint, epoch: bigint): Promise<number | undefined> {
    const answer = await this.client(i).getPages({ segment: SEGMENT, epoch, lsn, keys: [encodePageKey(page)] }, DEADLINE);
    return answer.present[0] === 1 ? answer.pages[0]?.[8000] : undefined;
  }
}

export class TestWriter {
  readonly epoch: bigint;
  readonly history: { epoch: bigint; startLsn: bigint }[];
  end: ChainEnd;
  readonly #cluster: TestCluster;
  readonly #writerId: string;
  readonly #streams = new Map<number, { stream: AppendStream; answers: AppendResponse[]; error: Promise<unknown> }>();

  constructor(cluster: TestCluster, epoch: bigint, writerId: string, history: { epoch: bigint; startLsn: bigint }[], start: ChainEnd) {
    this.#cluster = cluster;
    this.epoch = epoch;
    this.#writerId = writerId;
    this.history = history;
    this.end = start;
  }

  stream(i: number): { stream: AppendStream; answers: AppendResponse[]; error: Promise<unknown> } {
    const known = this.#streams.get(i);
    if (known !== undefined) return known;
    const stream = this.#cluster.client(i).append();
    const answers: AppendResponse[] = [];
    stream.on('data', (answer: AppendResponse) => answers.push(answer));
    const error = new Promise((resolve) => {
      stream.on('error', resolve);
      stream.on('end', () => resolve(undefined));
    });
    stream.write({
      hello: { role: this.#cluster.role(i), segment: SEGMENT, epoch: this.epoch, writerId: this.#writerId, history: this.history },
      batches: undefined,
      vdl: 0n,
      pgmrpl: 0n,
    });
    const made = { stream, answers, error };
    this.#streams.set(i, made);
    return made;
  }

  /** Forgets a stream that is to be made anew. */
  drop(i: number): void {
    this.#streams.get(i)?.stream.cancel();
    this.#streams.delete(i);
  }

  /** Sends one batch to the members; with `wait`, until all have acknowledged it. */
  async append(raws: readonly Buffer[], members: readonly number[], wait = true): Promise<bigint[]> {
    const { batch, records, end } = batchAfter(this.end, this.epoch, raws);
    const message = encodeAppendRequest([batch], this.end.lsn, 0n);
    for (const i of members) this.stream(i).stream.write(message);
    this.end = end;
    if (wait) for (const i of members) await this.acknowledged(i, end.lsn);
    return records.map((record) => record.endLsn);
  }

  /** Says that everything sent is durable, and where computes read. */
  points(members: readonly number[], pgmrpl = this.end.lsn): void {
    for (const i of members) this.stream(i).stream.write(encodeAppendRequest([], this.end.lsn, pgmrpl));
  }

  async acknowledged(i: number, lsn: bigint, timeoutMs = 30_000): Promise<void> {
    const { answers } = this.stream(i);
    const end = Date.now() + timeoutMs;
    while (!answers.some((answer) => answer.result === 'OK' && answer.scl >= lsn)) {
      const refused = answers.find((answer) => answer.result === 'FENCED' || answer.result === 'REFUSED');
      if (refused !== undefined) throw new AuroraRpcError('FENCED', `${refused.result}: ${refused.message}`);
      if (Date.now() > end) throw new Error(`d${i} did not acknowledge ${lsn}: ${answers.map((answer) => answer.result).join(' ')}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Resolves when a stream to `i` has answered its hello: one that met a daemon on its way down or up is made anew. */
  async connected(i: number): Promise<void> {
    for (;;) {
      const { answers, error } = this.stream(i);
      let isBroken = false;
      void error.then(() => (isBroken = true));
      while (!isBroken && answers.length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      if (!isBroken) return;
      this.drop(i);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  close(): void {
    for (const i of this.#streams.keys()) this.drop(i);
  }
}
