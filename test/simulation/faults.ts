import type { Cluster } from './cluster.ts';
import { contentFaults } from './content-faults.ts';
import { electionFaults } from './election-faults.ts';
import { FaultBudget } from './fault-budget.ts';
import type { Fault } from './fault.ts';
import { leaseFaults } from './lease-faults.ts';
import { diskFaults, machineFaults } from './machine-faults.ts';
import { networkFaults } from './network-faults.ts';
import { quorumFaults } from './quorum-faults.ts';
import { readerFaults } from './reader-faults.ts';
import { standInFaults } from './stand-in-faults.ts';
import { tailFaults } from './tail-faults.ts';
import { writerFaults } from './writer-faults.ts';

/** What goes wrong in a run, and when: drawn from its seed, kinds as often as the seed's mixture says. */
export class Faults {
  readonly #cluster: Cluster;
  readonly #budget: FaultBudget;
  readonly #faults: readonly Fault[];
  #stopped = false;
  readonly counts = new Map<string, number>();

  /** `without`: kinds that do not happen. */
  constructor(cluster: Cluster, without: ReadonlySet<string> = new Set()) {
    this.#cluster = cluster;
    this.#budget = new FaultBudget(cluster);
    const { mix } = cluster.world;
    const kinds = [
      ...machineFaults(cluster),
      ...networkFaults(cluster),
      ...diskFaults(cluster),
      ...contentFaults(cluster, this.#budget),
      ...writerFaults(cluster),
    ];
    const aimed = {
      any: () => [],
      quorums: () => quorumFaults(cluster, this.#budget),
      tails: () => tailFaults(cluster),
      'stand-ins': () => standInFaults(cluster),
      readers: () => readerFaults(cluster),
      leases: () => leaseFaults(cluster),
      elections: () => electionFaults(cluster),
    }[mix.mixture]();
    this.#faults = [...kinds.map((fault) => ({ ...fault, weight: fault.weight * mix.rate(fault.name) })), ...aimed].filter(
      ({ name, weight }) => weight > 0 && !without.has(name),
    );
  }

  start(): void {
    const { world } = this.#cluster;
    const next = (): void => {
      if (this.#stopped) return;
      this.#budget.look();
      this.#strike();
      world.after(world.spread(...world.mix.gapMs), next);
    };
    world.after(world.spread(100, 1000), next);
  }

  #strike(): void {
    const { world } = this.#cluster;
    const fault = this.#draw();
    const what = fault?.strike();
    if (fault === undefined || what === undefined) return;
    this.counts.set(fault.name, (this.counts.get(fault.name) ?? 0) + 1);
    world.note('FAULT', what === '' ? fault.name : `${fault.name}: ${what}`);
  }

  /** Nothing more goes wrong, and what can be put right is. */
  stop(): void {
    this.#stopped = true;
    const { network, storage, livingComputes, world } = this.#cluster;
    network.heal();
    for (const machine of storage) {
      machine.resume();
      machine.drift(1);
      machine.isWanted = true;
      const { faults } = machine.disk;
      const mustStart = faults.failure !== undefined;
      Object.assign(faults, { failure: undefined, lies: false, full: false, misdirected: 0, latency: world.mix.diskMs });
      if (mustStart) machine.stop('process');
      machine.start();
    }
    for (const { machine } of livingComputes) machine.resume();
  }

  #draw(): Fault | undefined {
    const sum = this.#faults.reduce((total, { weight }) => total + weight, 0);
    let dice = this.#cluster.world.random.next() * sum;
    for (const fault of this.#faults) {
      dice -= fault.weight;
      if (dice < 0) return fault;
    }
    return this.#faults.at(-1);
  }
}
