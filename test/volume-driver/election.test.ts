import type { VolumeCopies } from '@kube-aurora/volume';
import { beforeEach, describe, expect, it } from 'vitest';
import { ElectionWorld, FAILOVER_AFTER_MS, type ElectionNode } from './election-world.ts';

/**
 * Computes that choose a writer among themselves, over daemons that ship, in virtual time: nobody else takes part.
 */

let world: ElectionWorld;
let writer: ElectionNode;

async function volume(seed = 1, copies: VolumeCopies = 'Full'): Promise<void> {
  world = new ElectionWorld(seed, copies);
  await world.importVolume();
  const first = world.compute();
  // Storage must have heard what is durable: there is something to follow.
  const writing = await world.until(first.write());
  writing.insert();
  await world.until(writing.flush());
  await world.pass(100);
  first.machine.die();
  writer = world.node('zone-0');
  await world.until(writer.write());
}

async function readers(...tiers: readonly number[]): Promise<ElectionNode[]> {
  const nodes = tiers.map((tier, index) => world.node(`zone-${(index + 1) % 3}`, tier));
  for (const node of nodes) node.follow();
  // Each has been heard, and hears.
  await world.pass(1500);
  return nodes;
}

/** Elections that were won by each, by why. */
const won = (nodes: readonly ElectionNode[]): string[][] => nodes.map(({ elected }) => elected.map(({ turn }) => turn.why));
const cut = ({ compute }: ElectionNode, machines: readonly (typeof world.storage)[number][]): void => {
  for (const machine of machines) world.network.cutBoth(compute.machine, machine);
};

describe('readers beside a writer', () => {
  beforeEach(() => volume());

  it('elect nobody while it lives, and ask storage nothing', async () => {
    const nodes = await readers(1, 1, 1);
    for (const node of nodes) node.asked = 0;
    await world.pass(60_000);
    expect(won(nodes)).toEqual([[], [], []]);
    expect(nodes.map(({ asked }) => asked)).toEqual([0, 0, 0]);
  });

  it('elect the best of them when it falls silent, and nobody else', async () => {
    const nodes = await readers(2, 0, 1);
    const diedAt = world.world.now;
    writer.die();
    await world.holds(() => world.writers.length > 0, 5000);
    const [election] = nodes[1]?.elected ?? [];
    expect(election?.turn).toMatchObject({ why: 'silent', from: { instance: writer.instance, epoch: writer.epoch } });
    expect((election?.at ?? 0) - diedAt).toBeLessThan(FAILOVER_AFTER_MS + 200);
    expect(election?.turn.goneForMs).toBeGreaterThanOrEqual(0);
    await world.pass(30_000);
    expect(won(nodes)).toEqual([[], ['silent'], []]);
    expect(world.writers).toEqual([nodes[1]]);
  });

  it('elect one at once when its PostgreSQL died', async () => {
    const nodes = await readers(1, 1);
    const at = world.world.now;
    void writer.giveBack(false);
    await world.holds(() => world.writers.length > 0, 1000);
    expect(won(nodes)).toEqual([['postgresDied'], []]);
    expect((nodes[0]?.elected[0]?.at ?? 0) - at).toBeLessThan(100);
    await world.pass(20_000);
    expect(world.writers).toEqual([nodes[0]]);
    expect(won(nodes)).toEqual([['postgresDied'], []]);
  });

  it('elect nobody when it opens the volume anew by itself', async () => {
    const nodes = await readers(1, 1);
    await world.until(writer.giveBack(true));
    await world.until(writer.write());
    await world.pass(20_000);
    expect(won(nodes)).toEqual([[], []]);
  });

  it.each([
    ['the best is dead too', 1, (nodes: readonly ElectionNode[]) => nodes[0]?.die()],
    ['the two best are', 2, (nodes: readonly ElectionNode[]) => [nodes[0]?.die(), nodes[1]?.die()]],
    ['the best is cut off', 1, (nodes: readonly ElectionNode[]) => nodes[0] !== undefined && cut(nodes[0], world.storage)],
    ['the best stands still', 1, (nodes: readonly ElectionNode[]) => nodes[0]?.compute.machine.pause(6000)],
  ])('elect the next when %s', async (_name, next, happens) => {
    const nodes = await readers(0, 1, 2);
    writer.die();
    happens(nodes);
    await world.holds(() => world.writers.length > 0, 10_000);
    expect(world.writers).toEqual([nodes[next]]);
    await world.pass(20_000);
    expect(won(nodes).flat()).toEqual(['silent']);
  });

  it('elect none of those that are cut off from all', async () => {
    const nodes = await readers(1, 1);
    for (const node of nodes) cut(node, world.storage);
    await world.pass(20_000);
    expect(won(nodes)).toEqual([[], []]);
    world.network.heal();
    await world.pass(20_000);
    expect(won(nodes)).toEqual([[], []]);
  });

  it('elect another when the writer is cut off from a majority, and hear it no more when it is back', async () => {
    const nodes = await readers(1, 1);
    cut(writer, world.storage.slice(0, 3));
    await world.holds(() => world.writers.length > 1, 6000);
    world.network.heal();
    await world.pass(20_000);
    expect(won(nodes).flat()).toEqual(['silent']);
  });

  it('elect another when it stands still, once', async () => {
    const nodes = await readers(1, 1);
    writer.compute.machine.pause(8000);
    await world.holds(() => world.writers.length > 1, 6000);
    await world.pass(20_000);
    expect(won(nodes).flat()).toEqual(['silent']);
  });

  it('lose their writer with half of storage and find it again: no takeover in between', async () => {
    const nodes = await readers(1, 1);
    world.stop(0, 1, 2);
    await world.pass(10_000);
    world.start(0, 1, 2);
    await world.pass(20_000);
    expect(won(nodes)).toEqual([[], []]);
  });

  it('elect nobody when all has stood still at once: storage, the writer and they', async () => {
    const nodes = await readers(1, 1);
    for (const machine of world.storage) machine.pause(10_000);
    for (const { compute } of [writer, ...nodes]) compute.machine.pause(10_000);
    await world.pass(30_000);
    expect(won(nodes)).toEqual([[], []]);
  });

  it('elect nobody while somebody opens the volume, however long that takes', async () => {
    const nodes = await readers(1, 1);
    world.cutPeers();
    // What is written now is on four segments, of which two go away: whoever opens it waits for them.
    world.stop(4, 5);
    const second = world.compute();
    const writing = await world.until(second.write());
    writing.insert();
    await world.until(writing.flush());
    await world.pass(100);
    second.machine.die();
    world.stop(0, 1);
    world.start(4, 5);
    const opener = world.node('zone-0');
    const opened = opener.write();
    expect(await world.hasSettled(opened, 15_000)).toBe(false);
    expect(won(nodes)).toEqual([[], []]);
    opener.die();
    await world.holds(() => won(nodes).flat().length > 0, 6000);
  });

  it.each([1, 2, 3, 4, 5])('that are elected at once do not overtake one another: seed %i', async (seed) => {
    await volume(seed);
    writer.die();
    const computes = [world.compute('zone-0'), world.compute('zone-1'), world.compute('zone-2')];
    const outcomes = await world.until(Promise.all(computes.map((compute) => compute.open({ heldEpoch: writer.epoch }))));
    const kinds = outcomes.map(({ kind }) => kind);
    expect(kinds.filter((kind) => kind === 'overtaken').length).toBeGreaterThanOrEqual(2);
    // One that comes later finds that somebody was first.
    if (kinds.includes('opened')) expect((await world.until(world.compute().open({ heldEpoch: writer.epoch }))).kind).toBe('overtaken');
  });

  it('go from one writer to the next, five times', async () => {
    const nodes = await readers(1, 1, 1, 1, 1);
    for (let round = 0; round < 5; round++) {
      const before = world.writers[0];
      const { epoch = 0n } = before ?? {};
      if (round % 2 === 0) before?.die();
      else void before?.giveBack(false);
      await world.holds(() => world.writers.some((one) => one.epoch > epoch), 8000);
      await world.pass(1500);
      expect(world.writers).toHaveLength(1);
    }
    expect(won(nodes).flat()).toHaveLength(5);
  });
});

describe.each<[VolumeCopies, string, readonly number[]]>([
  ['Full', 'a zone', [4, 5]],
  ['Full', 'one of each of two zones', [0, 3]],
  ['Mixed', 'a zone', [4, 5]],
  ['Mixed', 'two full ones', [0, 2]],
  ['Mixed', 'two tails', [1, 3]],
])('with copies %s, readers that are cut off from %s', (copies, _name, away) => {
  it('hold out while the writer lives, and elect one all the same when it dies and they can', async () => {
    await volume(1, copies);
    const nodes = await readers(1, 1);
    for (const node of nodes)
      cut(
        node,
        away.flatMap((index) => world.storage[index] ?? []),
      );
    await world.pass(20_000);
    expect(won(nodes)).toEqual([[], []]);
    writer.die();
    await world.pass(10_000);
    // With two full segments away no promise of mixed copies can be had.
    const canOpen = copies === 'Full' || !away.every((index) => world.storage[index]?.role === 'FULL');
    expect(won(nodes).flat()).toEqual(canOpen ? ['silent'] : []);
    expect(world.writers).toHaveLength(canOpen ? 1 : 0);
  });
});

describe('computes without a session', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])('one of several makes a new volume, and the others wait for it: seed %i', async (seed) => {
    world = new ElectionWorld(seed);
    const nodes = [world.node('zone-0', 1), world.node('zone-1', 1), world.node('zone-2', 1)];
    for (const node of nodes) void node.join();
    await world.pass(8000);
    const outcomes = nodes.flatMap(({ elected }) => elected.map(({ outcome }) => outcome));
    // It makes nothing here, and falls silent: then the next one does.
    expect(outcomes[0]).toBeDefined();
    expect(outcomes.every((outcome) => outcome === 'bootstrap' || outcome === 'overtaken')).toBe(true);
    const epochs = nodes.flatMap(({ elected }) =>
      elected.filter(({ outcome }) => outcome === 'bootstrap').map(({ turn }) => turn.heldEpoch),
    );
    expect(new Set(epochs).size).toBe(epochs.length);
  });

  it('follow a writer that lives', async () => {
    await volume();
    const late = world.node('zone-1');
    expect(await world.until(late.join())).toEqual({ kind: 'follow', writer: writer.instance });
    expect(late.isFollowing).toBe(true);
  });

  it('take the place of an earlier run of theirs at once, and of no later one', async () => {
    await volume();
    const turn = { instance: writer.instance, writerId: 'another' };
    const node = world.node('zone-0');
    expect(await world.until(node.join({ ...turn, isFirst: false }))).toEqual({ kind: 'follow', writer: writer.instance });
    const again = world.node('zone-0');
    expect(await world.until(again.join(turn))).toMatchObject({ kind: 'open', why: 'own', heldEpoch: writer.epoch });
    expect(again.elected[0]?.outcome).toBe('opened');
  });

  it('stand behind those that follow: who comes back after a fall becomes a reader', async () => {
    await volume();
    const nodes = await readers(1, 1);
    void writer.giveBack(false);
    const back = world.node('zone-0');
    const turn = await world.until(back.join({ instance: writer.instance }));
    expect(turn).toEqual({ kind: 'follow', writer: nodes[0]?.instance });
    expect(won([...nodes, back])).toEqual([['postgresDied'], [], []]);
  });

  it('with no reader left the last writer is its own successor, before others that have no session', async () => {
    await volume();
    await world.until(writer.giveBack(false));
    const [other, back] = [world.node('zone-1', 0), world.node('zone-0', 9)];
    const turns = [other.join(), back.join({ instance: writer.instance })];
    expect((await world.until(Promise.all(turns))).map(({ kind }) => kind)).toEqual(['follow', 'open']);
    expect(back.elected[0]?.turn).toMatchObject({ why: 'postgresDied', from: { instance: writer.instance } });
  });

  it('wait while too few segments answer, and say so', async () => {
    await volume();
    world.stop(0, 1, 2);
    const said: string[] = [];
    const node = world.node('zone-1');
    const turn = node.join({ onWaiting: (hindrance) => void said.push(hindrance?.message ?? '') });
    expect(await world.hasSettled(turn, 5000)).toBe(false);
    expect(said.at(-1)).toBe('3 of 6 segments say who the writer is, 4 are needed');
    world.start(0, 1, 2);
    expect((await world.until(turn)).kind).toBe('follow');
    expect(said.at(-1)).toBe('');
  });

  it('stop when they are told to', async () => {
    await volume();
    world.stop(0, 1, 2);
    const over = new AbortController();
    const turn = world.node('zone-1').join({ signal: over.signal });
    await world.pass(1000);
    over.abort();
    expect(await world.until(turn)).toEqual({ kind: 'stopped' });
  });
});
