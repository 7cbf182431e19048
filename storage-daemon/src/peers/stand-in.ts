import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import { AuroraRpcError, type StandIn } from '@kube-aurora/rpc';
import type { Segment } from '../segment/segment.ts';
import { takePagesBeside } from './copy-segment.ts';
import type { Peer } from './peer-set.ts';
import type { PeerTable } from './peer-table.ts';
import { fullOfZone, planStandIn, servesPages, type Partner, type StandInPlan } from './stand-in-plan.ts';

/**
 * Has one tail stand in for its zone's full segment while that is away for long: watches it, takes a copy beside the log, and lets go of
 * it again. What decides is stand-in-plan.ts. Beside everything else: a tail that takes a copy fetches redo as ever.
 */

/** After a copy that could not be had, or pages that could not be used. */
const REST_MS = 30_000;

export interface StandInWatchOptions {
  readonly segment: Segment;
  readonly table: PeerTable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly stop: AbortSignal;
  /** Milliseconds after which a full segment that is away is stood in for. */
  readonly afterMs: number;
  readonly onFetched: (bytes: number) => void;
}

export class StandInWatch {
  readonly #options: StandInWatchOptions;
  /** When the full segment was last heard to serve; when this daemon began to watch, before that. */
  #servedAt: number;
  #restUntil = -Infinity;
  #running: Promise<void> | undefined;

  constructor(options: StandInWatchOptions) {
    this.#options = options;
    this.#servedAt = options.clock.now();
  }

  /** Looks whether there is anything to do, and does it; cheap when not. Never throws. */
  run(): void {
    this.#running ??= this.#work()
      .catch((error: unknown) => {
        this.#rest();
        this.#options.logger.error(
          { volume: this.#options.segment.volumeId, err: error },
          'holding pages in a full segment’s place failed; it is tried again',
        );
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  /** Resolves when nothing is under way; `stop` must be aborted first. */
  async stopped(): Promise<void> {
    await this.#running;
  }

  async #work(): Promise<void> {
    const { segment, table, clock, afterMs } = this.#options;
    const partner = this.#partner();
    if (clock.now() < this.#restUntil) return;
    const plan = planStandIn({ own: segment.state(), standIn: segment.control.standIn, partner, peers: table.views(segment), afterMs });
    if (plan.kind === 'begin') await this.#begin(plan);
    else if (plan.kind === 'end') await this.#end(plan.why);
  }

  #partner(): Partner | undefined {
    const { segment, table, clock } = this.#options;
    const fulls = table.peers.filter(({ role }) => role === 'FULL').map(({ id }) => ({ id, zone: table.zone(segment, id) }));
    const id = fullOfZone(segment.identity.zone, fulls);
    if (id === undefined) return undefined;
    const state = table.heard(segment, id);
    if (state !== undefined && servesPages(state)) this.#servedAt = clock.now();
    return { id, state, awayMs: clock.now() - this.#servedAt };
  }

  async #begin({ of, reason, sources }: Extract<StandInPlan, { kind: 'begin' }>): Promise<void> {
    const { segment, table, clock, logger, stop, onFetched } = this.#options;
    const { volumeId: volume } = segment;
    for (const id of sources) {
      const peer = table.find(id);
      if (peer === undefined || stop.aborted) continue;
      logger.warn({ volume, of, reason, peer: id }, 'a full segment is away for long: copying pages to hold in its place');
      const since = clock.now();
      const bytes = await this.#take(peer, { of, reason });
      if (bytes === undefined) continue;
      onFetched(bytes);
      logger.warn(
        { volume, of, bytes, ms: Math.round(clock.now() - since), checkpointLsn: segment.state().checkpointLsn },
        'this tail holds pages in the full segment’s place, and counts as a tail all the same',
      );
      return;
    }
    this.#rest();
  }

  /** Gives the bytes received; undefined when that peer's copy could not be used, which is logged. */
  async #take(peer: Peer, standIn: Pick<StandIn, 'of' | 'reason'>): Promise<number | undefined> {
    const { segment, clock, logger, stop, afterMs } = this.#options;
    const isWanted = (): boolean => (this.#partner()?.awayMs ?? 0) >= afterMs;
    try {
      return await takePagesBeside(segment, peer, standIn, { clock, stop, isWanted });
    } catch (error) {
      const code = error instanceof AuroraRpcError ? error.code : 'INTERNAL';
      if (!stop.aborted)
        logger.warn(
          { volume: segment.volumeId, peer: peer.id, code, err: error },
          'a peer could not give pages to hold in a full segment’s place',
        );
      return undefined;
    }
  }

  async #end(why: Extract<StandInPlan, { kind: 'end' }>['why']): Promise<void> {
    const { segment, logger } = this.#options;
    const fields = { volume: segment.volumeId, of: segment.control.standIn?.of };
    if (why === 'pages-unusable') {
      logger.error(
        { ...fields, reason: segment.damage },
        'the pages held in a full segment’s place cannot be used; the tail goes on without',
      );
      this.#rest();
    } else logger.warn(fields, 'the full segment is back and has all that is in the pages held in its place: they go');
    await segment.dropPages();
  }

  #rest(): void {
    this.#restUntil = this.#options.clock.now() + REST_MS;
  }
}
