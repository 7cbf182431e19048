import type { Cluster } from './cluster.ts';
import { kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';

/** What happens between machines. */
export function networkFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const { random } = world;
  const machines = (): Machine[] => [...storage, ...cluster.livingComputes.map(({ machine }) => machine)];
  const healLater = (): void => void world.after(world.spread(50, 8000), () => network.heal());
  return [
    kind('machine cut off', 3, () => {
      const alone = random.pick(machines());
      for (const other of machines()) network.cutBoth(alone, other);
      healLater();
      return alone.id;
    }),
    kind('machine cut off one way', 3, () => {
      const alone = random.pick(machines());
      const isDeaf = world.chance(0.5);
      for (const other of machines()) network.cut(...(isDeaf ? ([other, alone] as const) : ([alone, other] as const)));
      healLater();
      return `${alone.id} ${isDeaf ? 'hears nobody' : 'is heard by nobody'}`;
    }),
    kind('links cut one way', 3, () => {
      const links = Array.from({ length: random.integer(1, 12) }, () => [random.pick(machines()), random.pick(machines())] as const);
      for (const [from, to] of links) network.cut(from, to);
      healLater();
      return links.map(([from, to]) => `${from.id}>${to.id}`).join(' ');
    }),
    kind('network in two', 2, () => {
      const one = pickSome(machines(), random.integer(1, 4), world);
      for (const a of one) for (const b of machines()) if (!one.includes(b)) network.cutBoth(a, b);
      healLater();
      return `${namesOf(one)} on one side`;
    }),
    kind('network heals', 6, () => {
      network.heal();
      return '';
    }),
    kind('connections break', 3, () => {
      const machine = random.pick(machines());
      network.reset(machine);
      return `of ${machine.id}`;
    }),
    kind('network slow', 1.5, () => {
      network.lateChance = world.spread(0.05, 0.6);
      world.after(world.spread(100, 3000), () => {
        network.lateChance = undefined;
      });
      return `${Math.round(100 * network.lateChance)} % of messages`;
    }),
  ];
}
