import { encodePageKey } from '@kube-aurora/redo';
import type { Segment } from '../../storage-daemon/src/segment/segment.ts';
import { BrokenPromise, VolumeHistory } from './history.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { Exchange, segmentApi } from './simulated-api.ts';
import { SimulatedWriter } from './simulated-writer.ts';
import { endpointsFor, SEGMENT, storageMachines, type StorageMachine } from './storage.ts';
import type { World } from './world.ts';

/** The whole system of one run: six storage machines, computes that come and go, and what is looked at after every event. */

const PAGES_CHECKED = 3;
const CHECK_DEADLINE_MS = 400;
const RELATION = { spcOid: 1663, dbOid: 5, relNumber: 16_384, fork: 0 };

/** What a segment must never fall behind, as long as its disk keeps what it synced. */
interface Held {
  epoch: bigint;
  /** It had redo up to here, and knew that it was durable on a quorum. */
  durableLsn: bigint;
}

export class Cluster {
  readonly world: World;
  readonly network: Network;
  readonly exchange: Exchange;
  readonly storage: readonly StorageMachine[];
  readonly history = new VolumeHistory();
  /** False: computes write nothing more. */
  isLoaded = true;
  readonly computes: { readonly machine: Machine; readonly writer: SimulatedWriter }[] = [];
  readonly #held = new Map<StorageMachine, Held>();
  readonly #traced: boolean;
  readonly #checker: Machine;
  #writers = 0;

  constructor(world: World, traced: boolean) {
    this.world = world;
    this.#traced = traced;
    this.network = new Network(world);
    this.exchange = new Exchange(this.network);
    this.storage = storageMachines(this.exchange, (machine, epoch) => this.#promised(machine, epoch), traced);
    this.#checker = new Machine(world, 'checker', 'zone-x', false);
    this.#checker.start();
    for (const machine of this.storage) machine.start();
  }

  /** A new compute that wants to be the writer, beside whoever else does. */
  startWriter(): void {
    const id = `w${++this.#writers}`;
    const machine = new Machine(this.world, id, `zone-${this.world.random.integer(0, 2)}`, this.#traced);
    machine.start();
    const writer = new SimulatedWriter(id, machine, endpointsFor(machine, this.exchange, this.storage), this.history, () => this.isLoaded);
    this.computes.push({ machine, writer });
    this.world.note(id, 'starts');
    void writer.run();
  }

  get livingComputes(): readonly { readonly machine: Machine; readonly writer: SimulatedWriter }[] {
    return this.computes.filter(({ machine, writer }) => machine.isUp && !writer.isOver);
  }

  /** The disk of this machine lost something that it had synced: what it held before is not asked of it again. */
  forgive(machine: StorageMachine): void {
    this.#held.delete(machine);
  }

  // After every event ------------------------------------------------------------------------------------------------

  /** Throws BrokenPromise. */
  check(): void {
    for (const machine of this.storage) {
      const { segment } = machine;
      if (segment !== undefined) this.#checkSegment(machine, segment);
    }
  }

  #checkSegment(machine: StorageMachine, segment: Segment): void {
    const { epoch } = segment.control;
    const { storage } = segment;
    const held = this.#heldBy(machine);
    if (epoch < held.epoch) throw new BrokenPromise(`${machine.id} had promised epoch ${held.epoch} and knows of ${epoch}`);
    if (storage === undefined || segment.phase !== 'READY') return;
    const { scl } = segment;
    // What it says that it lost to damage it is honest about.
    if (scl < held.durableLsn && segment.control.recoverToLsn < held.durableLsn)
      throw new BrokenPromise(`${machine.id} had durable redo up to ${held.durableLsn.toString(16)} and has it up to ${scl.toString(16)}`);
    const durable = storage.vdl < scl ? storage.vdl : scl;
    if (durable > held.durableLsn) held.durableLsn = durable;
  }

  /** The segment has answered that it promised the epoch. */
  #promised(machine: StorageMachine, epoch: bigint): void {
    const held = this.#heldBy(machine);
    if (epoch > held.epoch) held.epoch = epoch;
  }

  #heldBy(machine: StorageMachine): Held {
    let held = this.#held.get(machine);
    if (held === undefined) this.#held.set(machine, (held = { epoch: 0n, durableLsn: 0n }));
    return held;
  }

  // Now and then -----------------------------------------------------------------------------------------------------

  /** Asks one segment for some pages as of an LSN that may be read, and holds its answers against the history. */
  async checkPages(machine: StorageMachine, blocks = PAGES_CHECKED): Promise<void> {
    const { newest } = this.history;
    if (newest === undefined) return;
    const api = segmentApi(this.exchange, this.#checker, machine.address);
    for (let i = 0; i < blocks; i++) {
      const page = { ...RELATION, block: this.world.random.integer(0, 9) };
      const request = { segment: SEGMENT, ...newest, keys: [encodePageKey(page)] };
      let bytes: Buffer;
      try {
        bytes = (await api.getPages(request, { deadlineMs: CHECK_DEADLINE_MS })).pages;
      } catch {
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

  /** Six sound copies that are level with a writer to whom everything was acknowledged. */
  get isHealthy(): boolean {
    const writers = this.livingComputes.filter(({ writer }) => writer.session?.isIdle === true);
    const [one] = writers;
    if (one === undefined || this.livingComputes.length !== 1) return false;
    const { vdl, epoch } = one.writer.session ?? { vdl: 0n, epoch: 0n };
    return this.storage.every(({ segment }) => {
      if (segment === undefined || segment.phase !== 'READY') return false;
      const state = segment.state();
      return state.fault === undefined && state.scl === vdl && state.epoch === epoch && state.appliedLsn === vdl;
    });
  }

  describe(): string {
    const segments = this.storage.map(({ id, segment }) => {
      if (segment === undefined) return `${id} down`;
      const { phase, scl, vdl, appliedLsn, epoch, fault } = segment.state();
      return `${id} ${phase} epoch ${epoch} scl ${scl.toString(16)} vdl ${vdl.toString(16)} applied ${appliedLsn.toString(16)} ${fault?.kind ?? ''}`;
    });
    const writers = this.livingComputes.map(({ writer }) => {
      const { session } = writer;
      return `${writer.id} ${session === undefined ? 'opens' : `epoch ${session.epoch} vdl ${session.vdl.toString(16)}${session.isIdle ? ' idle' : ''}`}`;
    });
    return [...segments, ...writers].join('\n');
  }
}
