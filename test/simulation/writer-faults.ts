import type { Cluster } from './cluster.ts';
import { down, kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';
import { strangersHistory } from './stranger.ts';

/** What happens to writers, and what a stranger says in their name. */
export function writerFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const { random } = world;
  const newest = (): Machine | undefined => cluster.livingComputes.at(-1)?.machine;
  const replaceLater = (ms: number): void =>
    void world.after(ms, () => {
      if (cluster.livingComputes.length === 0) cluster.startWriter();
    });
  /** The writer reaches only these; the others know of nothing that it does from now on. */
  const leaveOnly = (machine: Machine, reached: readonly Machine[]): void => {
    for (const other of storage) if (!reached.includes(other)) network.cutBoth(machine, other);
  };

  return [
    kind('compute killed', 3, () => {
      const victim = newest();
      victim?.die();
      replaceLater(world.spread(50, 2000));
      return victim?.id;
    }),
    kind('another compute takes over', 3, () => {
      if (cluster.livingComputes.length > 3) return undefined;
      cluster.startWriter();
      return cluster.computes.at(-1)?.machine.id;
    }),
    kind('two computes at once', 3, () => {
      if (cluster.livingComputes.length > 3) return undefined;
      cluster.startWriter();
      world.after(world.spread(0.1, 30), () => cluster.startWriter());
      return cluster.computes.at(-1)?.machine.id;
    }),
    kind('writer reaches few', 4, () => {
      const machine = newest();
      if (machine === undefined) return undefined;
      const reached = pickSome(storage, random.pick([2, 3, 3, 4, 4]), world);
      leaveOnly(machine, reached);
      world.after(world.spread(50, 4000), () => network.heal());
      return `${machine.id} reaches ${namesOf(reached)}`;
    }),
    kind('redo left on few', 8, () => {
      const writer = cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined);
      if (writer === undefined) return undefined;
      const holders = pickSome(storage, random.integer(1, 3), world);
      leaveOnly(writer.machine, holders);
      // Somebody is behind, and will ask those that have too much.
      const behind = random.pick(storage.filter((machine) => !holders.includes(machine)));
      if (world.chance(0.5)) down(behind, 'process');
      const livesMs = world.spread(3, 150);
      for (let at = 0; at < livesMs; at += 10) world.after(at, () => writer.writer.session?.burst(random.integer(1, 6)), writer.machine);
      // Whoever opens next may not see what is left, or see it half.
      const isHidden = world.chance(0.7);
      world.after(livesMs, () => {
        if (world.chance(0.8)) writer.machine.die();
        if (isHidden) for (const holder of holders) hide(holder);
        cluster.startWriter();
      });
      world.after(livesMs + world.spread(50, 3000), () => network.heal());
      return `${writer.writer.id} reaches ${namesOf(holders)} for ${livesMs.toFixed(0)} ms`;
    }),
    kind('opener dies on its way', 4, () => {
      if (cluster.livingComputes.length > 3) return undefined;
      cluster.startWriter();
      const opener = newest();
      const reached = pickSome(storage, random.integer(4, 6), world);
      if (opener !== undefined) leaveOnly(opener, reached);
      world.after(world.spread(1, 120), () => opener?.die());
      world.after(world.spread(20, 500), () => network.heal());
      replaceLater(world.spread(100, 1000));
      return `${opener?.id}, which reaches ${namesOf(reached)}`;
    }),
    kind('history of a stranger', 2, () => strangersHistory(cluster)),
  ];

  function hide(holder: StorageMachine): void {
    // It comes back, and takes long to learn what is so by then.
    if (world.chance(0.3)) slow(holder);
    if (world.chance(0.5)) isolate(holder);
    else down(holder, world.chance(0.5) ? 'power' : 'process');
  }

  function slow({ disk }: StorageMachine): void {
    disk.faults.latency = [20, 600];
    world.after(world.spread(500, 4000), () => {
      disk.faults.latency = world.mix.diskMs;
    });
  }

  function isolate(machine: Machine): void {
    for (const other of [...storage, ...cluster.livingComputes.map((one) => one.machine)]) network.cutBoth(machine, other);
  }
}
