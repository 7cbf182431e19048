import { Registry } from 'prom-client';
import type { BatchRecord } from '@kube-aurora/volume';
import { ImportFailedError, importVolume } from '../../compute-node/src/bootstrap/import-volume.ts';
import { Agent } from '../../compute-node/src/agent.ts';
import type { RoleChoice, SessionHow, WriterPhases } from '../../compute-node/src/agent-phases.ts';
import { createMetrics } from '../../compute-node/src/metrics.ts';
import { fetchComputeImage, type ComputeImage } from '../../compute-node/src/open/fetch-image.ts';
import { openVolume, type OpenedVolume } from '../../compute-node/src/open/open-volume.ts';
import { SINGLE_GROUP } from '../../compute-node/src/placement.ts';
import type { SegmentEndpoint, WriterIdentity } from '../../compute-node/src/segments.ts';
import { awaitTurn } from '../../compute-node/src/election/await-turn.ts';
import { claimPlace } from '../../compute-node/src/election/claim-place.ts';
import type { PlaceSettings } from '../../compute-node/src/election/place-settings.ts';
import { WriterWatch } from '../../compute-node/src/election/writer-watch.ts';
import { findReaderStart } from '../../compute-node/src/reader/find-start.ts';
import { volumeDriver } from '../../compute-node/src/session/volume-driver.ts';
import { WriterSession } from '../../compute-node/src/session/writer-session.ts';
import type { VolumeHistory } from './history.ts';
import type { Machine } from './machine.ts';
import { SimulatedDatabase } from './simulated-database.ts';
import { SimulatedStandby } from './simulated-standby.ts';
import { SEGMENT } from './storage.ts';
import { syntheticVolume, RELATION } from './synthetic-volume.ts';

/**
 * A compute on its machine: the agent that ships, with its table, its phases and its sessions, on the simulated
 * network. Only initdb and PostgreSQL are others: a made-up volume, and a load (simulated-database.ts).
 */

const AHEAD_BYTES_MAX = 256 * 1024;
/** Of the relation, read ahead with the first request. */
const BLOCKS_AHEAD = 8;

/** What a session shows of itself while it lasts. */
export interface SimulatedSession {
  readonly epoch: bigint;
  readonly vdl: bigint;
  readonly startLsn: bigint;
  /** It reads nothing below this any more, as it told storage. */
  readonly readFloor: bigint;
  /** LSN of the oldest read under way. */
  readonly oldestRead: bigint | undefined;
  /** Writes many records at once. */
  burst(count: number): void;
  /** It writes and reads, and everything that was written so far is durable. */
  readonly isIdle: boolean;
}

/** A compute whose role is decided through storage: an instance, of which this is one run. */
export interface ElectedRole {
  readonly instance: string;
  readonly place: PlaceSettings;
  /** Checks run in the midst of what a feed or a network calls. */
  readonly noticing: (check: () => void) => void;
  /** One that follows is to take the writer's place. */
  readonly onElected: () => void;
}

/** What checks look at of a writer. */
export interface WriterView {
  readonly id: string;
  readonly session: SimulatedSession | undefined;
}

export class SimulatedWriter implements WriterView {
  readonly id: string;
  readonly #machine: Machine;
  readonly #segments: readonly SegmentEndpoint[];
  readonly #identity: WriterIdentity;
  readonly #history: VolumeHistory;
  readonly #isLoaded: () => boolean;
  readonly #bearsLeases: (earlier: string, later: string) => boolean;
  readonly #elected: ElectedRole | undefined;
  /** While it follows. */
  standby: SimulatedStandby | undefined;
  #standbys = 0;
  /** Undefined while it opens, or follows. */
  session: SimulatedSession | undefined;
  isOver = false;

  constructor(
    id: string,
    machine: Machine,
    segments: readonly SegmentEndpoint[],
    history: VolumeHistory,
    {
      isLoaded,
      bearsLeases,
      elected,
    }: {
      readonly isLoaded: () => boolean;
      readonly bearsLeases: (earlier: string, later: string) => boolean;
      /** Undefined: it opens the volume whoever else writes, and stays down when it is overtaken. */
      readonly elected?: ElectedRole | undefined;
    },
  ) {
    this.id = id;
    this.#machine = machine;
    this.#segments = segments;
    this.#identity = { segment: SEGMENT, writerId: id };
    this.#history = history;
    this.#isLoaded = isLoaded;
    this.#bearsLeases = bearsLeases;
    this.#elected = elected;
  }

  /** Resolves when another writer has overtaken it; never when its machine dies. */
  async run(): Promise<void> {
    const { clock, logger } = this.#machine;
    const agent = new Agent({
      roles: this.#roles(),
      instance: this.#elected?.instance ?? this.id,
      volumeExists: this.#history.hasBegun,
      segments: this.#segments,
      phases: {
        door: () => ({ take: () => undefined, release: () => Promise.resolve(), close: () => Promise.resolve() }),
        clear: () => Promise.resolve([]),
      },
      settings: { status: undefined },
      rules: { status: undefined },
      tls: { status: undefined },
      passwords: { status: undefined },
      directory: { lostSlots: [] },
      cache: () => undefined,
      place: undefined,
      load: () => undefined,
      clock,
      logger,
    });
    await agent.run(createMetrics(new Registry(), agent.gauges));
    this.isOver = true;
  }

  #roles(): RoleChoice {
    const writer = this.#phases();
    const elected = this.#elected;
    if (elected === undefined) return { role: 'writer', writer };
    const { clock, logger, zone } = this.#machine;
    const segments = this.#segments;
    const { instance, place } = elected;
    const asking = { segments, segment: SEGMENT, place, instance, clock, logger };
    return {
      role: 'auto',
      writer,
      reader: {
        open: async ({ signal, onWaiting }) => {
          const found = await findReaderStart({ segments, segment: SEGMENT, zone, clock, logger, signal, onWaiting });
          if (found === undefined) return { kind: 'stopped' };
          const upToDate = found.segments.map(({ index }) => index);
          return { kind: 'opened', epoch: 0n, history: [], startLsn: found.startLsn, previousEpoch: 0n, upToDate };
        },
        session: (how) => this.#standby(elected, how),
      },
      election: {
        awaitTurn: (how) => awaitTurn({ ...asking, ...how, writerId: this.id }),
        watch: (onElected) =>
          new WriterWatch({
            ...asking,
            onElected: (turn) => {
              elected.onElected();
              onElected(turn);
            },
          }),
        claim: (signal) => claimPlace(asking, signal),
        isSucceeded: () => Promise.resolve(false),
        // Whether it was does not count: it is the epoch that decides.
        drainWriter: () => Promise.resolve(undefined),
      },
    };
  }

  #standby({ instance, place, noticing }: ElectedRole, how: SessionHow): SimulatedStandby {
    const { world } = this.#machine;
    const computeId = `${instance}/${this.id.split('/')[1]}.${++this.#standbys}`;
    world.note(this.id, `follows from ${how.opened.startLsn.toString(16)} on`);
    const standby = new SimulatedStandby({
      computeId,
      tier: place.tier,
      machine: this.#machine,
      segments: this.#segments,
      history: this.#history,
      noticing,
      how,
    });
    this.standby = standby;
    void standby.ended.then((end) => {
      this.standby = undefined;
      world.note(this.id, `follows no more: ${end.kind}`);
    });
    return standby;
  }

  #phases(): WriterPhases {
    const { clock, logger } = this.#machine;
    return {
      open: (how) =>
        openVolume({
          ...how,
          volumeExists: this.#history.hasBegun,
          segments: this.#segments,
          identity: this.#identity,
          leaseMs: this.#machine.world.mix.leaseMs,
          clock,
          logger,
        }),
      bootstrap: ({ epoch }) => this.#bootstrap(epoch),
      session: ({ opened }) => this.#session(opened),
    };
  }

  async #bootstrap(epoch: bigint): Promise<boolean> {
    const content = syntheticVolume(this.#machine.world.mix.load.blocks);
    const { baseLsn, volumeState, blocks } = content;
    // Known before it is attempted: who finds it done, though this writer never heard of it, must know what it is.
    this.#history.imported(epoch, baseLsn, volumeState, blocks);
    const { clock, logger } = this.#machine;
    try {
      await importVolume({ segments: this.#segments, identity: this.#identity, epoch, content, clock, logger });
      return true;
    } catch (error) {
      if (!(error instanceof ImportFailedError)) throw error;
      return false;
    }
  }

  #session(opened: OpenedVolume): WriterSession {
    const { world, clock, logger, zone } = this.#machine;
    const history = this.#history;
    const { epoch, startLsn, previousEpoch } = opened;
    world.note(this.id, `opened epoch ${epoch} at ${startLsn.toString(16)}, after epoch ${previousEpoch}`);
    // Four hold all redo up to the start.
    history.proven(previousEpoch, startLsn);
    const onRecord = (record: BatchRecord): void => history.wrote(epoch, record);
    let oldestRead: () => bigint | undefined = () => undefined;
    const database = new SimulatedDatabase({
      writer: this.id,
      epoch,
      machine: this.#machine,
      history,
      isLoaded: this.#isLoaded,
      vdl: () => session.volume.vdl,
      bearsLeases: this.#bearsLeases,
      onRecord,
    });
    const session: WriterSession = new WriterSession({
      opened,
      driver: (events) => {
        const { writePath, pageReader, pageSource, lease } = volumeDriver(
          {
            segments: this.#segments,
            identity: this.#identity,
            opened,
            placement: SINGLE_GROUP,
            ringBytesMax: world.mix.load.ringBytesMax,
            aheadBytesMax: AHEAD_BYTES_MAX,
            untouchedForks: () => Promise.resolve([{ ...RELATION, blocks: BLOCKS_AHEAD }]),
            zone,
            leaseMs: world.mix.leaseMs,
            isDead: (writerId) => writerId === this.id,
            onFlushSent: () => undefined,
            onFlushed: () => undefined,
            onRead: () => undefined,
            onAheadGone: () => undefined,
            onError: (id, code) => {
              // It reads at or above what it told storage: nobody may have given that up.
              if (code === 'TOO_OLD') history.break(`${id} no longer has a page at an LSN that ${this.id} may read`);
            },
            clock,
            logger,
          },
          {
            ...events,
            onDamagedWal: (error) => {
              throw error;
            },
          },
        );
        const append = writePath.appendFirst.bind(writePath);
        writePath.appendFirst = (records) => {
          for (const record of records) onRecord(record);
          return append(records);
        };
        oldestRead = () => pageReader.oldestRead();
        return { writePath, pageReader, pageSource, lease };
      },
      fetchImage: async (signal) => {
        const image = await this.#fetchImage(opened, signal);
        if (signal.aborted) return image;
        history.began(epoch, this.id, startLsn, previousEpoch, image.state);
        return image;
      },
      database,
      onStep: () => undefined,
      clock,
      logger,
    });
    this.session = {
      epoch,
      startLsn,
      get vdl() {
        return session.volume.vdl;
      },
      get readFloor() {
        return session.volume.readFloor;
      },
      get oldestRead() {
        return oldestRead();
      },
      burst: (count) => database.burst(count),
      get isIdle() {
        // One without a lease answers nobody.
        return database.isStarted && session.lease.remainingMs > 0 && session.volume.vdl === session.writePath.sentLsn;
      },
    };
    void session.ended.then((end) => {
      this.session = undefined;
      world.note(this.id, `epoch ${epoch} is over: ${end.kind}`);
    });
    return session;
  }

  #fetchImage({ epoch, startLsn, upToDate }: OpenedVolume, signal: AbortSignal): Promise<ComputeImage> {
    const { clock, logger } = this.#machine;
    return fetchComputeImage({
      segments: upToDate.flatMap((index) => this.#segments[index] ?? []),
      identity: this.#identity,
      epoch,
      lsn: startLsn,
      clock,
      logger,
      signal,
    });
  }
}
