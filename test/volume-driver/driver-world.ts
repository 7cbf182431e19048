import type { GetPagesRequest, SegmentState } from '@kube-aurora/rpc';
import { LEASE_MS_DEFAULT, type VolumeCopies } from '@kube-aurora/volume';
import { importVolume } from '../../compute-node/src/bootstrap/import-volume.ts';
import { fetchComputeImage } from '../../compute-node/src/open/fetch-image.ts';
import { makeFirstBatch } from '../../compute-node/src/open/first-batch.ts';
import { openVolume, type OpenOutcome, type OpenVolumeOptions, type OpenedVolume } from '../../compute-node/src/open/open-volume.ts';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { WritePath } from '../../compute-node/src/write-path/write-path.ts';
import { syntheticRecord } from '../../storage-daemon/src/testing/synthetic-records.ts';
import { PLAIN_MIX } from '../simulation/mix.ts';
import { Machine } from '../simulation/machine.ts';
import { Network } from '../simulation/network.ts';
import { Exchange } from '../simulation/simulated-api.ts';
import { SimulatedWal } from '../simulation/simulated-database.ts';
import { endpointsFor, SEGMENT, storageMachines, type StorageMachine } from '../simulation/storage.ts';
import { syntheticVolume } from '../simulation/synthetic-volume.ts';
import { World } from '../simulation/world.ts';

/**
 * Six storage daemons, as they ship, on the simulated disk, network and clock, and the parts of the volume's driver on
 * computes beside them: a test says what goes wrong and when. Time is virtual: a test takes no longer on a busy
 * machine, and none is flaky.
 */
export class DriverWorld {
  readonly world: World;
  readonly network: Network;
  readonly exchange: Exchange;
  readonly storage: readonly StorageMachine[];
  #computes = 0;

  /** `standInAfterMs`: when a tail stands in for its zone's full segment; never unless given. */
  constructor(seed = 1, copies: VolumeCopies = 'Full', standInAfterMs?: number) {
    this.world = new World(seed, { ...PLAIN_MIX, copies, standInAfterMs });
    this.network = new Network(this.world);
    this.exchange = new Exchange(this.network);
    this.storage = storageMachines(this.exchange, false);
    for (const machine of this.storage) machine.start();
  }

  compute(zone = 'zone-0'): Compute {
    const machine = new Machine(this.world, `c${this.#computes++}`, zone, false);
    machine.start();
    return new Compute(this, machine);
  }

  /** A volume that all six hold, of epoch 1. */
  async importVolume(): Promise<void> {
    const compute = this.compute();
    const outcome = await this.until(compute.open());
    if (outcome.kind !== 'bootstrap') throw new Error(`not to be bootstrapped: ${outcome.kind}`);
    const { segments, identity, machine } = compute;
    const { clock, logger } = machine;
    await this.until(importVolume({ segments, identity, epoch: outcome.epoch, content: syntheticVolume(), clock, logger }));
  }

  /** What it resolves to, in virtual time. Throws when it has not after `withinMs`. */
  async until<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    let isSettled = false;
    const settle = (): void => void (isSettled = true);
    promise.then(settle, settle);
    await this.holds(() => isSettled, withinMs);
    return promise;
  }

  /** Lets time pass until something holds. Throws when it does not after `withinMs`. */
  async holds(condition: () => boolean, withinMs = 60_000): Promise<void> {
    await new Promise(setImmediate);
    if (!condition()) await this.world.run(this.world.now + withinMs, () => undefined, condition);
    if (!condition()) throw new Error(`not within ${withinMs} ms: ${condition.toString()}`);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(this.world.now + ms, () => undefined);
  }

  /** Has it settled after so long? */
  async hasSettled(promise: Promise<unknown>, ms: number): Promise<boolean> {
    let isSettled = false;
    void promise.then(() => (isSettled = true));
    await this.pass(ms);
    return isSettled;
  }

  stop(...indexes: number[]): void {
    for (const index of indexes) this.#machine(index).stop('process');
  }

  start(...indexes: number[]): void {
    for (const index of indexes) this.#machine(index).start();
  }

  /** They stand still: connections stay, and nothing is answered. */
  hang(ms: number, ...indexes: number[]): void {
    for (const index of indexes) this.#machine(index).pause(ms);
  }

  wipe(...indexes: number[]): void {
    this.lose(...indexes);
    this.start(...indexes);
  }

  /** They and their disks are gone: when they start again they have empty ones. */
  lose(...indexes: number[]): void {
    for (const index of indexes) {
      this.#machine(index).stop('power');
      this.#machine(index).disk.wipe();
    }
  }

  /** Nothing passes between daemons: no redo and no history but what a test sends. */
  cutPeers(): void {
    for (const from of this.storage) for (const to of this.storage) if (from !== to) this.network.cut(from, to);
  }

  /** Undefined while it is down. */
  state(index: number): SegmentState | undefined {
    return this.#machine(index).segment?.state();
  }

  states(): (SegmentState | undefined)[] {
    return this.storage.map(({ index }) => this.state(index));
  }

  #machine(index: number): StorageMachine {
    const machine = this.storage[index];
    if (machine === undefined) throw new RangeError(`no storage machine ${index}`);
    return machine;
  }
}

/** One compute: its own machine, its own connections, its own name. */
export class Compute {
  readonly machine: Machine;
  readonly segments: readonly SegmentEndpoint[];
  /** Pages asked for, in order. */
  readonly asked: { readonly id: string; readonly request: GetPagesRequest }[] = [];

  constructor(world: DriverWorld, machine: Machine) {
    this.machine = machine;
    this.segments = endpointsFor(machine, world.exchange, world.storage).map(({ client, ...endpoint }) => ({
      ...endpoint,
      client: {
        ...client,
        getPages: (request, options) => {
          this.asked.push({ id: endpoint.id, request });
          return client.getPages(request, options);
        },
      },
    }));
  }

  get identity(): { readonly segment: typeof SEGMENT; readonly writerId: string } {
    return { segment: SEGMENT, writerId: this.machine.id };
  }

  open(options: Partial<OpenVolumeOptions> = {}): Promise<OpenOutcome> {
    const { clock, logger } = this.machine;
    return openVolume({
      segments: this.segments,
      identity: this.identity,
      heldEpoch: undefined,
      leaseMs: LEASE_MS_DEFAULT,
      volumeExists: false,
      clock,
      logger,
      signal: new AbortController().signal,
      onWaiting: () => undefined,
      ...options,
    });
  }

  async opened(): Promise<OpenedVolume> {
    const outcome = await this.open();
    if (outcome.kind !== 'opened') throw new Error(`not opened: ${outcome.kind}`);
    return outcome;
  }

  /** A write path on the opened volume, with its first batch durable, and the WAL that it reads. */
  async write(ringBytesMax = 256 * 1024): Promise<Writing> {
    const opened = await this.opened();
    const { clock, logger } = this.machine;
    const { segments, identity } = this;
    const writing = new Writing(opened);
    writing.writePath = new WritePath({
      ...opened,
      segments,
      identity,
      ringBytesMax,
      placement: SINGLE_GROUP,
      oldestRead: () => writing.oldestRead,
      onFenced: (message) => void writing.fences.push(message),
      onDamagedWal: (error) => void writing.damages.push(error.message),
      onFlushSent: () => undefined,
      onFlushed: () => undefined,
      clock,
      logger,
    });
    writing.writePath.start();
    const { signal } = new AbortController();
    const { epoch, startLsn: lsn } = opened;
    const upToDate = opened.upToDate.flatMap((index) => segments[index] ?? []);
    const image = await fetchComputeImage({ segments: upToDate, identity, epoch, lsn, clock, logger, signal });
    const first = makeFirstBatch(image.state, image.slruPages, clock.wallTime());
    const outcome = await writing.writePath.appendFirst(first.records);
    if (outcome.kind !== 'durable') throw new Error(`the first batch is ${outcome.kind}`);
    writing.wal = new SimulatedWal({ image, first });
    writing.writePath.follow(
      { read: (from, to, bytesMax) => writing.read(from, to, bytesMax) },
      first.checkpointLsn,
      image.state.control.systemIdentifier,
    );
    return writing;
  }
}

/** An epoch of a compute, with the file that its PostgreSQL would write. */
export class Writing {
  readonly opened: OpenedVolume;
  writePath!: WritePath;
  wal!: SimulatedWal;
  readonly fences: string[] = [];
  readonly damages: string[] = [];
  /** LSN of a page read under way, as the write path hears of it. */
  oldestRead: bigint | undefined;
  /** What the file shows as zeros, although it was written. */
  hole: { readonly from: bigint; readonly to: bigint } | undefined;

  constructor(opened: OpenedVolume) {
    this.opened = opened;
  }

  /** One record that changes nothing; gives its end. */
  insert(bytes = 40): { readonly lsn: bigint; readonly endLsn: bigint } {
    return this.wal.write(syntheticRecord(bytes));
  }

  flush(): ReturnType<WritePath['flush']> {
    return this.writePath.flush(this.wal.writtenLsn);
  }

  read(from: Parameters<SimulatedWal['read']>[0], to: bigint, bytesMax: number): Buffer {
    // As from a file: not a page at a time.
    const pieces: Buffer[] = [];
    for (let at = from; at < to && at - from < BigInt(bytesMax);) {
      const piece = this.wal.read(at, to, bytesMax - Number(at - from));
      pieces.push(piece);
      at = (at + BigInt(piece.length)) as typeof at;
    }
    const bytes = Buffer.concat(pieces);
    if (this.hole !== undefined) {
      const start = Math.max(0, Number(this.hole.from - from));
      const end = Math.min(bytes.length, Number(this.hole.to - from));
      if (end > start) bytes.fill(0, start, end);
    }
    return bytes;
  }
}
