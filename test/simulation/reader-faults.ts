import type { Cluster } from './cluster.ts';
import { kind, type Fault } from './fault.ts';

/** What happens to readers alone; all else happens to them as well. */

export function readerFaults(cluster: Cluster): Fault[] {
  const { world, network } = cluster;
  const { random } = world;
  const any = () => random.pick(cluster.livingReaders);
  return [
    kind('reader stopped for a while', 4, () => {
      const { machine } = any();
      machine.pause(world.spread(10, 8000));
      return machine.id;
    }),
    kind('reader killed', 2, () => {
      const { machine } = any();
      machine.die();
      cluster.startReader();
      return machine.id;
    }),
    kind('reader cut off from some', 4, () => {
      const { machine } = any();
      const others = cluster.storage.filter(() => world.chance(0.5));
      for (const other of others) {
        if (world.chance(0.5)) network.cutBoth(machine, other);
        else network.cut(other, machine);
      }
      return `${machine.id} from ${others.map(({ id }) => id).join(' ')}`;
    }),
    kind("reader's connections break", 3, () => {
      const { machine } = any();
      network.reset(machine);
      return machine.id;
    }),
  ];
}
