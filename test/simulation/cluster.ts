import { encodePageKey } from '@kube-aurora/redo';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { BrokenPromise, VolumeHistory } from './history.ts';
import { Invariants } from './invariants.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { Exchange, segmentApi } from './simulated-api.ts';
import { SimulatedReader } from './simulated-reader.ts';
import { SimulatedWriter } from './simulated-writer.ts';
import { endpointsFor, SEGMENT, storageMachines, type StorageMachine } from './storage.ts';
import { RELATION } from './synthetic-volume.ts';
import type { Owner, World } from './world.ts';

/** Where computes elect the writer among themselves: so many, and how long a writer must be silent. */
const INSTANCES = 3;
const FAILOVER_AFTER_MS = 2000;

/**
 * The whole system of one run: six storage machines, computes that come and go, and what is looked at after every
 * event.
 */

const PAGES_CHECKED = 3;
const CHECK_DEADLINE_MS = 400;

export class Cluster {
  readonly world: World;
  readonly network: Network;
  readonly exchange: Exchange;
  readonly storage: readonly StorageMachine[];
  readonly history = new VolumeHistory();
  /** False: computes write nothing more. */
  isLoaded = true;
  /** Nor before this moment. */
  restsUntil = 0;
  readonly computes: { readonly machine: Machine; readonly writer: SimulatedWriter }[] = [];
  readonly #readers: { readonly machine: Machine; readonly reader: SimulatedReader }[] = [];
  readonly invariants: Invariants;
  readonly #traced: boolean;
  readonly #checker: Machine;
  /** A machine of nobody's. */
  readonly stranger: Machine;
  /** Called once, when a writer is told that something is durable. */
  onNextAcknowledgement: (() => void) | undefined;
  /** What a check found where nobody would have heard it. */
  #broken: BrokenPromise | undefined;
  #writers = 0;
  /** Times that one that followed was to take the writer's place. */
  elections = 0;

  constructor(world: World, traced: boolean) {
    this.world = world;
    this.#traced = traced;
    this.network = new Network(world);
    const blocks = Array.from({ length: world.mix.load.blocks }, (_, block) => ({ ...RELATION, block }));
    this.exchange = new Exchange(this.network);
    this.storage = storageMachines(this.exchange, traced, {
      promised: (machine, epoch, writerId, state) =>
        this.#noticing(() => this.invariants.promised(machine, epoch, writerId, state, this.#writerViews)),
      acknowledges: (machine, response) => this.#noticing(() => this.invariants.acknowledges(machine, response)),
    });
    this.invariants = new Invariants(
      this.history,
      blocks,
      this.storage.map(({ role }) => role),
    );
    this.#checker = new Machine(world, 'checker', 'zone-x', false);
    this.#checker.start();
    this.stranger = new Machine(world, 'stranger', 'zone-x', false);
    this.stranger.start();
    this.history.onBroken = (broken) => {
      this.#broken ??= broken;
    };
    this.history.onAcknowledged = () => {
      const { onNextAcknowledgement } = this;
      this.onNextAcknowledgement = undefined;
      onNextAcknowledgement?.();
    };
    for (const machine of this.storage) machine.start();
  }

  /** Do computes elect the writer among themselves? */
  get hasElections(): boolean {
    return this.world.mix.mixture === 'elections';
  }

  /** Those whose roles are decided through storage: all of them, from now on. */
  startInstances(): void {
    if (this.hasElections) for (let number = 0; number < INSTANCES; number++) this.startWriter();
  }

  /**
   * A new compute that wants to be the writer, beside whoever else does; where computes elect it, one of those that are down, if one
   * is.
   */
  startWriter(): void {
    const instance = this.hasElections ? this.#instanceDown() : undefined;
    if (this.hasElections && instance === undefined) return;
    this.#writers++;
    const id = instance === undefined ? `w${this.#writers}` : `${instance}/${this.#writers}`;
    const machine = new Machine(this.world, id, `zone-${this.world.random.integer(0, 2)}`, this.#traced);
    machine.start();
    const endpoints = endpointsFor(machine, this.exchange, this.storage, {
      answered: (index, response) => this.invariants.heard(id, response.epoch, index, response.scl),
      state: (index, state) => this.invariants.heardState(id, state.epoch, index, state),
    });
    const writer = new SimulatedWriter(id, machine, endpoints, this.history, {
      isLoaded: () => this.isLoaded && this.world.now >= this.restsUntil,
      bearsLeases: (earlier, later) => this.#bearsLeases(earlier, later),
      elected:
        instance === undefined
          ? undefined
          : {
              instance,
              place: { tier: 1, failoverAfterMs: FAILOVER_AFTER_MS },
              noticing: (check) => this.#noticing(check),
              onElected: () => void this.elections++,
            },
    });
    this.computes.push({ machine, writer });
    this.world.note(id, 'starts');
    void writer.run();
  }

  #instanceDown(): string | undefined {
    const up = new Set(this.livingComputes.map(({ machine }) => machine.id.split('/')[0]));
    return Array.from({ length: INSTANCES }, (_, index) => `i${index + 1}`).find((instance) => !up.has(instance));
  }

  /** A new reader. */
  startReader(): void {
    const id = `r${this.#readers.length + 1}`;
    const machine = new Machine(this.world, id, `zone-${this.world.random.integer(0, 2)}`, this.#traced);
    machine.start();
    const endpoints = endpointsFor(machine, this.exchange, this.storage);
    const reader = new SimulatedReader(id, machine, endpoints, this.history, (check) => this.#noticing(check));
    this.#readers.push({ machine, reader });
    this.world.note(id, 'starts');
    void reader.run();
  }

  get livingReaders(): readonly { readonly machine: Machine; readonly reader: SimulatedReader }[] {
    return this.#readers.filter(({ machine }) => machine.isUp);
  }

  /**
   * A lease rests on the clocks of both writers; and of storage's segments two know of it, so that one may have a broken
   * clock, or a disk that forgot.
   */
  #bearsLeases(...writers: readonly string[]): boolean {
    const isTrue = (id: string): boolean => this.computes.find(({ writer }) => writer.id === id)?.machine.isClockBroken === false;
    const doubtful = this.storage.filter((machine) => machine.isClockBroken || !this.invariants.isTrusted(machine));
    return writers.every(isTrue) && doubtful.length <= 1;
  }

  get livingComputes(): readonly { readonly machine: Machine; readonly writer: SimulatedWriter }[] {
    return this.computes.filter(({ machine, writer }) => machine.isUp && !writer.isOver);
  }

  get #writerViews(): readonly SimulatedWriter[] {
    return this.livingComputes.map(({ writer }) => writer);
  }

  // After every event ------------------------------------------------------------------------------------------------

  #noticing(check: () => void): void {
    try {
      check();
    } catch (error) {
      if (!(error instanceof BrokenPromise)) throw error;
      this.#broken ??= error;
    }
  }

  /** Looks at whom the event happened to. Throws BrokenPromise. */
  check(owner: Owner | undefined): void {
    if (this.#broken !== undefined) throw this.#broken;
    for (const { machine, writer } of this.computes) if (machine === owner && machine.isUp) this.invariants.checkWriter(writer);
    for (const machine of this.storage) {
      if (owner !== undefined && owner !== machine) continue;
      const { segment } = machine;
      if (segment !== undefined) this.invariants.checkSegment(machine, segment, this.#writerViews, this.storage);
    }
  }

  // Now and then -----------------------------------------------------------------------------------------------------

  /** Asks one segment for some pages as of an LSN that may be read, and holds its answers against the history. */
  async checkPages(machine: StorageMachine, blocks = PAGES_CHECKED): Promise<void> {
    const { newest } = this.history;
    if (newest === undefined) return;
    const api = segmentApi(this.exchange, this.#checker, machine.address);
    for (let i = 0; i < blocks; i++) {
      const page = { ...RELATION, block: this.world.random.integer(0, this.world.mix.load.blocks - 1) };
      const request = { segment: SEGMENT, ...newest, keys: [encodePageKey(page)] };
      let bytes: Buffer;
      try {
        bytes = Buffer.concat((await api.getPages(request, { deadlineMs: CHECK_DEADLINE_MS })).pages);
      } catch (error) {
        if (!(error instanceof AuroraRpcError)) throw error;
        // It is down, behind, or past it: another time.
        return;
      }
      this.history.read(machine.id, newest.epoch, page, bytes, newest.lsn, newest.lsn);
    }
  }

  /** Six sound copies that have everything up to the LSN. */
  hasEverywhere(lsn: bigint): boolean {
    return this.storage.every(({ segment }) => {
      if (segment === undefined || segment.phase !== 'READY') return false;
      const state = segment.state();
      return state.fault === undefined && state.scl >= lsn;
    });
  }

  /** Six sound copies, and readers, that are level with a writer to whom everything was acknowledged. */
  get isHealthy(): boolean {
    const writers = this.livingComputes.filter(({ writer }) => writer.session?.isIdle === true);
    const [one] = writers;
    if (one === undefined || this.livingComputes.length !== (this.hasElections ? INSTANCES : 1)) return false;
    const { vdl, epoch } = one.writer.session ?? { vdl: 0n, epoch: 0n };
    // Whoever does not write follows.
    if (this.livingComputes.some(({ writer }) => writer !== one.writer && writer.standby?.position !== vdl)) return false;
    if (this.livingReaders.some(({ reader }) => reader.position !== vdl)) return false;
    return this.storage.every(({ segment }) => {
      if (segment === undefined || segment.phase !== 'READY') return false;
      const state = segment.state();
      // Everybody is there: nobody stands in for anybody any more.
      if (state.standIn !== undefined) return false;
      return state.fault === undefined && state.scl === vdl && state.epoch === epoch && state.appliedLsn === vdl;
    });
  }

  /** The epoch of the writer that lives; undefined while there is not exactly one. */
  get writingEpoch(): bigint | undefined {
    const epochs = this.livingComputes.flatMap(({ writer: { session } }) => (session === undefined ? [] : [session.epoch]));
    return epochs.length === 1 ? epochs[0] : undefined;
  }

  describe(): string {
    const segments = this.storage.map(({ id, segment }) => {
      if (segment === undefined) return `${id} down`;
      const { phase, scl, vdl, appliedLsn, epoch, fault, standIn } = segment.state();
      return `${id} ${phase}${standIn === undefined ? '' : ` for ${standIn.of}`} epoch ${epoch} scl ${scl.toString(16)} vdl ${vdl.toString(16)} applied ${appliedLsn.toString(16)} ${fault?.kind ?? ''}`;
    });
    const writers = this.livingComputes.map(({ writer }) => {
      const { session } = writer;
      const { standby } = writer;
      if (standby !== undefined) return `${writer.id} follows, at ${standby.position.toString(16)}`;
      return `${writer.id} ${session === undefined ? 'opens' : `epoch ${session.epoch} vdl ${session.vdl.toString(16)}${session.isIdle ? ' idle' : ''}`}`;
    });
    const readers = this.livingReaders.map(({ reader }) => `${reader.id} at ${reader.position.toString(16)}`);
    return [...segments, ...writers, ...readers].join('\n');
  }
}
