import { expect, it } from 'vitest';
import { Cluster } from './cluster.ts';
import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';
import { World } from './world.ts';

/**
 * An opener that has three promises and waits long for the fourth. Two of the three lose their disks meanwhile, and
 * stand on copies of segments that have promised nothing: with those and one of the others the older writer has a write
 * quorum again, and what it acknowledges is in no promise that the opener holds. Then the fourth comes.
 */

const STEP_MS = 30_000;

it('what an older writer is acknowledged while an opener waits for promises is not missed, though two of those promises are lost', async () => {
  const world = new World(1);
  const cluster = new Cluster(world, false);
  const { network, storage } = cluster;
  const [d0, d1, d2, d3, d4, d5] = storage as readonly [
    StorageMachine,
    StorageMachine,
    StorageMachine,
    StorageMachine,
    StorageMachine,
    StorageMachine,
  ];
  const everyone = (): Machine[] => [...storage, ...cluster.computes.map(({ machine }) => machine)];
  const connect = (pairs: Parameters<typeof network.connectOnly>[1]): void => network.connectOnly(everyone(), pairs);
  const until = async (what: string, isMet: () => boolean): Promise<void> => {
    await world.run(world.now + STEP_MS, (owner) => cluster.check(owner), isMet);
    expect(isMet(), `${what}:\n${cluster.describe()}`).toBe(true);
  };
  const promised = (machine: StorageMachine): boolean => (machine.segment?.control.epoch ?? 0n) > firstEpoch;

  cluster.startWriter();
  const [older] = cluster.computes;
  if (older === undefined) throw new Error('no writer');
  let firstEpoch = 0n;
  await until('the first writer writes', () => (older.writer.session?.vdl ?? 0n) > (older.writer.session?.startLsn ?? 0n));
  firstEpoch = older.writer.session?.epoch ?? 0n;
  cluster.isLoaded = false;

  cluster.startWriter();
  const opener = cluster.computes.at(-1);
  if (opener === undefined) throw new Error('no opener');
  const promising = [d0, d1, d2];
  const rest = [d3, d4, d5];
  const elders = [[older.machine], rest] as const;
  // The fourth tells the opener who is there, and is out of its reach when it is to promise.
  connect([[[opener.machine], [d3]], elders, [rest, rest]]);
  await world.run(world.now + 200, (owner) => cluster.check(owner));
  connect([[[opener.machine], promising], elders, [rest, rest]]);
  await until('three have promised', () => promising.every(promised));
  await world.run(world.now + 200, (owner) => cluster.check(owner));
  expect(storage.filter(promised)).toEqual(promising);

  for (const machine of [d0, d1]) {
    machine.stop('power');
    machine.disk.wipe();
    cluster.invariants.forget(machine);
    machine.restartSoon();
  }
  connect([
    [[opener.machine], [d2]],
    [[older.machine], rest],
    [
      [d0, d1, ...rest],
      [d0, d1, ...rest],
    ],
  ]);
  await until('two stand on copies', () => [d0, d1].every((machine) => machine.segment?.phase === 'READY' && !machine.segment.mustRecover));
  const writesOn = [d0, d1, d4, d5];
  connect([
    [[older.machine], writesOn],
    [writesOn, writesOn],
  ]);
  await until('the older writer has its quorum again', () => older.writer.session?.isIdle === true);
  const before = cluster.history.newest?.lsn ?? 0n;
  // It dies before it can say that this is durable.
  cluster.onNextAcknowledgement = () => older.machine.die();
  older.writer.session?.burst(3);
  await until('the older writer is acknowledged more', () => !older.machine.isUp);
  const acknowledged = cluster.history.newest?.lsn ?? 0n;
  expect(acknowledged).toBeGreaterThan(before);
  expect(d3.segment?.scl).toBeLessThan(acknowledged);

  network.heal();
  await until('the opener has the volume', () => opener.writer.session?.isIdle === true);
  expect(opener.writer.session?.startLsn).toBeGreaterThanOrEqual(acknowledged);
}, 120_000);
