import type { Cluster } from './cluster.ts';
import { down, kind, namesOf, pickSome, type Fault } from './fault.ts';

/** How long nobody writes: all full segments store their pages as of the end meanwhile, and tails hear of it. */
const REST_MS: readonly [number, number] = [1500, 6000];
/** How long tails have time to drop what is before the redo that they alone have. */
const ALONE_MS: readonly [number, number] = [50, 1500];
/** Of a disk, for each thing that it does. */
const SLOW_MS: readonly [number, number] = [100, 500];

/** What brings a tail to let all of its log go: only it has redo past what all full segments have in their pages. */
export function tailFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const tails = storage.filter(({ role }) => role === 'TAIL');
  let isUnderWay = false;
  return [
    kind('redo left on tails alone', 10, () => {
      const writer = cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined);
      if (isUnderWay || writer === undefined) return undefined;
      isUnderWay = true;
      const holders = pickSome(tails, world.random.integer(1, 2), world);
      const restMs = world.spread(...REST_MS);
      cluster.restsUntil = world.now + restMs;
      world.after(restMs - 30, () => {
        for (const other of storage) if (!holders.includes(other)) network.cutBoth(writer.machine, other);
        // What comes is long on its way to the disk then.
        const isSlow = world.chance(0.5);
        if (isSlow) for (const { disk } of holders) disk.faults.latency = SLOW_MS;
        writer.writer.session?.burst(world.random.integer(1, 4));
        cluster.restsUntil = world.now + 20;
      });
      const aloneMs = world.spread(...ALONE_MS);
      world.after(restMs + aloneMs, () => {
        writer.machine.die();
        // Whoever opens next does not know of it.
        for (const holder of holders) for (const other of storage) if (other !== holder) network.cutBoth(holder, other);
        cluster.startWriter();
        for (const { machine } of cluster.livingComputes) for (const holder of holders) network.cutBoth(machine, holder);
      });
      world.after(restMs + aloneMs + world.spread(300, 3000), () => {
        network.heal();
        isUnderWay = false;
        for (const { disk } of holders) disk.faults.latency = world.mix.diskMs;
        // What it knows of itself is what its disk says.
        for (const holder of holders) if (world.chance(0.3)) world.after(world.spread(1, 50), () => down(holder, 'power'));
      });
      return `${namesOf(holders)}, after a rest of ${restMs.toFixed(0)} ms`;
    }),
  ];
}
