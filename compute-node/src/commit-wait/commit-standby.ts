import type { Clock } from '@kube-aurora/clock';
import type { Client, Connection, Submittable } from 'pg';
import { letGo, type LocalSocket } from '../postgres/local-client.ts';
import { connectReplication, flushedLsn } from '../postgres/replication-client.ts';

/** As it stands in pg_stat_replication and in synchronous_standby_names. */
export const COMMIT_STANDBY = 'kube_aurora_quorum';

/**
 * A synchronous standby in PostgreSQL's eyes, that is the volume in truth: sessions that commit wait until it has flushed their WAL, and it
 * says that it has flushed what a quorum of the volume holds. The WAL that PostgreSQL streams to it is thrown away: the volume gets it from
 * the files (write-path).
 *
 * Invariant: it says of no LSN that it is flushed which `reports` was not given.
 */
export class CommitStandby {
  readonly #client: Client;
  readonly #stream: StandbyStream;
  readonly #clock: Clock;
  readonly #update = updateMessage();
  #durableLsn = 0n;
  #isHeld = false;
  #isLost = false;

  private constructor(client: Client, stream: StandbyStream, clock: Clock) {
    this.#client = client;
    this.#stream = stream;
    this.#clock = clock;
    client.on('end', () => {
      this.#isLost = true;
    });
  }

  /** Resolves once PostgreSQL streams to it; rejects when it does not. */
  static async connect(socket: LocalSocket, clock: Clock): Promise<CommitStandby> {
    const client = await connectReplication(socket, COMMIT_STANDBY, ['wal_sender_timeout=0']);
    try {
      const stream = new StandbyStream(`START_REPLICATION PHYSICAL ${await flushedLsn(client)}`);
      const standby = new CommitStandby(client, stream, clock);
      stream.onAsked = () => standby.#say();
      client.query(stream);
      await stream.begun;
      return standby;
    } catch (error) {
      letGo(client);
      throw error;
    }
  }

  /** PostgreSQL has ended the connection, or we have. */
  get isLost(): boolean {
    return this.#isLost;
  }

  /** A quorum holds everything below. */
  reports(durableLsn: bigint): void {
    if (durableLsn <= this.#durableLsn) return;
    this.#durableLsn = durableLsn;
    this.#say();
  }

  /** Says nothing until `release`: whoever waits for it goes on waiting. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    this.#isHeld = false;
    this.#say();
  }

  close(): void {
    this.#isLost = true;
    this.#stream.send(GOODBYE);
    const late = this.#clock.after(GOODBYE_WITHIN_MS, () => letGo(this.#client));
    this.#client.once('end', () => late.cancel());
  }

  #say(): void {
    if (this.#isHeld || this.#isLost || this.#durableLsn === 0n) return;
    fillUpdate(this.#update, this.#durableLsn, this.#clock.wallTime());
    // Copied: the socket may keep it for a while.
    this.#stream.send(Buffer.from(this.#update));
  }
}

/** PostgreSQL ends the connection by then, or it is ended. */
const GOODBYE_WITHIN_MS = 1000;
/** CopyDone, then Terminate, each u8 type · u32 length: PostgreSQL says nothing in its log of a standby that ends so. */
const GOODBYE = Buffer.from([0x63, 0, 0, 0, 4, 0x58, 0, 0, 0, 4]);

const KEEPALIVE = 0x6b;
/** Of a keepalive (u8 'k' · i64 end of WAL · i64 time · u8): an answer is wanted. */
const KEEPALIVE_ASKS_AT = 17;

/** The stream of a walsender, of which nothing is kept. */
class StandbyStream implements Submittable {
  /** PostgreSQL wants to hear something. */
  onAsked: () => void = () => undefined;
  readonly begun: Promise<void>;
  readonly #begins = Promise.withResolvers<void>();
  readonly #command: string;
  #connection: Connection | undefined;

  constructor(command: string) {
    this.#command = command;
    this.begun = this.#begins.promise;
  }

  submit(connection: Connection): void {
    this.#connection = connection;
    connection.once('replicationStart', () => this.#begins.resolve());
    connection.query(this.#command);
  }

  send(message: Buffer): void {
    this.#connection?.stream.write(message);
  }

  handleCopyData({ chunk }: { readonly chunk: Buffer }): void {
    if (chunk[0] === KEEPALIVE && chunk[KEEPALIVE_ASKS_AT] === 1) this.onAsked();
  }

  handleError(error: Error): void {
    this.#begins.reject(error);
  }

  handleCommandComplete(): void {
    // Of a stream that PostgreSQL ends.
  }

  handleReadyForQuery(): void {
    this.#begins.reject(new Error('PostgreSQL ended the stream as soon as it was asked for'));
  }
}

/**
 * Standby status update in CopyData (protocol 3, streaming replication), big-endian:
 *
 * | offset | type | field                                     |
 * | ------ | ---- | ----------------------------------------- |
 * | 0      | u8   | 'd'                                       |
 * | 1      | u32  | bytes from here on                        |
 * | 5      | u8   | 'r'                                       |
 * | 6      | u64  | written up to                             |
 * | 14     | u64  | flushed up to                             |
 * | 22     | u64  | applied up to                             |
 * | 30     | i64  | microseconds since 2000                   |
 * | 38     | u8   | 1: an answer is wanted                    |
 */
const UPDATE_BYTES = 39;
const LSNS_AT = [6, 14, 22] as const;
const TIME_AT = 30;
const EPOCH_2000_MS = Date.UTC(2000, 0, 1);

function updateMessage(): Buffer {
  const out = Buffer.alloc(UPDATE_BYTES);
  out.write('d', 0, 'latin1');
  out.writeUInt32BE(UPDATE_BYTES - 1, 1);
  out.write('r', 5, 'latin1');
  return out;
}

function fillUpdate(out: Buffer, durableLsn: bigint, now: Date | number | bigint): void {
  for (const at of LSNS_AT) out.writeBigUInt64BE(durableLsn, at);
  out.writeBigInt64BE(BigInt(Math.round((Number(now) - EPOCH_2000_MS) * 1000)), TIME_AT);
}
