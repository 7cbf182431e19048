import type { Clock } from '@kube-aurora/clock';
import { lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import type { Client } from 'pg';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import { slotFiles } from '../postgres/replication-slots.ts';
import type { WrittenDirectory } from '../postgres/written-directory.ts';
import { nextTelling, whyMissing, type SlotRow, type Telling } from './slot-list.ts';
import { presentSlots, readSlotList, walEnd, writeSlotList } from './slot-list-store.ts';

/** A look is a few small files. PostgreSQL writes one when its slot comes to need less, every 15 s while it is used. */
const LOOK_MS = 1000;
/** After failures in a row, of which the database `postgres` that is not there any more is one. */
const RETRY_MS_MAX = 60_000;

export interface TellSlotsOptions {
  readonly socket: LocalSocket;
  readonly dataDir: string;
  /** Told of slots that the volume's list has and this PostgreSQL has not, when it begins to write. */
  readonly directory: Pick<WrittenDirectory, 'missing' | 'made'>;
  /** It was a reader's. */
  readonly isPromoted: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Keeps the volume's list of the writer's slots, until `signal` aborts. Never rejects.
 *
 * Invariant: what the list says of a slot was so when it was written. It may be older than the slot is: a slot that goes on from there
 * gives some changes again, and leaves none out.
 */
export async function tellSlots(options: TellSlotsOptions, signal: AbortSignal): Promise<void> {
  const { socket, dataDir, directory, clock, logger } = options;
  let seen: string | undefined;
  let told: Telling | undefined;
  let said = '';
  let pauseMs = LOOK_MS;
  while (!signal.aborted) {
    try {
      const files = slotFiles(dataDir);
      if (files !== seen) {
        told = await withSuperuser(socket, async (client) => {
          const before = told ?? (await begin(client, options));
          const slots = await presentSlots(client);
          directory.made(slots.map(({ slot_name: name }) => name));
          return tell(client, before, slots, signal);
        });
        seen = files;
      }
      said = '';
      pauseMs = LOOK_MS;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (reason !== said && !signal.aborted) logger.warn({ reason }, 'readers could not be told of replication slots; trying again');
      said = reason;
      pauseMs = Math.min(2 * pauseMs, RETRY_MS_MAX);
    }
    await clock.sleep(pauseMs, signal);
  }
}

async function begin(client: Client, { directory, isPromoted }: TellSlotsOptions): Promise<Telling> {
  const rows = (await readSlotList(client)) ?? [];
  const present = new Set((await presentSlots(client)).map(({ slot_name: name }) => name));
  const missing = rows.filter(({ slot_name: name }) => !present.has(name));
  directory.missing(missing.map((slot) => ({ name: slot.slot_name, why: whyMissing(slot, isPromoted) })));
  return { rows, endLsn: lsn(0n), small: 0, isOther: false };
}

async function tell(client: Client, told: Telling, slots: readonly SlotRow[], signal: AbortSignal): Promise<Telling> {
  const telling = nextTelling(told, slots, await walEnd(client));
  if (telling === undefined || signal.aborted) return told;
  await writeSlotList(client, telling.rows);
  // A reader's slot counts from the first snapshot of the writer's that is later than the list: this one rather than that in 15 s.
  if (telling.isOther) await client.query('select pg_log_standby_snapshot()');
  return { ...telling, endLsn: lsn(await walEnd(client)) };
}
