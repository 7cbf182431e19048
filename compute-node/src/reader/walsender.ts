import { chmod, chown, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { Clock, Timer } from '@kube-aurora/clock';
import { formatLsn, WAL_SEGMENT_BYTES, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { answerSlotSync } from '../failover-slots/slot-sync-answers.ts';
import type { SlotRow } from '../failover-slots/slot-list.ts';
import type { DurableRedo } from './durable-redo.ts';
import { HeldWal } from './held-wal.ts';
import {
  COPY_BOTH,
  COPY_ENDED,
  encodeIdentity,
  encodeKeepalive,
  encodeRefusal,
  encodeResult,
  encodeWalHead,
  encodeWelcome,
  ENCRYPTION_REFUSED,
  parseReplicationCommand,
  ReplicationProtocolError,
  StandbyParser,
  type ReplicationRefusal,
  type StandbyFeedback,
  type StandbyMessage,
  type StandbyPosition,
} from './replication-messages.ts';

/** WAL that the standby has not written out from which on no more is wanted; it is wanted again from half of it. */
const HELD_BYTES_MAX = 8 * 1024 * 1024;
/** WAL that the standby has written out and not replayed, in its files: it is given no more meanwhile. */
const UNAPPLIED_BYTES_MAX = 512 * 1024 * 1024;
/** Bytes that wait in the socket; more is written when they have gone. */
const SOCKET_BYTES_MAX = 256 * 1024;
/** A walreceiver that hears nothing for wal_receiver_timeout, 60 s unless set, gives up. */
const KEEPALIVE_MS = 10_000;
/** How often a standby that is held back is asked how far it has replayed: by itself it says so every 10 s. */
const ASK_MS = 100;
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

interface ConnectionOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly systemIdentifier: bigint;
  readonly timeline: number;
  readonly slots: (() => readonly SlotRow[]) | undefined;
  readonly held: HeldWal;
  readonly unappliedBytesMax: number;
  readonly applyLsn: () => Lsn;
  readonly onStreaming: () => void;
  readonly onPosition: (position: StandbyPosition) => void;
  readonly onFeedback: (feedback: StandbyFeedback) => void;
  readonly onClosed: () => void;
}

/** One connection of a standby: commands first, then the stream. */
class StandbyConnection {
  readonly #socket: Socket;
  readonly #options: ConnectionOptions;
  readonly #parser = new StandbyParser();
  /** End of what was sent; undefined while nothing streams. */
  #sentLsn: Lsn | undefined;
  /** It is held back until it has replayed more. */
  #asking: Timer | undefined;
  /** It was told why it is not served: what it still says is not heard. */
  #isRefused = false;
  /** It asks for slots, and gets no WAL. */
  #asksForSlots = false;

  constructor(socket: Socket, options: ConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.on('close', () => {
      this.#asking?.cancel();
      this.#sentLsn = undefined;
      options.onClosed();
    });
    // A walreceiver that ends resets its connection; that is its ordinary goodbye.
    socket.on('error', () => socket.destroy());
    socket.on('drain', () => this.pump());
    socket.on('data', (chunk) => this.#receive(chunk));
  }

  end(): void {
    this.#socket.destroy();
  }

  keepAlive(wantsAnswer: boolean): void {
    const { held, clock } = this.#options;
    if (this.#sentLsn !== undefined) this.#socket.write(encodeKeepalive(held.endLsn, clock.wallTime(), wantsAnswer));
  }

  /** Sends what there is and the socket takes. */
  pump(): void {
    const { held, clock } = this.#options;
    if (this.#sentLsn === undefined || this.#asking !== undefined) return;
    // It has more than the connection before this one had heard of.
    if (this.#sentLsn < held.resumeLsn) this.#sentLsn = held.resumeLsn;
    this.#socket.cork();
    while (this.#socket.writableLength < SOCKET_BYTES_MAX) {
      if (this.#isTooFarAhead(this.#sentLsn)) {
        this.#askAgain();
        break;
      }
      const message = held.messageFrom(this.#sentLsn);
      if (message === undefined) break;
      this.#socket.write(encodeWalHead(message.lsn, held.endLsn, clock.wallTime(), message.bytes));
      for (const piece of message.pieces) this.#socket.write(piece);
      this.#sentLsn = (this.#sentLsn + BigInt(message.bytes)) as Lsn;
    }
    this.#socket.uncork();
  }

  #isTooFarAhead(sentLsn: Lsn): boolean {
    const { applyLsn, unappliedBytesMax } = this.#options;
    return sentLsn - applyLsn() > BigInt(unappliedBytesMax);
  }

  /**
   * Replay waits for a query, or is slow: what it has not replayed fills its disk, so it is asked before it gets more.
   */
  #askAgain(): void {
    this.keepAlive(true);
    this.#asking = this.#options.clock.after(ASK_MS, () => {
      this.#asking = undefined;
      this.pump();
    });
  }

  #receive(chunk: Buffer): void {
    if (this.#isRefused) return;
    try {
      for (const message of this.#parser.push(chunk)) if (!this.#isRefused) this.#take(message);
    } catch (error) {
      if (!(error instanceof ReplicationProtocolError)) throw error;
      this.#refuse('FATAL', '08P01', error.message);
    }
  }

  #take(message: StandbyMessage): void {
    const socket = this.#socket;
    switch (message.kind) {
      case 'encryption':
        socket.write(ENCRYPTION_REFUSED);
        return;
      case 'startup':
        this.#asksForSlots = this.#options.slots !== undefined && !message.parameters.has('replication');
        if (this.#asksForSlots || ['true', 'on', 'yes', '1'].includes(message.parameters.get('replication') ?? ''))
          socket.write(encodeWelcome(message.minorVersion));
        else this.#refuse('FATAL', '08P01', 'replication: physical replication alone is served here');
        return;
      case 'command':
        if (this.#asksForSlots) this.#answerSlotSync(message.text);
        else this.#command(message.text);
        return;
      case 'position':
        this.#takePosition(message);
        return;
      case 'feedback':
        if (this.#sentLsn === undefined) this.#refuse('FATAL', '08P01', 'feedback: nothing streams');
        else this.#options.onFeedback(message);
        return;
      case 'copyDone':
        this.#sentLsn = undefined;
        socket.write(COPY_ENDED);
        return;
      case 'cancel':
      case 'terminate':
        socket.end();
    }
  }

  #takePosition({ writeLsn, flushLsn, applyLsn, wantsAnswer }: StandbyPosition & { readonly wantsAnswer: boolean }): void {
    if (this.#sentLsn === undefined) {
      this.#refuse('FATAL', '08P01', 'position: nothing streams');
      return;
    }
    const { endLsn } = this.#options.held;
    if (writeLsn > endLsn || flushLsn > endLsn || applyLsn > endLsn) {
      const far = [writeLsn, flushLsn, applyLsn].reduce((a, b) => (b > a ? b : a));
      this.#refuse('FATAL', '55000', `the standby has WAL up to ${formatLsn(far)}, and there was none after ${formatLsn(endLsn)}`);
      return;
    }
    this.#options.onPosition({ writeLsn, flushLsn, applyLsn });
    if (wantsAnswer) this.keepAlive(false);
    this.pump();
  }

  #answerSlotSync(text: string): void {
    const answer = answerSlotSync(text, this.#options.slots?.() ?? []);
    if (answer.kind === 'refused') this.#refuse('ERROR', '42601', answer.why);
    else
      this.#socket.write(
        encodeResult(
          answer.columns.map((name) => ({ name, type: 'text' })),
          answer.rows,
          `SELECT ${answer.rows.length}`,
        ),
      );
  }

  #command(text: string): void {
    const { systemIdentifier, timeline, held } = this.#options;
    const command = parseReplicationCommand(text);
    if (this.#sentLsn !== undefined) this.#refuse('FATAL', '08P01', 'a command came while WAL streams');
    else if (command.kind === 'identifySystem') this.#socket.write(encodeIdentity({ systemIdentifier, timeline, endLsn: held.endLsn }));
    else if (command.kind === 'unknown') this.#refuse('ERROR', '42601', `${JSON.stringify(text.slice(0, 100))} is not served here`);
    else if ((command.timeline ?? timeline) !== timeline) this.#refuse('ERROR', '58P01', `there is no timeline ${command.timeline}`);
    else this.#start(command.startLsn);
  }

  /** The standby asks from the start of a segment on. */
  #start(askedLsn: Lsn): void {
    const { held, logger } = this.#options;
    const { resumeLsn, endLsn } = held;
    if (askedLsn > endLsn) {
      this.#refuse('ERROR', '55000', `WAL from ${formatLsn(askedLsn)} on was asked for; there is none after ${formatLsn(endLsn)}`);
      return;
    }
    if (askedLsn + BigInt(WAL_SEGMENT_BYTES) <= resumeLsn) {
      this.#refuse('ERROR', '58P01', `WAL from ${formatLsn(askedLsn)} on was given before and is held from ${formatLsn(resumeLsn)} on`);
      return;
    }
    const from = askedLsn > resumeLsn ? askedLsn : resumeLsn;
    logger.debug({ asked: formatLsn(askedLsn), from: formatLsn(from), to: formatLsn(endLsn) }, 'PostgreSQL streams redo');
    this.#options.onStreaming();
    this.#sentLsn = from;
    this.#socket.write(COPY_BOTH);
    this.pump();
  }

  #refuse(severity: 'ERROR' | 'FATAL', sqlState: ReplicationRefusal, why: string): void {
    this.#options.logger.warn({ why, sqlState }, 'refused what PostgreSQL asked of its stream of redo');
    const refusal = encodeRefusal(severity, sqlState, why);
    if (severity === 'ERROR') this.#socket.write(refusal);
    else {
      this.#isRefused = true;
      this.#sentLsn = undefined;
      this.#socket.end(refusal);
    }
  }
}
