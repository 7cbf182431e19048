import type { Lsn } from '@kube-aurora/pg-format';
import { NO_XMINS } from '@kube-aurora/rpc';
import type { ReadingSession, SessionHow } from '../../compute-node/src/agent-phases.ts';
import { RedoFeed } from '../../compute-node/src/reader/redo-feed.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import type { SessionEnd } from '../../compute-node/src/session/session.ts';
import { GivenRedo } from './given-redo.ts';
import type { VolumeHistory } from './history.ts';
import type { Machine } from './machine.ts';
import { SEGMENT } from './storage.ts';

/** What it takes to start a hot standby. */
const STARTS_MS: readonly [number, number] = [20, 400];

/** A reader's session of a compute whose role is decided through storage: the feed that ships, and nobody behind it. */
export class SimulatedStandby implements ReadingSession {
  readonly writePath = undefined;
  readonly replay = undefined;
  readonly lease = undefined;
  readonly postgresPid = undefined;
  ready = false;
  readonly volume: ReadingSession['volume'];
  readonly #machine: Machine;
  readonly #feed: RedoFeed;
  readonly #given: GivenRedo;
  readonly #end = Promise.withResolvers<SessionEnd>();

  constructor({
    computeId,
    tier,
    machine,
    segments,
    history,
    noticing,
    how,
  }: {
    readonly computeId: string;
    readonly tier: number;
    readonly machine: Machine;
    readonly segments: readonly SegmentEndpoint[];
    readonly history: VolumeHistory;
    readonly noticing: (check: () => void) => void;
    readonly how: SessionHow;
  }) {
    const { clock, logger, zone } = machine;
    const startLsn = how.opened.startLsn as Lsn;
    this.#machine = machine;
    const given = new GivenRedo(computeId, history, startLsn);
    this.#given = given;
    this.volume = {
      get vdl() {
        return given.position;
      },
      scl: () => given.position,
      get readFloor() {
        return given.position;
      },
    };
    this.#feed = new RedoFeed({
      segments,
      segment: SEGMENT,
      computeId,
      promotionTier: () => tier,
      zone,
      startLsn,
      clock,
      logger,
      onRedo: (redo) => noticing(() => given.take(redo)),
      onVdl: () => undefined,
      onTooOld: () => this.#over({ kind: 'restarting', why: 'storage has no longer what it needs' }),
      onWriterSign: how.onWriterSign,
      readFloor: () => given.position,
      xmins: () => NO_XMINS,
    });
  }

  get ended(): Promise<SessionEnd> {
    return this.#end.promise;
  }

  /** End of the redo that it was given. */
  get position(): bigint {
    return this.#given.position;
  }

  async start(): Promise<void> {
    const { clock, world } = this.#machine;
    this.#feed.start();
    await clock.sleep(world.spread(...STARTS_MS, world.aside));
    this.ready = true;
  }

  answers(): Promise<boolean> {
    return Promise.resolve(this.ready);
  }

  /** No writer is made of it: the simulated database starts anew. */
  handOver(): undefined {
    return undefined;
  }

  stop(): Promise<void> {
    return this.kill();
  }

  kill(): Promise<void> {
    this.#over({ kind: 'stopped' });
    return Promise.resolve();
  }

  #over(end: SessionEnd): void {
    this.#feed.stop();
    this.ready = false;
    this.#end.resolve(end);
  }
}
