import type { Cluster } from './cluster.ts';
import { kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';

/** What makes computes elect another writer, and what comes between while they do; all else happens to them as well. */

export function electionFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const { random } = world;
  const computes = (): readonly Machine[] => cluster.livingComputes.map(({ machine }) => machine);
  const writing = (): Machine | undefined => cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined)?.machine;
  const comeBack = (): void => void world.after(world.spread(300, 8000), () => cluster.startWriter());
  const cutOff = (machine: Machine, others: readonly Machine[]): void => {
    for (const other of others) {
      if (world.chance(0.8)) network.cut(machine, other);
      if (world.chance(0.8)) network.cut(other, machine);
    }
    world.after(world.spread(1000, 8000), () => network.heal());
  };
  return [
    kind('writer killed', 12, () => {
      const victim = writing();
      if (victim === undefined) return undefined;
      victim.die();
      comeBack();
      return victim.id;
    }),
    kind('writer stands still', 8, () => {
      const victim = writing();
      victim?.pause(world.spread(1500, 9000));
      return victim?.id;
    }),
    kind('writer cut off', 8, () => {
      const victim = writing();
      if (victim === undefined) return undefined;
      const others = pickSome(storage, random.integer(2, 6), world);
      cutOff(victim, others);
      return `${victim.id} from ${namesOf(others)}`;
    }),
    kind('writer and a candidate killed', 6, () => {
      const victim = writing();
      if (victim === undefined) return undefined;
      const others = pickSome(
        computes().filter((machine) => machine !== victim),
        1,
        world,
      );
      for (const machine of [victim, ...others]) {
        machine.die();
        comeBack();
      }
      return namesOf([victim, ...others]);
    }),
    kind('candidate killed in an election', 6, () => {
      const victim = writing();
      if (victim === undefined) return undefined;
      victim.die();
      comeBack();
      world.after(world.spread(1900, 3200), () => {
        // Nobody is killed any more once all is to heal.
        if (world.now >= world.mix.faultsForMs) return;
        const [candidate] = pickSome(computes(), 1, world);
        candidate?.die();
        comeBack();
      });
      return victim.id;
    }),
    kind('daemons restart as the writer dies', 5, () => {
      const victim = writing();
      if (victim === undefined) return undefined;
      victim.die();
      comeBack();
      const restarting = pickSome(storage, random.integer(1, 6), world);
      for (const machine of restarting) {
        machine.stop('process');
        machine.restartSoon();
      }
      return `${victim.id}, ${namesOf(restarting)}`;
    }),
    kind('all stands still', 3, () => {
      const ms = world.spread(2000, 8000);
      for (const machine of [...storage, ...computes()]) machine.pause(ms);
      return `for ${(ms / 1000).toFixed(1)} s`;
    }),
  ];
}
