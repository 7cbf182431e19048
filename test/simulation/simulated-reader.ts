import type { Lsn } from '@kube-aurora/pg-format';
import { encodePageKey } from '@kube-aurora/redo';
import { AuroraRpcError, NEVER_PROMOTED, NO_XMINS } from '@kube-aurora/rpc';
import { RedoFeed } from '../../compute-node/src/reader/redo-feed.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { GivenRedo } from './given-redo.ts';
import type { VolumeHistory } from './history.ts';
import type { Machine } from './machine.ts';
import { SEGMENT } from './storage.ts';
import { RELATION } from './synthetic-volume.ts';

/**
 * A reader on its machine: the feed that ships, and in PostgreSQL's place somebody who takes redo, holds it against the
 * history, and reads pages as of where he is.
 */

const STATUS_DEADLINE_MS = 500;
const PAGE_DEADLINE_MS = 400;
const PAUSE_MS: readonly [number, number] = [10, 300];

export class SimulatedReader {
  readonly id: string;
  readonly #machine: Machine;
  readonly #segments: readonly SegmentEndpoint[];
  readonly #history: VolumeHistory;
  /** Checks run in the midst of what a feed or a network calls. */
  readonly #noticing: (check: () => void) => void;
  #feed: RedoFeed | undefined;
  #given: GivenRedo;
  #oldestRead: bigint | undefined;
  #isTooOld = false;
  #starts = 0;

  constructor(
    id: string,
    machine: Machine,
    segments: readonly SegmentEndpoint[],
    history: VolumeHistory,
    noticing: (check: () => void) => void,
  ) {
    this.id = id;
    this.#machine = machine;
    this.#segments = segments;
    this.#history = history;
    this.#noticing = noticing;
    this.#given = new GivenRedo(id, history, 0n as Lsn);
  }

  /** End of the redo that it was given. */
  get position(): bigint {
    return this.#given.position;
  }

  /** Never resolves: its machine dies some day. */
  async run(): Promise<void> {
    const { clock, world } = this.#machine;
    for (;;) {
      const newest = await this.#newestVdl();
      const { shownEnds } = this.#history;
      // A reader may begin at any record's end that was durable, and where that is gone, it is told so.
      const startLsn = newest > 0n && shownEnds.length > 0 && world.chance(0.4) ? world.random.pick(shownEnds) : newest;
      if (startLsn === 0n) {
        await clock.sleep(100);
        continue;
      }
      this.#begin(startLsn as Lsn);
      while (!this.#isTooOld) {
        await clock.sleep(world.spread(...PAUSE_MS));
        if (world.chance(0.1)) this.#feed?.pause();
        if (world.chance(0.3)) this.#feed?.resume();
        if (world.chance(0.5)) void this.#read();
      }
      this.#feed?.stop();
    }
  }

  /** Nothing holds it up any more. */
  hurry(): void {
    this.#feed?.resume();
  }

  async #newestVdl(): Promise<bigint> {
    const answers = await Promise.all(
      this.#segments.map(({ client }) =>
        client.status(SEGMENT, { deadlineMs: STATUS_DEADLINE_MS }).then(
          ({ vdl }) => vdl,
          () => 0n,
        ),
      ),
    );
    return answers.reduce((highest, vdl) => (vdl > highest ? vdl : highest), 0n);
  }

  #begin(startLsn: Lsn): void {
    const { clock, logger, world, zone } = this.#machine;
    world.note(this.id, `reads from ${startLsn.toString(16)} on`);
    this.#isTooOld = false;
    const given = new GivenRedo(this.id, this.#history, startLsn);
    this.#given = given;
    this.#feed = new RedoFeed({
      segments: this.#segments,
      segment: SEGMENT,
      computeId: `${this.id}/${++this.#starts}`,
      zone,
      startLsn,
      clock,
      logger,
      onRedo: (redo) => this.#noticing(() => given.take(redo)),
      onVdl: () => undefined,
      onTooOld: () => {
        this.#isTooOld = true;
      },
      promotionTier: () => NEVER_PROMOTED,
      onWriterSign: () => undefined,
      readFloor: () => this.#oldestRead ?? given.position,
      xmins: () => NO_XMINS,
    });
    this.#feed.start();
  }

  /** A page as of where it is, from any segment that has pages. */
  async #read(): Promise<void> {
    const { world } = this.#machine;
    const { random } = world;
    const { position: lsn, epoch } = this.#given;
    if (epoch === undefined || this.#oldestRead !== undefined) return;
    const page = { ...RELATION, block: random.integer(0, world.mix.load.blocks - 1) };
    const { client, id } = random.pick(this.#segments.filter(({ role }) => role === 'FULL'));
    this.#oldestRead = lsn;
    try {
      const request = { segment: SEGMENT, epoch: 0n, lsn, keys: [encodePageKey(page)] };
      const { pages } = await client.getPages(request, { deadlineMs: PAGE_DEADLINE_MS });
      this.#noticing(() => this.#history.read(`${id}, asked by ${this.id},`, epoch, page, Buffer.concat(pages), lsn, lsn));
    } catch (error) {
      if (!(error instanceof AuroraRpcError)) throw error;
      // It is down, behind, or, where it had forgotten that we read, past it.
    } finally {
      this.#oldestRead = undefined;
    }
  }
}
