import type { Cluster } from './cluster.ts';
import { kind, type Fault } from './fault.ts';

/** What tails stand in for: full segments that are away for longer than a restart takes. And what happens while they do. */
export function standInFaults({ world, storage }: Cluster): Fault[] {
  const { random } = world;
  const leave = (index: number, ms: number): void => {
    const machine = storage[index];
    if (machine === undefined) return;
    machine.isWanted = false;
    machine.stop(world.chance(0.5) ? 'process' : 'power');
    world.after(ms, () => {
      machine.isWanted = true;
      machine.start();
    });
  };
  const fulls = (): number[] => storage.filter(({ role, isWanted }) => role === 'FULL' && isWanted).map(({ index }) => index);
  return [
    kind('full segment away for long', 15, () => {
      const there = fulls();
      // One is left as a rule: without any nobody can stand in.
      if (there.length <= (world.chance(0.9) ? 2 : 1)) return undefined;
      const index = random.pick(there);
      const ms = world.spread(500, 12_000);
      leave(index, ms);
      return `d${index}, for ${(ms / 1000).toFixed(1)} s`;
    }),
    kind('tail that stands in is away', 8, () => {
      const standing = storage.filter(({ segment, isWanted }) => isWanted && segment?.control.standIn !== undefined);
      if (standing.length === 0) return undefined;
      const { index } = random.pick(standing);
      leave(index, world.spread(50, 3000));
      return `d${index}`;
    }),
  ];
}
