import type { Socket } from 'node:net';
import type { Clock, Timer } from '@kube-aurora/clock';
import { formatLsn, WAL_SEGMENT_BYTES, type Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { answerSlotSync } from '../failover-slots/slot-sync-answers.ts';
import type { SlotRow } from '../failover-slots/slot-list.ts';
import type { HeldWal } from './held-wal.ts';
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

/** Bytes that wait in the socket; more is written when they have gone. */
const SOCKET_BYTES_MAX = 256 * 1024;
/** How often a standby that is held back is asked how far it has replayed: by itself it says so every 10 s. */
const ASK_MS = 100;

export interface StandbyConnectionOptions {
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

/** One connection of a standby: commands first, then the stream. See walsender.ts for what holds of it. */
export class StandbyConnection {
  readonly #socket: Socket;
  readonly #options: StandbyConnectionOptions;
  readonly #parser = new StandbyParser();
  /** End of what was sent; undefined while nothing streams. */
  #sentLsn: Lsn | undefined;
  /** It is held back until it has replayed more. */
  #asking: Timer | undefined;
  /** It was told why it is not served: what it still says is not heard. */
  #isRefused = false;
  /** It asks for slots, and gets no WAL. */
  #asksForSlots = false;

  constructor(socket: Socket, options: StandbyConnectionOptions) {
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
