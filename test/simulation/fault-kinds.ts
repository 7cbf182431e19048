import type { Cluster } from './cluster.ts';
import { contentFaults } from './content-faults.ts';
import type { FaultBudget } from './fault-budget.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';
import type { World } from './world.ts';
import { writerFaults } from './writer-faults.ts';

/** Every kind of fault there is, and how often it happens where nothing else is said. */
export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Makes it happen; says to whom and how. Undefined: it could not happen now. */
  readonly strike: () => string | undefined;
}

export function faultKinds(cluster: Cluster, budget: FaultBudget): Fault[] {
  return [
    ...machineFaults(cluster),
    ...networkFaults(cluster),
    ...diskFaults(cluster),
    ...contentFaults(cluster, budget),
    ...writerFaults(cluster),
  ];
}

export function kind(name: string, weight: number, strike: () => string | undefined): Fault {
  return { name, weight, strike };
}

/** The machine's process ends, or its power does; it is started again soon. */
export function down(machine: StorageMachine, how: 'process' | 'power'): string {
  machine.stop(how);
  machine.restartSoon();
  return machine.id;
}

export const namesOf = (machines: readonly Machine[]): string => machines.map(({ id }) => id).join(' ');

/** `count` of them, each at most once. */
export function pickSome<T>(items: readonly T[], count: number, { random }: World): T[] {
  const left = [...items];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(random.integer(0, left.length - 1), 1)).flat();
}

function machineFaults(cluster: Cluster): Fault[] {
  const { world, storage } = cluster;
  const { random } = world;
  const any = (): StorageMachine => random.pick(storage);
  const anyMachine = (): Machine => random.pick([...storage, ...cluster.livingComputes.map(({ machine }) => machine)]);
  return [
    kind('process killed', 6, () => down(any(), 'process')),
    kind('power lost', 5, () => down(any(), 'power')),
    kind('killed, then power lost', 3, () => {
      const machine = any();
      machine.stop('process');
      world.after(world.spread(2, 40), () => machine.start());
      world.after(world.spread(10, 400), () => down(machine, 'power'));
      return machine.id;
    }),
    kind('zone loses power', 1, () => {
      const { zone } = any();
      return namesOf(storage.filter((machine) => machine.zone === zone && down(machine, 'power') !== ''));
    }),
    kind('everything loses power', 0.5, () => storage.map((machine) => down(machine, 'power')).join(' ')),
    kind('power lost after an acknowledgement', 3, () => {
      const victims = pickSome(storage, random.integer(1, 3), world);
      cluster.onNextAcknowledgement = () => {
        for (const machine of victims) world.after(world.spread(0.01, 2), () => down(machine, 'power'));
      };
      return namesOf(victims);
    }),
    kind('machine stopped for a while', 5, () => {
      const machine = anyMachine();
      machine.pause(world.spread(10, 4000));
      return machine.id;
    }),
    kind('clock drifts', 1, () => {
      const machine = anyMachine();
      machine.drift(world.spread(0.5, 2));
      return `${machine.id}, ${machine.rate.toFixed(2)} seconds a second`;
    }),
    kind('clock leaps', 1, () => {
      const machine = anyMachine();
      const ms = world.spread(100, 120_000);
      machine.leap(ms);
      return `${machine.id}, by ${(ms / 1000).toFixed(1)} s`;
    }),
    kind('calendar set', 0.5, () => {
      const machine = anyMachine();
      machine.setCalendar(random.integer(-86_400_000, 86_400_000));
      return machine.id;
    }),
  ];
}

function networkFaults(cluster: Cluster): Fault[] {
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

function diskFaults({ world, storage }: Cluster): Fault[] {
  const { random } = world;
  const any = (): StorageMachine => random.pick(storage);
  return [
    kind('slow disk', 3, () => {
      const { id, disk } = any();
      disk.faults.latency = [1, world.spread(5, 800)];
      world.after(world.spread(200, 10_000), () => {
        disk.faults.latency = world.mix.diskMs;
      });
      return `${id}, up to ${disk.faults.latency[1].toFixed(0)} ms`;
    }),
    kind('failing disk', 2, () => {
      const machine = any();
      const failure = random.pick(['EIO', 'ENOSPC', 'EROFS'] as const);
      machine.disk.faults.failure = failure;
      world.after(world.spread(20, 3000), () => {
        machine.disk.faults.failure = undefined;
        if (world.chance(0.3)) down(machine, 'process');
      });
      return `${machine.id}, ${failure}`;
    }),
    kind('full disk', 1, () => {
      const { id, disk } = any();
      disk.faults.full = true;
      world.after(world.spread(200, 4000), () => {
        disk.faults.full = false;
      });
      return id;
    }),
  ];
}
