import type { Cluster } from './cluster.ts';
import type { StorageMachine } from './storage.ts';

/**
 * What goes wrong in a run, drawn from its seed. Anything may happen to machines, clocks and the network; disks may lose what they
 * synced only as far as the volume promises to bear it: a zone and one more at once, and one that does not know that it lost
 * something, which no quorum of four can tell from a liar, only alone.
 */

type DiskLoss = 'none' | 'known' | 'unknown';

interface Fault {
  readonly weight: number;
  strike(): void;
}

const GAP_MS: readonly [number, number] = [20, 1200];

export class Faults {
  readonly #cluster: Cluster;
  readonly #faults: readonly Fault[];
  readonly #lost = new Map<StorageMachine, DiskLoss>();
  /** Everywhere up to here, what was lost is there again. */
  #levelAt: bigint | undefined;
  #stopped = false;
  counts = new Map<string, number>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const { world, storage } = cluster;
    const { random } = world;
    const any = (): StorageMachine => random.pick(storage);
    const count = (name: string, weight: number, strike: () => void): Fault => ({
      weight,
      strike: () => {
        this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
        world.note('fault', name);
        strike();
      },
    });
    this.#faults = [
      count('process killed', 6, () => this.#down(any(), 'process')),
      count('power lost', 5, () => this.#down(any(), 'power')),
      count('zone loses power', 1, () => {
        const zone = random.pick(storage).zone;
        for (const machine of storage) if (machine.zone === zone) this.#down(machine, 'power');
      }),
      count('everything loses power', 0.5, () => {
        for (const machine of storage) this.#down(machine, 'power');
      }),
      count('daemon stopped for a while', 4, () => any().pause(world.spread(10, 8000))),
      count('compute stopped for a while', 2, () => this.#cluster.livingComputes.at(-1)?.machine.pause(world.spread(10, 8000))),
      count('compute killed', 3, () => this.#killCompute()),
      count('another compute takes over', 3, () => this.#cluster.startWriter()),
      count('links cut', 5, () => this.#cutLinks()),
      count('network heals', 6, () => this.#cluster.network.heal()),
      count('slow disk', 2, () => this.#slowDisk(any())),
      count('failing disk', 1.5, () => this.#failingDisk(any())),
      count('clock drifts', 1, () => any().drift(world.spread(0.8, 1.25))),
      count('calendar set', 0.5, () => any().setCalendar(random.integer(-86_400_000, 86_400_000))),
      count('bit flipped', 2, () => this.#flipBit(any())),
      count('disk replaced', 1, () => this.#replaceDisk(any())),
      count('zone and one more disk replaced', 0.2, () => this.#replaceZoneAndOne()),
      count('old disk comes back', 0.4, () => this.#oldDisk(any())),
      count('disk lies about syncs', 0.4, () => this.#lyingDisk(any())),
    ];
  }

  start(): void {
    const { world } = this.#cluster;
    const next = (): void => {
      if (this.#stopped) return;
      this.#healed();
      this.#draw().strike();
      world.after(world.spread(...GAP_MS), next);
    };
    world.after(world.spread(200, 3000), next);
  }

  /** Nothing more goes wrong, and what can be put right is. */
  stop(): void {
    this.#stopped = true;
    const { network, storage, livingComputes } = this.#cluster;
    network.heal();
    for (const machine of storage) {
      machine.pausedUntil = 0;
      machine.drift(1);
      machine.isWanted = true;
      const { faults } = machine.disk;
      const wasFailing = faults.failure !== undefined;
      Object.assign(faults, { failure: undefined, lies: false, latency: [0.02, 0.4] });
      if (wasFailing) machine.stop('process');
      machine.start();
    }
    for (const { machine } of livingComputes) machine.pausedUntil = 0;
  }

  #draw(): Fault {
    const { random } = this.#cluster.world;
    const sum = this.#faults.reduce((total, { weight }) => total + weight, 0);
    let dice = random.next() * sum;
    for (const fault of this.#faults) {
      dice -= fault.weight;
      if (dice < 0) return fault;
    }
    return random.pick(this.#faults);
  }

  /** Once everything was level again, whatever disks had lost is there again. */
  #healed(): void {
    if (this.#lost.size === 0) {
      this.#levelAt = undefined;
      return;
    }
    this.#levelAt ??= this.#cluster.history.newest?.lsn;
    if (this.#levelAt !== undefined && this.#cluster.hasEverywhere(this.#levelAt)) this.#lost.clear();
  }

  #mayLose(machine: StorageMachine, loss: DiskLoss, most: number): boolean {
    // A segment that was never told of the volume has nothing to lose, but its promises.
    if (!this.#cluster.history.isImported) return false;
    const others = [...this.#lost].filter(([one]) => one !== machine);
    if (loss === 'unknown' ? this.#lost.size > 0 : [...this.#lost.values()].includes('unknown')) return false;
    if (others.length >= most) return false;
    this.#lost.set(machine, loss);
    this.#levelAt = undefined;
    this.#cluster.forgive(machine);
    return true;
  }

  #down(machine: StorageMachine, how: 'process' | 'power'): void {
    machine.stop(how);
    machine.restartSoon();
  }

  #killCompute(): void {
    const { world, livingComputes } = this.#cluster;
    const victim = livingComputes.at(-1);
    victim?.machine.die();
    world.after(world.spread(50, 2000), () => {
      if (this.#cluster.livingComputes.length === 0) this.#cluster.startWriter();
    });
  }

  #cutLinks(): void {
    const { world, network, storage, computes } = this.#cluster;
    const machines = [...storage, ...computes.map(({ machine }) => machine)];
    if (world.chance(0.5)) {
      // One machine is cut off, perhaps one way only.
      const alone = world.random.pick(machines);
      const [into, outOf] = [world.chance(0.8), world.chance(0.8)];
      for (const other of machines) {
        if (outOf) network.cut(alone, other);
        if (into) network.cut(other, alone);
      }
    } else {
      for (let i = world.random.integer(1, 12); i > 0; i--) network.cut(world.random.pick(machines), world.random.pick(machines));
    }
    world.after(world.spread(100, 20_000), () => network.heal());
  }

  #slowDisk(machine: StorageMachine): void {
    const { world } = this.#cluster;
    machine.disk.faults.latency = [1, world.spread(5, 800)];
    world.after(world.spread(200, 10_000), () => {
      machine.disk.faults.latency = [0.02, 0.4];
    });
  }

  #failingDisk(machine: StorageMachine): void {
    const { world } = this.#cluster;
    machine.disk.faults.failure = world.random.pick(['EIO', 'ENOSPC', 'EROFS'] as const);
    world.after(world.spread(20, 5000), () => {
      machine.disk.faults.failure = undefined;
      this.#down(machine, 'process');
    });
  }

  #flipBit(machine: StorageMachine): void {
    const { world } = this.#cluster;
    if (machine.segment?.phase !== 'READY' || !this.#mayLose(machine, 'known', 2)) return;
    world.note('fault', `bit flipped on ${machine.id}: ${machine.disk.flipBit(() => true) ?? 'nothing there'}`);
  }

  #replaceDisk(machine: StorageMachine, most = 2): void {
    if (!this.#mayLose(machine, 'known', most)) return;
    machine.stop('power');
    machine.disk.wipe();
    machine.restartSoon();
  }

  #replaceZoneAndOne(): void {
    const { storage, world } = this.#cluster;
    const acknowledged = this.#cluster.history.newest?.lsn;
    if (this.#lost.size > 0 || acknowledged === undefined || !this.#cluster.hasEverywhere(acknowledged)) return;
    const one = world.random.pick(storage);
    for (const machine of storage) if (machine.zone === one.zone) this.#replaceDisk(machine, 3);
    this.#replaceDisk(world.random.pick(storage.filter(({ zone }) => zone !== one.zone)), 3);
  }

  #oldDisk(machine: StorageMachine): void {
    const { world } = this.#cluster;
    if (!this.#mayLose(machine, 'unknown', 1)) return;
    const old = machine.disk.snapshot();
    world.after(world.spread(200, 5000), () => {
      machine.stop('power');
      machine.disk.restore(old);
      this.#cluster.forgive(machine);
      machine.restartSoon();
    });
  }

  #lyingDisk(machine: StorageMachine): void {
    const { world } = this.#cluster;
    if (!this.#mayLose(machine, 'unknown', 1)) return;
    machine.disk.faults.lies = true;
    world.after(world.spread(100, 3000), () => {
      machine.stop('power');
      machine.disk.faults.lies = false;
      this.#cluster.forgive(machine);
      machine.restartSoon();
    });
  }
}
