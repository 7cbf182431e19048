import { chmod, chown, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '@kube-aurora/clock';
import type { Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { SlotRow } from '../failover-slots/slot-list.ts';
import type { DurableRedo } from './durable-redo.ts';
import { HeldWal } from './held-wal.ts';
import type { StandbyFeedback, StandbyPosition } from './replication-messages.ts';
import { StandbyConnection } from './standby-connection.ts';

/** WAL that the standby has not written out from which on no more is wanted; it is wanted again from half of it. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;
/** WAL that the standby has written out and not replayed, in its files: it is given no more meanwhile. */
const UNAPPLIED_BYTES_MAX = 512 * 1024 * 1024;
/** A walreceiver that hears nothing for wal_receiver_timeout, 60 s unless set, gives up. */
const KEEPALIVE_MS = 10_000;
/** One streams; what a walreceiver before it left behind goes. */
const CONNECTIONS_MAX = 8;

/** What the standby says of itself. */
export interface StandbyReply extends StandbyPosition {
  /** With hot_standby_feedback, when it was told anew. */
  readonly feedback?: StandbyFeedback;
}

export interface WalsenderOptions {
  /** `<directory>/.s.PGSQL.<port>`, as libpq looks for it by host and port. */
  readonly socketPath: string;
  /** Owner of the socket file, when the agent runs as root and PostgreSQL does not. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
  readonly systemIdentifier: bigint;
  readonly timeline: number;
  /** End of the WAL that the standby has in its files: nothing before it is ever sent. */
  readonly startLsn: Lsn;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onReply: (reply: StandbyReply) => void;
  /** The writer's replication slots, for a standby that keeps some of its own up with them; undefined: nobody may ask. */
  readonly slots?: (() => readonly SlotRow[]) | undefined;
  /** Whether more redo is wanted, when that changes. It is at first. */
  readonly onWantsMore: (wants: boolean) => void;
  readonly limits?: { readonly heldBytes?: number; readonly unappliedBytes?: number };
}

/**
 * The primary that a reader's PostgreSQL, a stock hot standby, streams from: it speaks the replication protocol on a
 * Unix socket and sends the redo that it is given, as WAL pages.
 *
 * A connection without replication is its slot synchronization worker's, which asks for the writer's slots.
 *
 * A standby asks for WAL from the start of a segment; it is sent what follows `startLsn`, or what it has not written
 * out yet. Where a message starts a standby does not check, and what is in its files before that stays.
 *
 * Invariants: nothing but what was pushed is sent, and so nothing that is not durable. Memory is bounded: whoever
 * pushes listens to `onWantsMore`. A standby that says that it has WAL that we never had is not served: it is
 * another's.
 */
export class Walsender {
  readonly #options: WalsenderOptions;
  readonly #server: Server;
  readonly #held: HeldWal;
  readonly #connections = new Set<StandbyConnection>();
  #streaming: StandbyConnection | undefined;
  #position: StandbyPosition;
  #wantsMore = true;
  #keepalive: Timer | undefined;
  #isClosed = false;

  /** Throws RangeError when no record can start at `startLsn`. */
  constructor(options: WalsenderOptions) {
    const { startLsn } = options;
    this.#options = options;
    this.#held = new HeldWal(options);
    this.#position = { writeLsn: startLsn, flushLsn: startLsn, applyLsn: startLsn };
    this.#server = createServer((socket) => this.#accept(socket));
    this.#server.maxConnections = CONNECTIONS_MAX;
  }

  /** End of the redo that was pushed: the next starts here. */
  get endLsn(): Lsn {
    return this.#held.endLsn;
  }

  /** Does a standby stream at present? */
  get isStreaming(): boolean {
    return this.#streaming !== undefined;
  }

  /** Rejects with the system's error when the socket cannot be made. */
  async listen(): Promise<void> {
    const { socketPath, owner, logger } = this.#options;
    await rm(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ path: socketPath }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => logger.warn({ err: error }, "the walsender's socket"));
        resolve();
      });
    });
    await chmod(socketPath, 0o600);
    if (owner !== undefined) await chown(socketPath, owner.uid, owner.gid);
    this.#keepAlive();
  }

  /** Redo that goes on from `endLsn`. Throws RangeError when it does not: nothing of it was sent. */
  push(redo: DurableRedo): void {
    this.#held.append(redo);
    this.#streaming?.pump();
    this.#weigh();
  }

  /** Asks the standby how far it has come; by itself it says so when it has replayed all, and now and then. */
  ask(): void {
    this.#streaming?.keepAlive(true);
  }

  /** Ends the standby's connection; it will look for another, and find none. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#keepalive?.cancel();
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.end();
    await closed;
    await rm(this.#options.socketPath, { force: true });
  }

  #accept(socket: Socket): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    const { clock, logger, systemIdentifier, timeline, limits, slots } = this.#options;
    const connection = new StandbyConnection(socket, {
      clock,
      logger,
      systemIdentifier,
      timeline,
      slots,
      held: this.#held,
      unappliedBytesMax: limits?.unappliedBytes ?? UNAPPLIED_BYTES_MAX,
      applyLsn: () => this.#position.applyLsn,
      onStreaming: () => {
        // A walreceiver that comes is the only one: PostgreSQL has given up the one before.
        this.#streaming?.end();
        this.#streaming = connection;
      },
      onPosition: (position) => {
        if (this.#streaming !== connection) return;
        this.#position = position;
        this.#held.written(position.flushLsn);
        this.#options.onReply(position);
        this.#weigh();
      },
      onFeedback: (feedback) => this.#options.onReply({ ...this.#position, feedback }),
      onClosed: () => {
        this.#connections.delete(connection);
        if (this.#streaming === connection) this.#streaming = undefined;
      },
    });
    this.#connections.add(connection);
  }

  #weigh(): void {
    const max = this.#options.limits?.heldBytes ?? HELD_BYTES_MAX;
    const { heldBytes } = this.#held;
    const wants = this.#wantsMore ? heldBytes < max : heldBytes <= max / 2;
    if (wants === this.#wantsMore) return;
    this.#wantsMore = wants;
    this.#options.onWantsMore(wants);
  }

  #keepAlive(): void {
    if (this.#isClosed) return;
    this.#keepalive = this.#options.clock.after(KEEPALIVE_MS, () => {
      this.#streaming?.keepAlive(false);
      this.#keepAlive();
    });
  }
}
