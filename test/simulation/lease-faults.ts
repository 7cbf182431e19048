import type { Cluster } from './cluster.ts';
import { CLOCK_DRIFT } from '@kube-aurora/volume';
import { down, kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';

/**
 * What tries the writers' leases: agents that stand still beside a PostgreSQL that goes on, computes that are cut off and
 * whose clients are not, takeovers one soon after the other, clocks as wrong as they may be. And, since each rule of
 * leases matters in a moment that seldom comes by chance, what brings each of those about: answers that come just before
 * they would be too late; a writer that two segments alone hear, and one that two never heard; a writer that was overtaken and
 * finds its connections broken, so that nobody has told it.
 */

/** Nobody needs more writers at once to break a rule of leases. */
const WRITERS_MAX = 4;
/** A clock's seconds in a true one, at most wrong. */
const SLOW = 1 - CLOCK_DRIFT;
const FAST = 1 + CLOCK_DRIFT;

/** What was cut off is sent again, and so heard, within this. */
const HEARD_AGAIN_MS = 220;

export function leaseFaults(cluster: Cluster): Fault[] {
  const { world, network, storage } = cluster;
  const { random } = world;
  const answering = (): Machine | undefined => cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined)?.machine;
  const { leaseMs } = world.mix;
  /** Nothing else that is aimed comes between: it would heal the network, or bring a writer that knows of no cut. */
  let isUnderWay = false;
  /** Gives the new one; undefined when there are enough. */
  const takeOver = (): Machine | undefined => {
    if (cluster.livingComputes.length >= WRITERS_MAX) return undefined;
    cluster.startWriter();
    return cluster.computes.at(-1)?.machine;
  };
  /** After so many leases' time. */
  const endsAfter = (leases: number): void =>
    void world.after(leases * leaseMs, () => {
      network.heal();
      isUnderWay = false;
    });
  const everyone = (): Machine[] => [...storage, ...cluster.livingComputes.map(({ machine }) => machine)];
  const drift = (machine: Machine | undefined, rate: number): void => {
    if (machine?.isClockBroken === false) machine.drift(rate);
  };
  /** Two, without which the others are enough to open the volume. */
  const leftOut = (): StorageMachine[] => {
    const tails = storage.filter(({ role }) => role === 'TAIL');
    return pickSome(tails.length === 0 ? storage : tails, 2, world);
  };
  /** This one's lease is as long, and everybody else takes it for as short, as clocks allow. */
  const driftApart = (victim: Machine): void => {
    for (const machine of everyone()) drift(machine, machine === victim ? SLOW : FAST);
  };
  /** Those that were stopped or cut off long enough give way. */
  const pause = (machine: Machine): void => machine.pause(world.spread(500, 8000));

  const kinds = [
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
      for (const machine of everyone()) drift(machine, random.pick([SLOW, 0.95, 1, 1.05, FAST]));
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
    kind('clocks apart, and another takes over from an agent that is stopped', 10, () => {
      const victim = answering();
      if (victim === undefined) return undefined;
      driftApart(victim);
      world.after(world.spread(20, leaseMs / 2), () => {
        victim.pause(world.spread(1.5, 3) * leaseMs);
        world.after(world.spread(1, 100), () => drift(takeOver(), FAST));
      });
      return victim.id;
    }),
    kind('grants that are heard late, then nothing, and another takes over', 10, () => {
      const victim = answering();
      if (victim === undefined) return undefined;
      isUnderWay = true;
      if (world.chance(0.5)) driftApart(victim);
      for (const other of storage) network.cut(other, victim);
      // An asking is given up after half a lease's time.
      const lateMs = world.spread(0.35, 0.49) * leaseMs;
      world.after(lateMs, () => {
        network.heal();
        // Nothing newer is granted.
        for (const other of storage) network.cut(victim, other);
      });
      world.after(lateMs + HEARD_AGAIN_MS, () => {
        for (const other of storage) network.cutBoth(victim, other);
        takeOver();
        endsAfter(2);
      });
      return `${victim.id}, ${lateMs.toFixed(0)} ms late`;
    }),
    kind('writer that two segments alone hear, and another takes over', 10, () => {
      const victim = answering();
      const two = leftOut();
      const newer = victim === undefined ? undefined : takeOver();
      if (victim === undefined || newer === undefined) return undefined;
      isUnderWay = true;
      const apart = [victim, ...two];
      const others = everyone().filter((machine) => !apart.includes(machine));
      network.connectOnly(everyone(), [
        [apart, apart],
        [others, others],
      ]);
      endsAfter(world.spread(1.5, 3));
      return `${victim.id} with ${namesOf(two)}`;
    }),
    kind('writer that two segments never heard, and another takes over when it is stopped', 10, () => {
      const victim = takeOver();
      if (victim === undefined) return undefined;
      isUnderWay = true;
      const two = leftOut();
      for (const other of two) network.cutBoth(victim, other);
      // It answers by then, if whoever was before it has given its lease back.
      world.after(world.spread(500, 1500), () => {
        victim.pause(world.spread(1.5, 3) * leaseMs);
        takeOver();
        endsAfter(1.3);
      });
      return `${victim.id} without ${namesOf(two)}`;
    }),
    kind('overtaken agent goes on with its connections broken', 10, () => {
      const victim = answering();
      if (victim === undefined) return undefined;
      const ms = world.spread(1.5, 3) * leaseMs;
      victim.pause(ms);
      world.after(world.spread(1, 150), takeOver);
      world.after(ms - 1, () => network.reset(victim));
      return victim.id;
    }),
  ];
  return kinds.map((one) => ({ ...one, strike: () => (isUnderWay ? undefined : one.strike()) }));
}
