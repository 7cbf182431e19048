import { Backoff, type Clock, type Timer } from '@kube-aurora/clock';
import { fromServiceError, type FollowedRedo, type FollowHello, type FollowStream, type StandbyXmins } from '@kube-aurora/rpc';
import type { SegmentEndpoint } from '../segments.ts';

/** What is said on a Follow stream: where it begins, and from then on how far we are. */
export interface FollowPoints {
  readonly takenLsn: bigint;
  readonly readFloor: bigint;
  /** Not said where it begins: what was said on a stream before stands until the next word. */
  readonly xmins: StandbyXmins;
}

/** Why a Follow stream is over. */
export interface FollowFailure {
  readonly code: ReturnType<typeof fromServiceError>['code'];
  readonly message: string;
}

/** One Follow stream, heard until it is over or was cancelled. */
export class FollowLink {
  readonly endpoint: SegmentEndpoint;
  readonly #stream: FollowStream;
  #vdl = 0n;
  /** Messages since it was asked last. */
  #heard = 0;
  #isOver = false;

  constructor(
    endpoint: SegmentEndpoint,
    hello: FollowHello,
    points: FollowPoints,
    events: { readonly onMessage: (message: FollowedRedo) => void; readonly onOver: (failure: FollowFailure) => void },
  ) {
    this.endpoint = endpoint;
    const over = (failure: FollowFailure): void => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.onOver(failure);
    };
    const stream = endpoint.client.follow();
    this.#stream = stream;
    stream.on('data', (message) => {
      if (this.#isOver) return;
      this.#heard++;
      if (message.vdl > this.#vdl) this.#vdl = message.vdl;
      events.onMessage(message);
    });
    stream.on('error', (error) => over(fromServiceError(error, endpoint.id)));
    stream.on('end', () => over({ code: 'UNREACHABLE', message: `${endpoint.id} ended the stream` }));
    const { takenLsn, readFloor } = points;
    stream.write({ hello, takenLsn, readFloor });
  }

  /** What its segment knows to be durable, as it said last. */
  get vdl(): bigint {
    return this.#vdl;
  }

  /** Messages that came since this was called before. */
  takeHeard(): number {
    const heard = this.#heard;
    this.#heard = 0;
    return heard;
  }

  say(points: FollowPoints): void {
    if (!this.#isOver) this.#stream.write({ hello: undefined, ...points });
  }

  cancel(): void {
    this.#isOver = true;
    this.#stream.cancel();
  }
}

const RETRY_MS = [100, 2000] as const;

/** Keeps a Follow stream to one segment up, by which it knows where we read; it says what is durable. */
export class FloorLink {
  readonly #endpoint: SegmentEndpoint;
  readonly #hello: () => FollowHello;
  readonly #points: () => FollowPoints;
  readonly #onMessage: (message: FollowedRedo) => void;
  readonly #clock: Clock;
  readonly #backoff: Backoff;
  #link: FollowLink | undefined;
  #retry: Timer | undefined;
  #isStopped = false;

  constructor(options: {
    readonly endpoint: SegmentEndpoint;
    /** Asked each time that a stream begins. */
    readonly hello: () => FollowHello;
    readonly points: () => FollowPoints;
    readonly onMessage: (message: FollowedRedo) => void;
    readonly clock: Clock;
  }) {
    this.#endpoint = options.endpoint;
    this.#hello = options.hello;
    this.#points = options.points;
    this.#onMessage = options.onMessage;
    this.#clock = options.clock;
    this.#backoff = new Backoff(...RETRY_MS, () => options.clock.random());
  }

  start(): void {
    if (this.#isStopped) return;
    this.#link = new FollowLink(this.#endpoint, this.#hello(), this.#points(), {
      onMessage: (message) => {
        this.#backoff.reset();
        this.#onMessage(message);
      },
      onOver: () => {
        this.#link = undefined;
        if (!this.#isStopped) this.#retry = this.#clock.after(this.#backoff.next(), () => this.start());
      },
    });
  }

  say(): void {
    this.#link?.say(this.#points());
  }

  /** With another hello. */
  beginAnew(): void {
    this.#retry?.cancel();
    this.#link?.cancel();
    this.#link = undefined;
    this.start();
  }

  stop(): void {
    this.#isStopped = true;
    this.#retry?.cancel();
    this.#link?.cancel();
  }
}
