import { AuroraRpcError } from '@kube-aurora/rpc';
import type { Machine } from './machine.ts';
import type { World } from './world.ts';

/**
 * What lies between machines: delays, links that are cut one way or both, and connections that notice after a while. As
 * TCP has it: what one connection carries arrives in order and once, or the connection breaks; connections overtake one
 * another.
 */

/** A connection whose messages do not get through breaks after this long (gRPC's keep-alive). */
const KEEPALIVE_MS = 15_000;
const RETRANSMIT_MS = 200;
/** How often a message takes much longer, and how much. */
const LATE = { probability: 0.01, latency: [5, 400] } as const;

export class Network {
  readonly world: World;
  /** `from|to`, by machine. */
  readonly #cut = new Set<string>();
  /** Those that are open. */
  readonly channels = new Set<Channel>();
  /** How often a message takes much longer; undefined: as usual. */
  lateChance: number | undefined;

  constructor(world: World) {
    this.world = world;
  }

  /** What is sent one way does not arrive. */
  cut(from: Machine, to: Machine): void {
    this.#cut.add(`${from.id}|${to.id}`);
  }

  cutBoth(one: Machine, other: Machine): void {
    this.cut(one, other);
    this.cut(other, one);
  }

  /** Of these machines only those reach one another that a pair has on its two sides. */
  connectOnly(machines: readonly Machine[], pairs: readonly (readonly [readonly Machine[], readonly Machine[]])[]): void {
    this.heal();
    for (const from of machines) {
      for (const to of machines) {
        const isConnected = pairs.some(
          ([one, other]) => (one.includes(from) && other.includes(to)) || (one.includes(to) && other.includes(from)),
        );
        if (from !== to && !isConnected) this.cut(from, to);
      }
    }
  }

  /** All connections of a machine break: what was under way is lost, the rest arrived. */
  reset(machine: Machine): void {
    for (const channel of this.channels) if (channel.from === machine || channel.to === machine) channel.break();
  }

  heal(): void {
    this.lateChance = undefined;
    this.#cut.clear();
  }

  get isWhole(): boolean {
    return this.#cut.size === 0;
  }

  isCut(from: Machine, to: Machine): boolean {
    return this.#cut.has(`${from.id}|${to.id}`);
  }

  latency(random = this.world.random): number {
    const { world } = this;
    const isLate = random.next() < (this.lateChance ?? LATE.probability);
    return world.spread(...(isLate ? LATE.latency : world.mix.latencyMs), random);
  }
}

/** One direction of one connection. */
export class Channel {
  readonly #network: Network;
  readonly from: Machine;
  readonly to: Machine;
  readonly #onBroken: (reason: AuroraRpcError) => void;
  readonly #latency: () => number;
  /** Of the receiver: what was for its process is not for the next one. */
  readonly #life: number;
  readonly #queue: { readonly deliver: () => void; readonly sentAt: number; readonly at: number }[] = [];
  #lastAt = 0;
  #scheduled = false;
  #closed = false;

  constructor(network: Network, from: Machine, to: Machine, onBroken: (reason: AuroraRpcError) => void, latency = () => network.latency()) {
    this.#network = network;
    this.#latency = latency;
    this.from = from;
    this.to = to;
    this.#onBroken = onBroken;
    this.#life = to.life;
    network.channels.add(this);
  }

  break(): void {
    if (!this.#closed) this.#onBroken(new AuroraRpcError('UNREACHABLE', 'the connection broke'));
  }

  /** `deliver` runs at the other end, after everything that was sent before. */
  send(deliver: () => void): void {
    const { world } = this.#network;
    // Even an answer that is ready at once comes later than its question.
    this.#lastAt = Math.max(this.#lastAt, world.now + this.#latency());
    this.#queue.push({ deliver, sentAt: world.now, at: this.#lastAt });
    this.#schedule();
  }

  close(): void {
    this.#closed = true;
    this.#queue.length = 0;
    this.#network.channels.delete(this);
  }

  #schedule(delayMs?: number): void {
    const [first] = this.#queue;
    if (this.to.life !== this.#life) this.close();
    if (this.#scheduled || this.#closed || first === undefined) return;
    this.#scheduled = true;
    const { world } = this.#network;
    world.after(
      delayMs ?? first.at - world.now,
      () => {
        this.#scheduled = false;
        this.#arrive();
      },
      this.to,
    );
  }

  #arrive(): void {
    const [first] = this.#queue;
    if (this.#closed || first === undefined) return;
    const { world } = this.#network;
    if (this.#network.isCut(this.from, this.to)) {
      if (world.now - first.sentAt > KEEPALIVE_MS) this.#onBroken(new AuroraRpcError('UNREACHABLE', 'the connection broke'));
      else this.#schedule(RETRANSMIT_MS);
      return;
    }
    this.#queue.shift();
    first.deliver();
    this.#schedule();
  }
}
