import type { Cluster } from './cluster.ts';
import { down, kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';

/**
 * What tries the writers' leases: agents that stand still beside a PostgreSQL that goes on, computes that are cut off and
 * whose clients are not, takeovers one soon after the other, clocks as wrong as they may be.
 */

/** Nobody needs more writers at once to break a rule of leases. */
const WRITERS_MAX = 4;

export function leaseFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const { random } = world;
  const answering = (): Machine | undefined => cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined)?.machine;
  const takeOver = (): void => {
    if (cluster.livingComputes.length < WRITERS_MAX) cluster.startWriter();
  };
  /** Those that were stopped or cut off long enough give way. */
  const pause = (machine: Machine): void => machine.pause(world.spread(500, 8000));

  return [
    kind('agent stopped beside its PostgreSQL, and another takes over', 20, () => {
      const victim = answering();
      if (victim === undefined) return undefined;
      pause(victim);
      world.after(world.spread(1, 150), takeOver);
      return victim.id;
    }),
    kind('takeovers one after the other, of agents that are stopped', 12, () => {
      const first = answering();
      if (first === undefined) return undefined;
      const times = random.integer(2, 3);
      let at = 0;
      pause(first);
      for (let time = 0; time < times; time++) {
        world.after(at, takeOver);
        at += world.spread(30, 700);
        world.after(at, () => {
          const newest = cluster.livingComputes.at(-1)?.machine;
          if (newest !== undefined && newest !== first) pause(newest);
        });
      }
      world.after(at + world.spread(1, 200), takeOver);
      return `${first.id}, ${times} times`;
    }),
    kind('compute cut off from storage, and another takes over', 12, () => {
      const victim = answering();
      if (victim === undefined) return undefined;
      for (const other of storage) {
        if (world.chance(0.7)) network.cut(victim, other);
        if (world.chance(0.7)) network.cut(other, victim);
      }
      world.after(world.spread(1, 150), takeOver);
      world.after(world.spread(300, 8000), () => network.heal());
      return victim.id;
    }),
    kind('clocks as wrong as they may be', 6, () => {
      const machines = [...storage, ...cluster.livingComputes.map(({ machine }) => machine)];
      for (const machine of machines) if (!machine.isClockBroken) machine.drift(random.pick([0.9, 0.95, 1, 1.05, 1.1]));
      return '';
    }),
    kind('daemons restart as another takes over', 8, () => {
      const victim = answering();
      if (victim !== undefined) pause(victim);
      const restarting = pickSome(storage, random.integer(1, 6), world);
      for (const machine of restarting) down(machine, world.chance(0.7) ? 'process' : 'power');
      world.after(world.spread(1, 150), takeOver);
      return namesOf(restarting);
    }),
  ];
}
