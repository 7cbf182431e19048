import { Cluster } from './cluster.ts';
import { Faults } from './faults.ts';
import { BrokenPromise } from './history.ts';
import { drawMix, type Mixture } from './mix.ts';
import { World, type Owner } from './world.ts';

/** One seed, from empty disks through whatever goes wrong to six level copies again. */

const READERS = 2;
const HEALS_WITHIN_MS = 120_000;
/** The load goes on for as long after the last fault: healing is not given peace. */
const LOADED_FOR_MS = 600;
/** For so long no other writer may be elected once all is well: many times the silence after which one is gone. */
const SETTLED_FOR_MS = 20_000;
const PAGE_CHECK_MS: readonly [number, number] = [50, 600];

export interface RunOutcome {
  readonly seed: number;
  readonly failure: Error | undefined;
  readonly trace: readonly string[];
  readonly events: number;
  readonly records: number;
  readonly acknowledgements: number;
  /** Given to readers, each time that one was. */
  readonly recordsShown: number;
  readonly pagesCompared: number;
  /** Looks at a segment in which something had changed, or at what it answered. */
  readonly checks: number;
  /** Times that a tail began to hold pages in its full segment's place. */
  readonly standIns: number;
  /** Times that a compute that followed was to take the writer's place. */
  readonly elections: number;
  /** Times that a writer's stream was lent to who carries it. */
  readonly lent: number;
  readonly faults: ReadonlyMap<string, number>;
}

export interface RunOptions {
  /** Notes what every part logs. */
  readonly traced: boolean;
  /** Kinds of faults that do not happen. */
  readonly without?: ReadonlySet<string>;
  /** `any` unless given. */
  readonly mixture?: Mixture;
}

/** Never rejects for what the system does: that is the outcome's failure. */
export async function runSeed(seed: number, { traced, without, mixture }: RunOptions): Promise<RunOutcome> {
  const world = new World(seed, drawMix(seed, mixture));
  const cluster = new Cluster(world, traced);
  const faults = new Faults(cluster, without);
  // What a part of the system, or a check, throws where nobody waits for it.
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  const afterEvent = (owner: Owner | undefined): void => {
    if (unhandled.length > 0) throw unhandled[0];
    cluster.check(owner);
  };
  let failure: Error | undefined;
  try {
    if (cluster.hasElections) cluster.startInstances();
    else cluster.startWriter();
    if (world.mix.mixture === 'readers') for (let count = 0; count < READERS; count++) cluster.startReader();
    checkNowAndThen(cluster);
    faults.start();
    await world.run(world.mix.faultsForMs, afterEvent);
    faults.stop();
    world.note('world', 'nothing more goes wrong');
    await heal(cluster, afterEvent);
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
    world.note('world', String(failure.stack));
  } finally {
    process.off('unhandledRejection', onUnhandled);
    world.end();
    for (const { disk } of cluster.storage) disk.wipe();
  }
  const { records, acknowledgements, recordsShown, pagesCompared } = cluster.history;
  return {
    seed,
    failure,
    trace: world.trace,
    events: world.events,
    records,
    acknowledgements,
    recordsShown,
    pagesCompared,
    checks: cluster.invariants.checks,
    standIns: cluster.invariants.standIns,
    elections: cluster.elections,
    lent: cluster.storage.reduce((sum, { files }) => sum + files.lent, 0),
    faults: faults.counts,
  };
}

function checkNowAndThen(cluster: Cluster): void {
  const { world, storage } = cluster;
  const next = (): void => {
    void cluster.checkPages(world.random.pick(storage));
    world.after(world.spread(...PAGE_CHECK_MS), next);
  };
  next();
}

/** Everything works: then six level copies and a writer must come of it, and every page be right on each. */
async function heal(cluster: Cluster, afterEvent: (owner: Owner | undefined) => void): Promise<void> {
  const { world } = cluster;
  const deadline = world.now + HEALS_WITHIN_MS;
  const keepOneWriter = (): void => {
    if (cluster.hasElections) cluster.startInstances();
    else if (cluster.livingComputes.length === 0) cluster.startWriter();
    for (const { reader } of cluster.livingReaders) reader.hurry();
    // Computes that elect their writer agree by themselves.
    if (!cluster.hasElections) for (const { machine } of cluster.livingComputes.slice(0, -1)) machine.die();
    if (!cluster.isHealthy) world.after(1000, keepOneWriter);
  };
  world.after(0, keepOneWriter);
  world.after(LOADED_FOR_MS, () => {
    cluster.isLoaded = false;
  });
  await world.run(deadline, afterEvent, () => cluster.isHealthy);
  if (!cluster.isHealthy)
    throw new BrokenPromise(`${HEALS_WITHIN_MS / 1000} s after the last fault it has not healed:\n${cluster.describe()}`);
  let checked = 0;
  for (const machine of cluster.storage) void cluster.checkPages(machine, world.mix.load.blocks).finally(() => checked++);
  await world.run(world.now + 10_000, afterEvent, () => checked === cluster.storage.length);
  if (!cluster.hasElections) return;
  const { writingEpoch } = cluster;
  await world.run(world.now + SETTLED_FOR_MS, afterEvent);
  if (writingEpoch === undefined || cluster.writingEpoch !== writingEpoch)
    throw new BrokenPromise(`another writer was elected, and nothing had gone wrong:\n${cluster.describe()}`);
}
