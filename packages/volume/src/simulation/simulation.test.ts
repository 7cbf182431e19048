import { describe, expect, it } from 'vitest';
import { COPIES } from '../quorum.ts';
import { ModelSegment, type ModelBatch } from './model-segment.ts';
import { ModelWriter, type Witness } from './model-writer.ts';
import { World } from './world.ts';

const SEEDS = Number(process.env['SIMULATION_SEEDS'] ?? 300);
const FIRST_SEED = Number(process.env['SIMULATION_SEED'] ?? 1);

/** Holds the volume to its promises: what was acknowledged or shown stays, whoever opens next. */
class Ledger implements Witness {
  readonly kept = new Map<string, ModelBatch>();
  #newest: { epoch: bigint; ids: Set<string> } = { epoch: 0n, ids: new Set() };
  acknowledgements = 0;
  opens = 0;

  opened(writer: ModelWriter, batches: readonly ModelBatch[]): void {
    this.opens++;
    const ids = new Set(batches.map((batch) => batch.id));
    if (writer.epoch < this.#newest.epoch) {
      // Its answers were late: it is fenced already, and what it shows for a moment must at least not be lost.
      for (const id of ids)
        if (!this.#newest.ids.has(id)) throw new Error(`${writer.name} shows ${id}, which epoch ${this.#newest.epoch} does not have`);
      return;
    }
    for (const id of this.kept.keys()) if (!ids.has(id)) throw new Error(`${writer.name} opened without ${id}, which was acknowledged`);
    for (const batch of batches) this.kept.set(batch.id, batch);
    if (writer.epoch === this.#newest.epoch) throw new Error(`${writer.name} opened with epoch ${writer.epoch}, which is taken`);
    this.#newest = { epoch: writer.epoch, ids };
  }

  acknowledged(writer: ModelWriter, batch: ModelBatch): void {
    this.acknowledgements++;
    if (writer.epoch < this.#newest.epoch && !this.#newest.ids.has(batch.id)) {
      throw new Error(`${writer.name} acknowledged ${batch.id} after epoch ${this.#newest.epoch} had opened without it`);
    }
    this.kept.set(batch.id, batch);
  }
}

function gossip(world: World, segments: readonly ModelSegment[]): void {
  const from = segments[world.pick(segments.length)];
  const to = segments[world.pick(segments.length)];
  if (from !== undefined && to !== undefined && from !== to) {
    const { history } = from;
    const log = [...from.log];
    world.send(from.name, to.name, () => to.pullFrom(history, log));
  }
  world.after(20 * world.random() + 5, () => gossip(world, segments));
}

function disturb(world: World, segments: readonly ModelSegment[], writers: ModelWriter[], ledger: Ledger): void {
  const name = (): string => (world.chance(0.7) ? (segments[world.pick(segments.length)]?.name ?? '') : (writers.at(-1)?.name ?? ''));
  const what = world.random();
  if (what < 0.3) world.isolated.add(name());
  else if (what < 0.55) world.isolated.clear();
  else if (what < 0.7) world.pausedUntil.set(name(), world.now + world.random() * 400);
  else if (what < 0.8) world.lossRate = world.chance(0.5) ? 0 : world.random() * 0.4;
  else {
    // A new compute, while the old one is dead, paused, cut off or alive and well.
    const old = writers.at(-1);
    if (old !== undefined && world.chance(0.5)) old.dead = true;
    writers.push(new ModelWriter(`w${writers.length}`, world, segments, ledger));
  }
  world.after(world.random() * 300, () => disturb(world, segments, writers, ledger));
}

function simulate(seed: number): { ledger: Ledger; segments: ModelSegment[] } {
  const world = new World(seed);
  const ledger = new Ledger();
  const segments = Array.from({ length: COPIES }, (_, index) => new ModelSegment(`s${index}`));
  const writers = [new ModelWriter('w0', world, segments, ledger)];
  let disturbing = true;
  const load = (): void => {
    for (const writer of writers) if (world.chance(0.8)) writer.write();
    world.after(world.random() * 40, load);
  };
  load();
  gossip(world, segments);
  world.after(100, () => {
    if (disturbing) disturb(world, segments, writers, ledger);
  });
  world.runUntil(6000);

  // Then everything heals, and one more compute opens: all six must come to the same log, with all that was promised in it.
  disturbing = false;
  world.isolated.clear();
  world.pausedUntil.clear();
  world.lossRate = 0;
  for (const writer of writers) writer.dead = true;
  const healed = new World(seed + 1_000_000);
  const last = new ModelWriter('last', healed, segments, ledger);
  gossip(healed, segments);
  healed.runUntil(3000);
  if (!last.running) throw new Error(`the last writer did not open: ${last.waitingFor}`);
  for (let count = 0; count < 5; count++) {
    last.write();
    healed.runUntil(healed.now + 200);
  }
  healed.runUntil(healed.now + 3000);
  return { ledger, segments };
}

describe('six segments and successive writers', () => {
  it(`keep what was acknowledged, and agree, for seeds ${FIRST_SEED} to ${FIRST_SEED + SEEDS - 1}`, () => {
    let acknowledgements = 0;
    let opens = 0;
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++) {
      try {
        const { ledger, segments } = simulate(seed);
        acknowledgements += ledger.acknowledgements;
        opens += ledger.opens;
        const logs = segments.map((segment) => segment.log.map((batch) => batch.id));
        for (const log of logs) expect(log).toEqual(logs[0]);
        const ids = new Set(logs[0]);
        for (const id of ledger.kept.keys()) expect(ids.has(id), `${id} was promised`).toBe(true);
      } catch (error) {
        throw new Error(
          `seed ${seed} (SIMULATION_SEED=${seed} SIMULATION_SEEDS=1): ${error instanceof Error ? error.message : String(error)}`,
          { cause: error },
        );
      }
    }
    // A simulation in which nothing happens proves nothing.
    expect(acknowledgements).toBeGreaterThan(SEEDS * 10);
    expect(opens).toBeGreaterThan(SEEDS * 2);
  }, 120_000);

  it('is the same run for the same seed', () => {
    const ids = (): string[] => [...simulate(7).ledger.kept.keys()];
    expect(ids()).toEqual(ids());
  });
});
