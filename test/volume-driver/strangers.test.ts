import { expect, it } from 'vitest';
import { AuroraRpcError, type SegmentState } from '@kube-aurora/rpc';
import type { EpochStart } from '@kube-aurora/volume';
import { SEGMENT } from '../simulation/storage.ts';
import { DriverWorld } from './driver-world.ts';

/**
 * Somebody reaches the daemons and sends any of them any epoch and any history, as a program with a wrong address
 * might.
 */

const SEEDS = 12;
const LASTS_MS = 4000;
const CALL_MS = 1000;

class Stranger {
  readonly #world: DriverWorld;
  readonly #compute;
  refusals = 0;
  taken = 0;

  constructor(world: DriverWorld) {
    this.#world = world;
    this.#compute = world.compute('elsewhere');
  }

  async talk(): Promise<void> {
    const { world } = this.#world;
    for (;;) {
      await world.wait(world.spread(2, 60));
      const victim = world.random.pick(this.#world.storage).index;
      const model = this.#world.state(world.random.pick(this.#world.storage).index);
      if (model !== undefined) void this.#lie(victim, model);
    }
  }

  async #lie(victim: number, model: SegmentState): Promise<void> {
    const { world } = this.#world;
    const { random } = world;
    const client = this.#compute.segments[victim]?.client;
    const held = this.#world.state(victim);
    if (client === undefined || held === undefined) return;
    const epoch = held.epoch + (world.chance(0.1) ? 2n ** 60n : BigInt(random.integer(0, 3)));
    const known = model.history.slice(0, random.integer(1, model.history.length));
    const history: EpochStart[] = [
      ...known,
      { epoch, startLsn: held.baseLsn + BigInt(random.integer(0, Number(held.scl - held.baseLsn) + 200)) },
    ];
    const options = { deadlineMs: CALL_MS };
    const dice = random.next();
    try {
      if (dice < 0.2) await client.openEpoch({ role: 'FULL', segment: SEGMENT, epoch, writerId: 'stranger', leaseMs: 0 }, options);
      else if (dice < 0.7) await client.installHistory({ segment: SEGMENT, epoch, history }, options);
      else this.#greet(victim, epoch, history, held.vdl);
      this.taken++;
    } catch (error) {
      if (!(error instanceof AuroraRpcError)) throw error;
      this.refusals++;
    }
  }

  #greet(victim: number, epoch: bigint, history: EpochStart[], vdl: bigint): void {
    const stream = this.#compute.segments[victim]?.client.append();
    stream?.on('error', () => this.refusals++);
    stream?.write({ hello: { role: 'FULL', segment: SEGMENT, epoch, writerId: 'stranger', history }, batches: undefined, vdl, pgmrpl: 0n });
  }
}

/**
 * Computes open and write, one after another: a stranger's epoch may take a volume from its writer, as any writer's
 * may.
 */
async function keepWriting(world: DriverWorld, acknowledged: { count: number }): Promise<void> {
  for (;;) {
    const compute = world.compute();
    const writer = await compute.write().catch(() => undefined);
    while (writer !== undefined) {
      writer.insert(world.world.random.integer(10, 2000));
      if ((await writer.flush()).kind !== 'durable') break;
      acknowledged.count++;
      await compute.machine.clock.sleep(world.world.spread(2, 40));
    }
    writer?.writePath.stop();
    await compute.machine.clock.sleep(20);
  }
}

it('redo that a segment knows to be durable is annulled by nobody, whatever is sent to whom', async () => {
  const sum = { acknowledged: 0, refusals: 0, taken: 0 };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const world = new DriverWorld(seed);
    await world.importVolume();
    const durable = new Map<number, bigint>();
    const check = (): void => {
      world.states().forEach((state, index) => {
        if (state === undefined) return;
        const now = state.vdl < state.scl ? state.vdl : state.scl;
        const before = durable.get(index) ?? 0n;
        if (now < before) throw new Error(`seed ${seed}: d${index} knew redo up to ${before} to be durable, and has it up to ${now}`);
        if (state.fault !== undefined) throw new Error(`seed ${seed}: d${index} is ${state.fault.kind}: ${state.message}`);
        durable.set(index, now);
      });
    };
    const stranger = new Stranger(world);
    const acknowledged = { count: 0 };
    void keepWriting(world, acknowledged);
    void stranger.talk();
    await world.world.run(world.world.now + LASTS_MS, check);
    sum.acknowledged += acknowledged.count;
    sum.refusals += stranger.refusals;
    sum.taken += stranger.taken;
  }
  // A test in which nothing happens proves nothing.
  expect(sum.acknowledged).toBeGreaterThan(SEEDS * 5);
  expect(sum.refusals).toBeGreaterThan(SEEDS * 20);
  expect(sum.taken).toBeGreaterThan(SEEDS);
}, 120_000);
