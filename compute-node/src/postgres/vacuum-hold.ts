import type { Clock } from '@kube-aurora/clock';
import type { Logger } from '@kube-aurora/process';
import type { StandbyXmins } from '@kube-aurora/rpc';
import type { Client, Connection, Submittable } from 'pg';
import type { LocalSocket } from './local-client.ts';
import { connectReplication, flushedLsn } from './replication-client.ts';

/** As it stands in pg_replication_slots. */
export const READERS_SLOT = 'kube_aurora_readers';
/** How often what readers need is looked at: the lease, with which it comes, is renewed about as often. */
const LOOK_MS = 500;
const RETRY_MS = 5000;

export interface VacuumHoldOptions {
  readonly socket: LocalSocket;
  /** The lowest of what readers' snapshots may need, as heard last. */
  readonly xmins: () => StandbyXmins;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Has a writer's PostgreSQL keep the rows that readers' snapshots may still see, until `signal` aborts: what it does itself for
 * a standby with hot_standby_feedback. The xmin is held by a temporary physical slot of a connection of ours, which reserves no
 * WAL and goes with the connection. Never rejects.
 *
 * Why it is enough: a standby's xmin never goes back, and every snapshot that it takes has one at or above the xmin that it
 * told before. So what it told once, and was held from then on, covers all of its later queries, however late the next word is; a
 * word that is late only keeps rows for longer. Until its first word is heard, some seconds after a reader's start, and from
 * the moment on at which storage takes the reader for dead, its queries may be canceled as those of a standby without
 * feedback: nothing they read becomes wrong by that.
 *
 * PostgreSQL passes over ids that are more than two billion transactions from its own: after a wraparound with its epoch, too.
 */
export async function holdVacuum(options: VacuumHoldOptions, signal: AbortSignal): Promise<void> {
  const { xmins, clock, logger } = options;
  let said = '';
  while (!signal.aborted) {
    let pauseMs = LOOK_MS;
    if (isNeeded(xmins())) {
      try {
        await whileNeeded(options, signal);
        said = '';
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (reason !== said && !signal.aborted)
          logger.warn({ reason }, "vacuum does not wait for readers' queries: no replication slot could be held for them; trying again");
        said = reason;
        pauseMs = RETRY_MS;
      }
    }
    await clock.sleep(pauseMs, signal);
  }
}

const isNeeded = ({ xmin, catalogXmin }: StandbyXmins): boolean => xmin !== 0n || catalogXmin !== 0n;

/** Resolves, and holds nothing any more, once no reader needs anything. */
async function whileNeeded({ socket, xmins, clock, logger }: VacuumHoldOptions, signal: AbortSignal): Promise<void> {
  const client = await connectReplication(socket, READERS_SLOT);
  // Its slot is gone with it.
  let isLost = false;
  client.on('end', () => {
    isLost = true;
  });
  try {
    await client.query(`CREATE_REPLICATION_SLOT ${READERS_SLOT} TEMPORARY PHYSICAL`);
    let held: StandbyXmins = { xmin: 0n, catalogXmin: 0n };
    for (let wanted = xmins(); isNeeded(wanted) && !signal.aborted; wanted = xmins()) {
      if (wanted.xmin !== held.xmin || wanted.catalogXmin !== held.catalogXmin) {
        await tell(client, held, wanted);
        logger.debug(wanted, 'vacuum waits for readers');
        held = wanted;
      }
      await clock.sleep(LOOK_MS, signal);
      if (isLost) throw new Error('the connection that holds the slot was lost');
    }
  } finally {
    await client.end();
  }
}

async function tell(client: Client, held: StandbyXmins, wanted: StandbyXmins): Promise<void> {
  // A slot's xmin goes forward only, unless it is let go of first: a reader that is behind has come.
  const isLower = (one: bigint, than: bigint): boolean => one !== 0n && one < than;
  const goesBack = isLower(wanted.xmin, held.xmin) || isLower(wanted.catalogXmin, held.catalogXmin);
  const feedback = [...(goesBack ? [encodeFeedback({ xmin: 0n, catalogXmin: 0n })] : []), encodeFeedback(wanted)];
  const lsn = await flushedLsn(client);
  await new Promise<void>((resolve, reject) => {
    client.query(new Feedback(`START_REPLICATION SLOT ${READERS_SLOT} PHYSICAL ${lsn}`, feedback, resolve, reject));
  });
}

/** Streams for as long as it takes to say something, and no WAL is read meanwhile but what is written in that moment. */
class Feedback implements Submittable {
  readonly #command: string;
  readonly #messages: readonly Buffer[];
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;

  constructor(command: string, messages: readonly Buffer[], resolve: () => void, reject: (error: Error) => void) {
    this.#command = command;
    this.#messages = messages;
    this.#resolve = resolve;
    this.#reject = reject;
  }

  /** PostgreSQL takes messages in order, and those of a stream that it refused it passes over. */
  submit(connection: Connection): void {
    connection.query(this.#command);
    for (const message of this.#messages) connection.stream.write(message);
    connection.stream.write(COPY_DONE);
  }

  /** WAL that was written since. */
  handleCopyData(): void {
    // It is of no use here.
  }

  handleCommandComplete(): void {
    // One for the stream, and one for the command.
  }

  handleReadyForQuery(): void {
    this.#resolve();
  }

  handleError(error: Error): void {
    this.#reject(error);
  }
}

/** CopyDone: u8 type · u32 length. */
const COPY_DONE = Buffer.from([0x63, 0, 0, 0, 4]);

/**
 * Standby feedback in CopyData, big-endian: u8 'd' · u32 length · u8 'h' · i64 time · u32 xmin · u32 its epoch · u32 catalog
 * xmin · u32 its epoch.
 */
export function encodeFeedback({ xmin, catalogXmin }: StandbyXmins): Buffer {
  const out = Buffer.alloc(30);
  out.write('d', 0, 'latin1');
  out.writeUInt32BE(29, 1);
  out.write('h', 5, 'latin1');
  // The time is for the log of whoever wants it.
  out.writeUInt32BE(Number(xmin & 0xffff_ffffn), 14);
  out.writeUInt32BE(Number(xmin >> 32n), 18);
  out.writeUInt32BE(Number(catalogXmin & 0xffff_ffffn), 22);
  out.writeUInt32BE(Number(catalogXmin >> 32n), 26);
  return out;
}
