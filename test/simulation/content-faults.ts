import type { Cluster } from './cluster.ts';
import { LOSSES_MAX, type FaultBudget } from './fault-budget.ts';
import { down, kind, namesOf, type Fault } from './fault.ts';
import type { StorageMachine } from './storage.ts';

/** Disks that lose, damage or forge what they synced, as far as the volume promises to bear it. */
export function contentFaults(cluster: Cluster, budget: FaultBudget): Fault[] {
  const { world, storage, invariants } = cluster;
  const { random } = world;
  const any = (): StorageMachine => random.pick(storage);

  const replaceDisk = (machine: StorageMachine, most?: number): string | undefined => {
    if (!budget.take(machine, 'known', most)) return undefined;
    machine.stop('power');
    machine.disk.wipe();
    invariants.forget(machine);
    machine.restartSoon();
    return machine.id;
  };
  /** A loss that nobody knows of until the disk is read anew. */
  const untilPowerLoss = (machine: StorageMachine, ms: number, atLoss: () => void): void =>
    void world.after(ms, () => {
      machine.stop('power');
      atLoss();
      budget.shown(machine);
      machine.restartSoon();
    });

  return [
    kind('bit flipped', 3, () => {
      const machine = any();
      if (machine.segment?.phase !== 'READY') return undefined;
      // In the newest redo it may be a batch that only this disk knows of: nobody will miss it here. A file that was made for what
      // comes next, and has nothing in it, may be gone with the power.
      const isLog = world.chance(0.5);
      const newest = machine.disk.lastWritten('.redo');
      const where = (path: string): boolean => path.endsWith('.redo') === isLog && !(isLog && (newest === undefined || path >= newest));
      if (!budget.take(machine, 'known')) return undefined;
      const at = machine.disk.flipBit(where);
      if (isLog) invariants.noteFlip(machine);
      if (at !== undefined && world.chance(0.5)) world.after(world.spread(1, 200), () => down(machine, 'power'));
      return `${machine.id}, ${at ?? 'where nothing is'}`;
    }),
    kind('bit flipped in the newest redo', 0.5, () => {
      const machine = any();
      if (machine.segment?.phase !== 'READY' || !budget.take(machine, 'unknown')) return undefined;
      const newest = machine.disk.lastWritten('.redo');
      const at = machine.disk.flipBit((path) => path === newest);
      untilPowerLoss(machine, world.spread(10, 2000), () => undefined);
      return `${machine.id}, ${at ?? 'where nothing is'}`;
    }),
    kind('write misdirected', 0.7, () => {
      const machine = any();
      if (!budget.take(machine, 'unknown')) return undefined;
      machine.disk.faults.misdirected = random.integer(1, 3);
      untilPowerLoss(machine, world.spread(20, 2000), () => {
        machine.disk.faults.misdirected = 0;
      });
      return machine.id;
    }),
    kind('disk lies about syncs', 0.7, () => {
      const machine = any();
      if (!budget.take(machine, 'unknown')) return undefined;
      machine.disk.faults.lies = true;
      untilPowerLoss(machine, world.spread(100, 3000), () => {
        machine.disk.faults.lies = false;
      });
      return machine.id;
    }),
    kind('old disk comes back', 0.7, () => {
      const machine = any();
      if (!budget.take(machine, 'unknown')) return undefined;
      const old = machine.disk.snapshot();
      untilPowerLoss(machine, world.spread(200, 5000), () => machine.disk.restore(old));
      return machine.id;
    }),
    kind('disk replaced', 1, () => replaceDisk(any())),
    kind('zone and one more disk replaced', 0.4, () => {
      if (!budget.isLevel) return undefined;
      const one = random.pick(storage);
      const victims = [...storage.filter(({ zone }) => zone === one.zone), random.pick(storage.filter(({ zone }) => zone !== one.zone))];
      for (const machine of victims) replaceDisk(machine, LOSSES_MAX);
      return namesOf(victims);
    }),
  ];
}
