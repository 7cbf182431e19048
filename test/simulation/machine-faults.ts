import type { Cluster } from './cluster.ts';
import { down, kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';

/** What happens to machines, their clocks and their disks; nothing that was synced is lost by it. */

export function machineFaults(cluster: Cluster): Fault[] {
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
    kind('killed as it changes its control file', 3, () => {
      const machine = any();
      machine.disk.onRename = () => void world.after(0.001, () => down(machine, world.chance(0.8) ? 'process' : 'power'));
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

export function diskFaults({ world, storage }: Cluster): Fault[] {
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
