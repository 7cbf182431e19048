import { NO_XMINS } from '@kube-aurora/rpc';
import type { Lsn } from '@kube-aurora/pg-format';
import { LEASE_MS_DEFAULT } from '@kube-aurora/volume';
import { awaitTurn, type Turn, type TurnOptions } from '../../compute-node/src/election/await-turn.ts';
import type { OpenTurn } from '../../compute-node/src/election/candidacy.ts';
import { WriterWatch } from '../../compute-node/src/election/writer-watch.ts';
import { WriterLease } from '../../compute-node/src/lease/writer-lease.ts';
import { RedoFeed } from '../../compute-node/src/reader/redo-feed.ts';
import type { SegmentEndpoint } from '../../compute-node/src/segments.ts';
import { SEGMENT } from '../simulation/storage.ts';
import { DriverWorld, type Compute } from './driver-world.ts';

export const FAILOVER_AFTER_MS = 2000;

/** Computes that elect a writer among themselves, without PostgreSQL: who opens the volume, holds its lease and is heard. */
export class ElectionWorld extends DriverWorld {
  readonly nodes: ElectionNode[] = [];

  node(zone?: string, tier = 1): ElectionNode {
    const node = new ElectionNode(this, this.compute(zone), tier);
    this.nodes.push(node);
    return node;
  }

  /** Those that write and live. */
  get writers(): ElectionNode[] {
    return this.nodes.filter(({ isWriting }) => isWriting);
  }

  get vdl(): Lsn {
    return this.states().reduce((highest, state) => ((state?.vdl ?? 0n) > highest ? (state?.vdl ?? 0n) : highest), 0n) as Lsn;
  }
}

export class ElectionNode {
  readonly compute: Compute;
  readonly tier: number;
  readonly segments: readonly SegmentEndpoint[];
  /** Elections that it won, and what came of each. */
  readonly elected: { readonly turn: OpenTurn; outcome?: 'opened' | 'overtaken' | 'stopped' | 'bootstrap'; readonly at: number }[] = [];
  /** Times that it asked a segment who the writer is. */
  asked = 0;
  lease: WriterLease | undefined;
  epoch = 0n;
  readonly #world: ElectionWorld;
  #feed: RedoFeed | undefined;
  #watch: WriterWatch | undefined;
  #sessions = 0;

  constructor(world: ElectionWorld, compute: Compute, tier: number) {
    this.#world = world;
    this.compute = compute;
    this.tier = tier;
    this.segments = compute.segments.map((endpoint) => ({
      ...endpoint,
      client: {
        ...endpoint.client,
        status: (request, options) => {
          this.asked++;
          return endpoint.client.status(request, options);
        },
      },
    }));
  }

  get instance(): string {
    return this.compute.machine.id;
  }

  get isFollowing(): boolean {
    return this.#feed !== undefined;
  }

  /** It holds the highest epoch that it knows of, and lives. */
  get isWriting(): boolean {
    return this.lease !== undefined && this.compute.machine.isUp;
  }

  get #parts() {
    const { clock, logger } = this.compute.machine;
    return {
      segments: this.segments,
      segment: SEGMENT,
      place: { tier: this.tier, failoverAfterMs: FAILOVER_AFTER_MS },
      instance: this.instance,
      clock,
      logger,
    };
  }

  /** Opens the volume and holds its lease, without having been elected. */
  async write(): Promise<void> {
    await this.#open(undefined);
  }

  follow(): void {
    const { clock, logger, zone } = this.compute.machine;
    const watch = new WriterWatch({ ...this.#parts, onElected: (turn) => void this.#elected(turn) });
    this.#watch = watch;
    this.#feed = new RedoFeed({
      segments: this.segments,
      segment: SEGMENT,
      computeId: `${this.instance}/${++this.#sessions}`,
      promotionTier: () => this.tier,
      zone,
      startLsn: this.#world.vdl,
      clock,
      logger,
      onRedo: () => undefined,
      onVdl: () => undefined,
      onTooOld: (message) => {
        throw new Error(message);
      },
      onWriterSign: (index, sign) => watch.note(index, sign),
      readFloor: () => this.#feed?.position ?? 0n,
      xmins: () => NO_XMINS,
    });
    this.#feed.start();
    watch.start();
  }

  /** As an agent without a session; then it opens, or follows. */
  async join(options: Partial<TurnOptions> = {}): Promise<Turn> {
    const turn = await awaitTurn({
      ...this.#parts,
      writerId: this.compute.identity.writerId,
      isFirst: true,
      signal: new AbortController().signal,
      onWaiting: () => undefined,
      ...options,
    });
    if (turn.kind === 'open') await this.#elected(turn);
    else if (turn.kind === 'follow') this.follow();
    return turn;
  }

  /** Its process ends, at once; its machine stays. */
  die(): void {
    this.#stop();
    this.compute.machine.die();
  }

  /** As an agent does whose PostgreSQL has died. */
  async giveBack(reopens: boolean): Promise<void> {
    const { lease } = this;
    this.lease = undefined;
    await lease?.giveBack(reopens);
  }

  #stop(): void {
    this.#feed?.stop();
    this.#watch?.stop();
    this.#feed = undefined;
    this.lease?.stop();
    this.lease = undefined;
  }

  async #elected(turn: OpenTurn): Promise<void> {
    const election: (typeof this.elected)[number] = { turn, at: this.#world.world.now };
    this.elected.push(election);
    this.#stop();
    election.outcome = await this.#open(turn.heldEpoch);
    if (election.outcome === 'overtaken') await this.join({ isFirst: false });
  }

  async #open(heldEpoch: bigint | undefined): Promise<'opened' | 'overtaken' | 'stopped' | 'bootstrap'> {
    const { clock, logger } = this.compute.machine;
    const opened = await this.compute.open({ heldEpoch });
    if (opened.kind !== 'opened') return opened.kind;
    this.epoch = opened.epoch;
    const { segments } = this;
    const { identity } = this.compute;
    this.lease = new WriterLease(
      { segments, identity, epoch: opened.epoch, leaseMs: LEASE_MS_DEFAULT, isDead: () => false, clock, logger },
      { onPermit: () => undefined },
    );
    this.lease.start();
    return 'opened';
  }
}
