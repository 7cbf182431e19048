import type { Disk, DiskSpace } from './disk/disk.ts';
import { DiskForecast } from './disk/disk-forecast.ts';
import { roomOf, type DiskRoom } from './disk/disk-room.ts';
import type { Clock } from '@kube-aurora/clock';
import { join } from 'node:path';
import type { Logger } from '@kube-aurora/process';
import type { EngineRegistry } from '@kube-aurora/redo-engine';
import { AuroraRpcError } from '@kube-aurora/rpc';
import { DaemonMetrics } from './metrics.ts';
import { connectPeers, roleIn, type PeerEndpoint } from './peers/peer-set.ts';
import { Peers } from './peers/peers.ts';
import { findSegments } from './segment/find-segments.ts';
import type { SegmentLimits } from './segment/limits.ts';
import type { SegmentDirectory } from './segment/segment-directory.ts';
import type { SegmentIdentity } from './segment/segment-identity.ts';
import type { GivenKeys } from './segment/segment-key.ts';
import type { SegmentOptions } from './segment/segment-options.ts';
import { Segment } from './segment/segment.ts';
import type { DaemonListener, DaemonNetwork, DaemonServices } from './edge/daemon-network.ts';
import { Refusals } from './edge/refusals.ts';
import { segmentHandlers } from './service/segment-service.ts';

/** At the speed of a fast disk, less than the reserve is written between two looks. */
const DISK_LOOK_MS = 500;

/** So that strangers cannot fill its memory and disk with volumes that they make up. */
export const SEGMENTS_MAX = 64;

/** A storage daemon without its process: segments, services and peers. What main runs and tests run many of. */

export interface DaemonOptions {
  readonly dataDirectory: string;
  /** host:port of gRPC, and of frames. */
  readonly listen: string;
  readonly framesListen: string;
  readonly daemonId: string;
  readonly zone: string;
  /** All daemons, this one too, with what their segments are; FULL unless said. */
  readonly peers: readonly PeerEndpoint[];
  readonly limits: SegmentLimits;
  readonly scrubBytesPerSecond: number;
  /** Milliseconds after which a tail takes pages in the place of its zone's full segment that is away; never unless given. */
  readonly standInAfterMs?: number;
  /** Segments that this daemon holds at most; SEGMENTS_MAX unless given. */
  readonly segmentsMax?: number;
  readonly logger: Logger;
  readonly disk: Disk;
  /** By which data keys are wrapped; without, everything stands on the disk as it is. */
  readonly keys?: GivenKeys | undefined;
  /** Those whose volumes it can hold. */
  readonly engines: EngineRegistry;
  readonly network: DaemonNetwork;
  readonly clock: Clock;
  /** Called twice a second, with a number that moves while there is work: redo, reads, merging. */
  readonly onLook?: (worked: number) => void;
}

function identityOf({ daemonId, zone, peers }: DaemonOptions): SegmentIdentity {
  return { daemonId, zone, role: roleIn(peers, daemonId) };
}

export class Daemon {
  readonly metrics: DaemonMetrics;
  readonly peers: Peers;
  readonly #options: DaemonOptions;
  readonly #segments = new Map<string, Segment>();
  readonly #opening = new Map<string, Promise<Segment>>();
  readonly #services: DaemonServices;
  #listener: DaemonListener | undefined;
  readonly #stop = new AbortController();
  readonly #startedAtMs: number;
  #watching: Promise<void> | undefined;
  #room: DiskRoom | undefined;
  #space: DiskSpace | undefined;
  readonly #forecast = new DiskForecast();

  private constructor(options: DaemonOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.now();
    this.metrics = new DaemonMetrics(
      () => this.#segments.values(),
      () => this.#listener?.traffic() ?? { connections: 0, receivedBytes: 0, sentBytes: 0 },
    );
    const refusals = new Refusals({
      logger: options.logger.child({ part: 'service' }),
      clock: options.clock,
      count: (rpc, reason) => this.metrics.refusals.inc({ rpc, reason }),
    });
    const segments: SegmentDirectory = {
      all: () => this.#segments.values(),
      known: ({ volumeId, pg }) => this.#segments.get(`${volumeId}/${pg}`),
      take: ({ volumeId, pg }) => this.segment(volumeId, pg),
      identity: identityOf(options),
    };
    this.peers = new Peers({
      ownId: options.daemonId,
      peers: connectPeers(options.peers, options.daemonId, options.network),
      logger: options.logger.child({ part: 'peers' }),
      counters: this.metrics,
      segments,
      refusals,
      scrubBytesPerSecond: options.scrubBytesPerSecond,
      standInAfterMs: options.standInAfterMs ?? Infinity,
      clock: options.clock,
    });
    this.#services = {
      segment: segmentHandlers({
        logger: options.logger.child({ part: 'service' }),
        clock: options.clock,
        segments,
        refusals,
        onGap: (segment) => this.peers.onGap(segment),
        onAcknowledged: (seconds, by) => {
          this.metrics.appendSeconds.note(seconds);
          this.metrics.acknowledged.inc({ by });
        },
        onRead: (seconds, pages) => {
          this.metrics.readSeconds.note(seconds);
          this.metrics.pagesRead.inc(pages);
        },
        onLogDamage: (segment, error) => this.peers.onLogDamage(segment, error),
        onSent: (bytes) => this.metrics.followedBytes.inc(bytes),
      }),
      peer: this.peers.handlers(),
      turnedAway: () => this.metrics.refusals.inc({ rpc: 'connection', reason: 'too-many' }),
      refused: (rpc, error) => void refusals.note(rpc, error),
    };
  }

  /** Opens every segment in the data directory, then serves. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const daemon = new Daemon(options);
    await options.disk.makeDirectory(options.dataDirectory);
    for (const { volumeId, pg } of findSegments(options.disk, options.dataDirectory)) await daemon.segment(volumeId, pg);
    // What was wrapped by another key when the last daemon ended.
    await daemon.rewrap();
    daemon.#listener = await options.network.serve(daemon.#services, { address: options.listen, framesAddress: options.framesListen });
    daemon.peers.start();
    await daemon.#lookAtDisk();
    daemon.#watching = daemon.#watchDisk();
    return daemon;
  }

  /** The port it is reached at. */
  get port(): number {
    return this.#listener?.port ?? 0;
  }

  /** The port at which it speaks frames. */
  get framesPort(): number {
    return this.#listener?.framesPort ?? 0;
  }

  get segments(): Iterable<Segment> {
    return this.#segments.values();
  }

  /** The segment, opened or made empty. */
  segment(volumeId: string, pg: number): Promise<Segment> {
    const key = `${volumeId}/${pg}`;
    const known = this.#segments.get(key);
    if (known !== undefined) return Promise.resolve(known);
    let opening = this.#opening.get(key);
    const max = this.#options.segmentsMax ?? SEGMENTS_MAX;
    if (opening === undefined && this.#segments.size + this.#opening.size >= max && !this.#hasFiles(volumeId, pg)) {
      const message = `segment.volume_id: this daemon holds ${max} segments and takes no more`;
      return Promise.reject(new AuroraRpcError('REFUSED', message, 'too-many-segments'));
    }
    if (opening === undefined) {
      opening = Segment.open(this.#segmentOptions(), volumeId, pg).then((segment) => {
        this.#segments.set(key, segment);
        return segment;
      });
      this.#opening.set(key, opening);
      const forget = (): void => void this.#opening.delete(key);
      opening.then(forget, forget);
    }
    return opening;
  }

  #hasFiles(volumeId: string, pg: number): boolean {
    return this.#options.disk.exists(join(this.#options.dataDirectory, volumeId, String(pg), 'control'));
  }

  #segmentOptions(): SegmentOptions<Segment> {
    const { dataDirectory, daemonId, peers, logger, disk, keys, engines, clock } = this.#options;
    const ids = peers.map((peer) => peer.id).toSorted();
    const limits = { ...this.#options.limits, checkpointStagger: Math.max(0, ids.indexOf(daemonId)) / Math.max(1, ids.length) };
    return {
      directory: dataDirectory,
      disk,
      keys,
      engines,
      identity: identityOf(this.#options),
      limits,
      logger: logger.child({ part: 'segment' }),
      clock,
      startedAtMs: this.#startedAtMs,
      events: this.metrics,
      fetchPage: (segment, page, lsn) => this.peers.fetchPage(segment, page, lsn),
      highestOfPeers: (segment) => this.peers.highest(segment),
      askPeers: (segment) => this.peers.askPeers(segment),
      fullPeers: peers
        .filter(({ id, role = 'FULL' }) => id !== daemonId && role === 'FULL')
        .map(({ id }) => ({ id, checkpointLsn: (segment) => this.peers.checkpointOf(segment, id) })),
      lowestPeerScl: (segment) => (this.#options.peers.length <= 1 ? segment.scl : this.peers.gossip.lowestScl(segment)),
    };
  }

  /** What was taken in, read and stored so far. */
  get #worked(): number {
    const { receivedBytes, sentBytes } = this.#listener?.traffic() ?? { receivedBytes: 0, sentBytes: 0 };
    let worked = receivedBytes + sentBytes;
    for (const { pages } of this.#segments.values()) {
      const stats = pages?.stats();
      if (stats !== undefined) worked += stats.recordsApplied + stats.recordsAppliedToPages + stats.pagesWritten;
    }
    return worked;
  }

  async #watchDisk(): Promise<void> {
    const { clock, logger } = this.#options;
    while (!this.#stop.signal.aborted) {
      await clock.sleep(DISK_LOOK_MS, this.#stop.signal);
      try {
        if (!this.#stop.signal.aborted) await this.#lookAtDisk();
      } catch (error) {
        logger.warn({ err: error }, 'how much room the disk has could not be asked');
      }
    }
  }

  async #lookAtDisk(): Promise<void> {
    const { disk, dataDirectory, limits, clock } = this.#options;
    const space = await disk.space(dataDirectory);
    this.metrics.diskFreeBytes.set(space.freeBytes);
    this.metrics.diskBytes.set(space.totalBytes);
    this.#space = space;
    this.#forecast.note(clock.now(), space.freeBytes);
    this.#room = roomOf(space, limits.diskReserveBytes, this.#room);
    for (const segment of this.#segments.values()) segment.noteRoom(this.#room);
    this.#options.onLook?.(this.#worked);
  }

  /** Has the key that wraps now wrap each data key that another one wraps. What cannot be written is to be tried again. */
  async rewrap(): Promise<void> {
    const { logger } = this.#options;
    for (const segment of this.#segments.values()) {
      if (segment.state().fault?.kind === 'KEY_UNUSABLE') continue;
      try {
        const isDone = await segment.rewrap();
        if (isDone) logger.info({ ...segment.id, wrappedBy: segment.control.encryption?.wrappedBy }, 'another key wraps the data key');
      } catch (error) {
        logger.warn({ ...segment.id, err: error }, 'the data key could not be wrapped by another key; it is tried again');
      }
    }
  }

  /** Are there segments that were not opened for want of their key? With other keys the daemon is to be started anew. */
  get lacksKeys(): boolean {
    return [...this.#segments.values()].some((segment) => segment.state().fault?.kind === 'KEY_UNUSABLE');
  }

  /** Does every segment take redo and serve reads? One that fetches what it lost counts as on its way. */
  readiness(): { ok: boolean; message: string } {
    const wrong = [...this.#segments.values()].flatMap((segment) => {
      const { fault, message } = segment.state();
      return fault === undefined || fault.kind === 'LOST_REDO' ? [] : [`volume ${segment.volumeId}: ${message}`];
    });
    return wrong.length === 0 ? { ok: true, message: 'ready' } : { ok: false, message: wrong.join('; ') };
  }

  status(): object {
    return {
      daemonId: this.#options.daemonId,
      zone: this.#options.zone,
      disk: { ...this.#space, fullInSeconds: this.#forecast.fullInSeconds },
      segments: [...this.#segments.values()].map((segment) => ({
        ...segment.id,
        ...segment.stateForComputes(),
        heldRedo: segment.heldRedo,
        readers: segment.readers.map(({ compute, lsn, xmins }) => ({ compute, lsn, xmin: Number(xmins.xmin) })),
        followers: segment.followers.list(),
        leases: segment.leases,
        ...(segment.control.encryption === undefined ? {} : { encryption: { wrappedBy: segment.control.encryption.wrappedBy } }),
      })),
    };
  }

  /**
   * Invariant: a segment closes only when nobody can ask it any more. One that has let go of its content looks empty:
   * it must neither answer an opener, who would believe that it holds nothing, nor take redo that it could not write.
   */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#watching;
    this.#listener?.leaving();
    const segments = [...this.#segments.values()];
    for (const segment of segments) segment.closeSessions();
    await this.peers.stop();
    this.#listener?.close();
    await Promise.all(segments.map((segment) => segment.close()));
  }
}
