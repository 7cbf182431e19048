import { createHash } from 'node:crypto';
import { KeyEncryptionKey, KeyRing } from '@kube-aurora/at-rest';
import { postgres18 } from '@kube-aurora/redo';
import { EngineRegistry } from '@kube-aurora/redo-engine';
import type { AppendResponse, SegmentState } from '@kube-aurora/rpc';
import { rolesOf, type SegmentRole } from '@kube-aurora/volume';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { Daemon } from '../../storage-daemon/src/daemon.ts';
import { ControlFileError } from '../../storage-daemon/src/segment/control-file.ts';
import type { GivenKeys } from '../../storage-daemon/src/segment/segment-key.ts';
import type { Segment } from '../../storage-daemon/src/segment/segment.ts';
import type { DaemonNetwork } from '../../storage-daemon/src/edge/daemon-network.ts';
import { Machine } from './machine.ts';
import { segmentApi, type Exchange } from './simulated-api.ts';
import { SimulatedDisk } from './simulated-disk.ts';

/**
 * Six machines with a storage daemon each: the daemon that ships, on a disk and a network that do what the seed says.
 */

export const SEGMENT = { volumeId: '0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10', pg: 0 };
const DATA = '/data';
/** Of each machine. */
const ZONES = [0, 1, 2, 3, 4, 5].map((index) => `zone-${index >> 1}`);
const RESTART_MS: readonly [number, number] = [20, 1500];
const SCRUB_BYTES_PER_SECOND = 32 * 1024;
/** Those who listen to what daemons answer. */
export interface AnswerWatch {
  /** Before it is sent: an epoch was promised. */
  readonly promised: (machine: StorageMachine, epoch: bigint, writerId: string, state: SegmentState) => void;
  /** Before it is sent: an answer on a writer's stream. */
  readonly acknowledges: (machine: StorageMachine, response: AppendResponse) => void;
}

const NOBODY: AnswerWatch = { promised: () => undefined, acknowledges: () => undefined };

/** Where a segment is on its machine's disk. */
export function segmentDirectory(): string {
  return `${DATA}/${SEGMENT.volumeId}/${SEGMENT.pg}`;
}

/** In the place of random bytes: the same in every run. */
function countedBytes(): (bytes: number) => Buffer {
  let asked = 0;
  return (bytes) => createHash('sha256').update(String(asked++)).digest().subarray(0, bytes);
}

export class StorageMachine extends Machine {
  readonly disk = new SimulatedDisk(this);
  readonly index: number;
  readonly role: SegmentRole;
  readonly address: string;
  #exchange: Exchange;
  readonly #watch: AnswerWatch;
  #addresses: readonly string[];
  daemon: Daemon | undefined;
  /** Every other one keeps what it stores encrypted: they are to do the same. */
  readonly #keys: GivenKeys | undefined;
  /** Somebody wants it to run. */
  isWanted = true;

  constructor(exchange: Exchange, index: number, addresses: readonly string[], watch: AnswerWatch, traced: boolean) {
    super(exchange.network.world, `d${index}`, ZONES[index] ?? '', traced);
    this.#exchange = exchange;
    this.#watch = watch;
    this.index = index;
    this.#keys = index % 2 === 0 ? undefined : { ring: new KeyRing(new KeyEncryptionKey(Buffer.alloc(32, index)), [], countedBytes()) };
    this.role = this.#roles[index] ?? 'FULL';
    this.#addresses = addresses;
    this.address = addresses[index] ?? '';
  }

  override start(): void {
    if (this.isUp) return;
    super.start();
    const { life } = this;
    const { world } = this;
    world.note(this.id, 'starts');
    Daemon.start({
      dataDirectory: DATA,
      listen: this.address,
      framesListen: '',
      daemonId: this.id,
      zone: this.zone,
      peers: this.#addresses.map((address, index) => ({ id: `d${index}`, address, role: this.#roles[index] ?? 'FULL' })),
      limits: { ...world.mix.limits, checkpointStagger: (world.mix.limits.checkpointStagger * this.index) % 1 },
      scrubBytesPerSecond: SCRUB_BYTES_PER_SECOND,
      ...(world.mix.standInAfterMs === undefined ? {} : { standInAfterMs: world.mix.standInAfterMs }),
      logger: this.logger,
      disk: this.disk,
      keys: this.#keys,
      engines: new EngineRegistry([postgres18]),
      network: this.#network(),
      clock: this.clock,
    }).then(
      (daemon) => {
        if (this.life === life) this.daemon = daemon;
      },
      (error: unknown) => {
        if (this.life !== life) return;
        world.note(this.id, `cannot start: ${String(error)}`);
        // What its message says is to be done.
        if (error instanceof ControlFileError) this.disk.wipe();
        else if (!isDiskError(error)) throw error;
        this.stop('process');
        this.restartSoon();
      },
    );
  }

  /** The network, with an ear for what is answered. */
  #network(): DaemonNetwork {
    const network = this.#exchange.networkOf(this);
    return {
      ...network,
      serve: (services, address) => {
        const { segment } = services;
        const openEpoch: typeof segment.openEpoch = async (request, context) => {
          const answer = await segment.openEpoch(request, context);
          this.#watch.promised(this, request.epoch, request.writerId, answer);
          return answer;
        };
        const append: typeof segment.append = (call) => {
          const write = call.write.bind(call);
          call.write = (response) => {
            this.#watch.acknowledges(this, response);
            return write(response);
          };
          segment.append(call);
        };
        return network.serve({ ...services, segment: { ...segment, openEpoch, append } }, address);
      },
    };
  }

  /** Its process ends, or its power does. */
  stop(how: 'process' | 'power'): void {
    if (!this.isUp) return;
    this.world.note(this.id, how === 'power' ? 'loses power' : 'is killed');
    this.die();
    this.daemon = undefined;
    // What a dead process wrote stays in the system's memory: it is found after a start, and lost with the power.
    if (how === 'power') this.disk.crash();
  }

  restartSoon(): void {
    this.world.after(this.world.spread(...RESTART_MS), () => {
      if (this.isWanted) this.start();
    });
  }

  get #roles(): readonly SegmentRole[] {
    return rolesOf(this.world.mix.copies, ZONES);
  }

  get segment(): Segment | undefined {
    if (this.daemon === undefined) return undefined;
    for (const segment of this.daemon.segments) if (segment.volumeId === SEGMENT.volumeId) return segment;
    return undefined;
  }
}

function isDiskError(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['EIO', 'ENOSPC', 'EROFS'].includes(String(error.code));
}

export function storageMachines(exchange: Exchange, traced: boolean, watch: AnswerWatch = NOBODY): StorageMachine[] {
  const addresses = [0, 1, 2, 3, 4, 5].map((index) => `d${index}:1`);
  return addresses.map((_address, index) => new StorageMachine(exchange, index, addresses, watch, traced));
}

/** Listens to what a compute hears of segments. */
export interface HearingWatch {
  readonly answered: (index: number, response: AppendResponse) => void;
  readonly state: (index: number, state: SegmentState) => void;
}

/** The daemons as a compute on `machine` reaches them. */
export function endpointsFor(
  machine: Machine,
  exchange: Exchange,
  storage: readonly StorageMachine[],
  watch?: HearingWatch,
): SegmentEndpoint[] {
  return storage.map(({ index, id, zone, role, address }) => {
    const client = segmentApi(exchange, machine, address);
    if (watch === undefined) return { index, id, zone, role, client };
    const append: typeof client.append = () => {
      const stream = client.append();
      stream.on('data', (response) => watch.answered(index, response));
      return stream;
    };
    const status: typeof client.status = async (request, options) => {
      const state = await client.status(request, options);
      watch.state(index, state);
      return state;
    };
    return { index, id, zone, role, client: { ...client, append, status } };
  });
}
