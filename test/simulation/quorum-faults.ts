import type { Cluster } from './cluster.ts';
import { LOSSES_MAX, type FaultBudget } from './fault-budget.ts';
import { kind, namesOf, pickSome, type Fault } from './fault.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';

/**
 * Several losses at once, aimed at where quorums meet. A commit is left on no more segments than a write quorum has,
 * and of these the next opener is left with no more than it must meet them in, less what the budget lets their disks
 * lose; or an epoch is promised by no more than must be, or by one less than that, and disks of those are lost while an
 * older writer goes on. One after the other: what is aimed at would not come about were the network healed meanwhile.
 */

/** How often it is looked whether what is waited for has come about, in milliseconds. */
const LOOK_MS = 2;
/** An opener that has waited for so long is not getting the volume. */
const OPENS_WITHIN_MS = 3000;
const COPIED_WITHIN_MS = 4000;
/** Until those who cannot hear one another have noticed, and who lost a disk stands on a copy. */
const COPIED_APART_WITHIN_MS = 12_000;

/** From the first cut of a fault to the healing that ends it. */
interface Turn {
  isOver: boolean;
}

export function quorumFaults(cluster: Cluster, budget: FaultBudget): Fault[] {
  const { world, network, storage, invariants } = cluster;
  const { random } = world;
  const isMixed = world.mix.copies === 'Mixed';
  const fulls = storage.filter(({ role }) => role === 'FULL');
  const without = (left: readonly StorageMachine[]): StorageMachine[] => storage.filter((machine) => !left.includes(machine));
  /** The one that is under way. What was planned in one that is over must cut nothing any more: nobody would heal it. */
  let turn: Turn | undefined;

  const begin = (): Turn => (turn = { isOver: false });
  const cutApart = (some: readonly Machine[], others: readonly Machine[]): void => {
    for (const one of some) for (const other of others) if (one !== other) network.cutBoth(one, other);
  };
  const everyone = (): Machine[] => [...storage, ...cluster.livingComputes.map(({ machine }) => machine)];
  const replaceDisk = (machine: StorageMachine): boolean => {
    if (!budget.take(machine, 'known', LOSSES_MAX - 1)) return false;
    machine.stop('power');
    machine.disk.wipe();
    invariants.forget(machine);
    machine.restartSoon();
    return true;
  };
  const endsAfter = (ms: number, its: Turn): void =>
    void world.after(ms, () => {
      if (its.isOver) return;
      its.isOver = true;
      turn = undefined;
      network.heal();
    });
  /** Calls `then` when it has come about, or `otherwise` when it has not for so long; neither when the turn is over. */
  const when = (its: Turn, hasComeAbout: () => boolean, withinMs: number, then: () => void, otherwise: () => void): void => {
    const until = world.now + withinMs;
    const look = (): void => {
      if (its.isOver) return;
      if (hasComeAbout()) then();
      else if (world.now > until) otherwise();
      else world.after(LOOK_MS, look);
    };
    look();
  };

  return [
    kind('quorums meet in few', 10, () => {
      const writer = cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined);
      if (turn !== undefined || writer === undefined) return undefined;
      const holders = isMixed && world.chance(0.7) ? fulls : pickSome(storage, 4, world);
      const met = pickSome(holders, holders.length === fulls.length ? random.integer(1, 2) : 2, world);
      const hidden = holders.filter((machine) => !met.includes(machine));
      const [forgetful] = met;
      if (forgetful === undefined) return undefined;
      // One that does not know what it lost, or as many as know it.
      const old = world.chance(0.5) && budget.take(forgetful, 'unknown') ? forgetful.disk.snapshot() : undefined;
      const its = begin();
      cutApart([...holders, writer.machine], [...without(holders), ...everyone().filter((other) => isCompute(other, writer.machine))]);
      const livesMs = world.spread(20, 400);
      for (let at = 0; at < livesMs; at += 10) world.after(at, () => writer.writer.session?.burst(random.integer(1, 4)), writer.machine);
      world.after(livesMs, () => {
        network.heal();
        if (world.chance(0.5)) writer.machine.die();
        const others = everyone().filter((one) => isCompute(one));
        cluster.startWriter();
        cutApart([...hidden, ...others], everyone());
        if (old === undefined) for (const machine of met) replaceDisk(machine);
        else {
          forgetful.stop('power');
          forgetful.disk.restore(old);
          budget.shown(forgetful);
          forgetful.restartSoon();
        }
        endsAfter(world.spread(1500, 6000), its);
      });
      return `${writer.writer.id} leaves redo on ${namesOf(holders)}; the next meets ${namesOf(met)}, ${old === undefined ? 'with new disks' : 'one with an old disk'}`;
    }),
    kind('promise lost with disks', 10, () => {
      const older = cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined);
      if (turn !== undefined || older === undefined) return undefined;
      const two = isMixed ? pickSome(fulls, 2, world) : pickSome(storage, 2, world);
      const promising = [...two, ...pickSome(without(two), 2, world)];
      const rest = without(promising);
      const its = begin();
      cutApart([...rest, older.machine], [...promising, ...everyone().filter((other) => isCompute(other, older.machine))]);
      cluster.startWriter();
      const newer = cluster.computes.at(-1);
      if (newer === undefined) return undefined;
      cutApart([newer.machine], [...rest, older.machine]);
      const losers = pickSome(promising, 2, world);
      const kept = promising.filter((machine) => !losers.includes(machine));
      const lose = (): void => {
        network.heal();
        cutApart([...rest, older.machine], [...kept, newer.machine]);
        cutApart([newer.machine], losers);
        for (const machine of losers) {
          if (!replaceDisk(machine)) continue;
          // From then on it hears those alone who do not know of the newer epoch.
          const isCopied = (): boolean => machine.segment?.phase === 'READY';
          when(
            its,
            isCopied,
            COPIED_WITHIN_MS,
            () => cutApart([machine], kept),
            () => undefined,
          );
        }
        endsAfter(world.spread(2000, 6000), its);
      };
      when(
        its,
        () => newer.writer.session !== undefined,
        OPENS_WITHIN_MS,
        lose,
        () => endsAfter(0, its),
      );
      return `${newer.writer.id} opens with ${namesOf(promising)}, of which ${namesOf(losers)} lose their disks; ${older.writer.id} goes on with ${namesOf(rest)}`;
    }),
    kind('promises lost while another is awaited', 10, () => {
      const older = cluster.livingComputes.findLast(({ writer: { session } }) => session !== undefined);
      const epoch = older?.writer.session?.epoch;
      if (turn !== undefined || older === undefined || epoch === undefined) return undefined;
      const tails = storage.filter(({ role }) => role === 'TAIL');
      const four = isMixed ? [...pickSome(fulls, 2, world), ...pickSome(tails, 2, world)] : pickSome(storage, 4, world);
      const [late] = pickSome(four, 1, world);
      if (late === undefined) return undefined;
      const promising = four.filter((machine) => machine !== late);
      const rest = without(promising);
      const losers = pickSome(promising, 2, world);
      const kept = promising.filter((machine) => !losers.includes(machine));
      const its = begin();
      cluster.restsUntil = world.now + OPENS_WITHIN_MS + COPIED_APART_WITHIN_MS;
      cluster.startWriter();
      const newer = cluster.computes.at(-1)?.machine;
      if (newer === undefined) return undefined;
      const connect = (...pairs: Parameters<typeof network.connectOnly>[1]): void => network.connectOnly(everyone(), pairs);
      const end = (): void => {
        if (its.isOver) return;
        cluster.restsUntil = world.now;
        endsAfter(0, its);
      };
      const elders = [[older.machine], rest] as const;
      const lose = (): void => {
        if (!losers.map(replaceDisk).every(Boolean)) return end();
        const unknowing = [...losers, ...rest];
        connect([[newer], kept], elders, [unknowing, unknowing]);
        const areCopied = (): boolean => losers.every(({ segment }) => segment?.phase === 'READY' && !segment.mustRecover);
        return when(its, areCopied, COPIED_APART_WITHIN_MS, writeOn, end);
      };
      /** What is acknowledged now is on none that promised and remembers it, nor on the one that will promise. */
      const writeOn = (): void => {
        const holders = [...losers, ...without(four)];
        connect([[older.machine], holders], [holders, holders], [[newer], kept]);
        cluster.onNextAcknowledgement = () => {
          if (world.chance(0.7)) older.machine.die();
          world.after(world.spread(1, 30), end);
        };
        older.writer.session?.burst(random.integer(1, 4));
        world.after(COPIED_WITHIN_MS, end);
      };
      // The last one says who is there, and is out of the opener's reach when it is to promise.
      connect([[newer], [late]], elders, [rest, rest], [promising, promising]);
      world.after(world.spread(20, 100), () => {
        connect([[newer], promising], elders, [rest, rest]);
        const havePromised = (): boolean => promising.every(({ segment }) => (segment?.control.epoch ?? 0n) > epoch);
        when(its, havePromised, OPENS_WITHIN_MS, lose, end);
      });
      return `${namesOf(promising)} promise, and ${namesOf(losers)} of them lose their disks; ${older.writer.id} goes on with the others but ${late.id}, which promises then`;
    }),
  ];

  function isCompute(machine: Machine, except?: Machine): boolean {
    return machine !== except && !storage.some((one) => one === machine);
  }
}
