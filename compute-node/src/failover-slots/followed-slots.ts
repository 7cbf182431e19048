import type { Clock } from '@kube-aurora/clock';
import type { Lsn } from '@kube-aurora/pg-format';
import type { Logger } from '@kube-aurora/process';
import { withSuperuser, type LocalSocket } from '../postgres/local-client.ts';
import { keptSlots, missingSlots } from './missing-slots.ts';
import { decodeSlotList, syncable, wantedOf, type SlotRow } from './slot-list.ts';
import { SLOT_LIST_QUERY } from './slot-list-store.ts';

const LOOK_MS = 1000;

export interface FollowedSlotsOptions {
  /** X of the reader. */
  readonly startLsn: Lsn;
  /** While it is the same there is no other list. */
  readonly replayLsn: () => bigint;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The writer's slots, as a reader's own database has the list of them: for the slot synchronization worker of its PostgreSQL.
 *
 * Invariant: what the list says of a slot is before what the reader has replayed. So every position in it is one that the reader has
 * the WAL up to.
 */
export class FollowedSlots {
  readonly #options: FollowedSlotsOptions;
  #slots: readonly SlotRow[] = [];
  #wanted: readonly string[] = [];

  constructor(options: FollowedSlotsOptions) {
    this.#options = options;
  }

  /** Those that the reader may keep up with. */
  get slots(): readonly SlotRow[] {
    return this.#slots;
  }

  /**
   * Of the writer's slots with failover = true those that PostgreSQL keeps none like. Waits, for so long at most, until there is none. Nobody is told of a
   * slot before the list was read once, which is a second after PostgreSQL has come up.
   */
  missing(socket: LocalSocket, withinMs: number): Promise<readonly string[]> {
    const { clock, logger } = this.#options;
    return missingSlots({
      wanted: () => this.#wanted,
      look: () => keptSlots(socket),
      wake: wakeWorker,
      withinMs,
      clock,
      logger,
    });
  }

  /** Looks at the list whenever more was replayed, until it is no reader any more, or `signal` aborts. Never rejects. */
  async follow(socket: LocalSocket, signal: AbortSignal): Promise<void> {
    const { clock, logger, replayLsn, startLsn } = this.#options;
    let replayed = -1n;
    let known: Buffer | undefined;
    while (!signal.aborted) {
      try {
        const now = replayLsn();
        if (now !== replayed) {
          const { reads, list, worker } = await look(socket);
          if (!reads) return;
          if (list !== null && known?.equals(list) !== true) {
            const rows = decodeSlotList(list);
            this.#slots = syncable(rows, startLsn);
            this.#wanted = wantedOf(rows);
            known = list;
            if (worker !== null) wakeWorker(worker);
          }
          replayed = now;
        }
      } catch (error) {
        if (!signal.aborted) logger.debug({ err: error }, "the list of the writer's replication slots could not be read");
      }
      await clock.sleep(LOOK_MS, signal);
    }
  }
}

/** It sleeps for up to 30 s. PostgreSQL's processes take this signal for a reason to look around. */
function wakeWorker(pid: number): void {
  process.kill(pid, 'SIGUSR1');
}

interface Look {
  readonly reads: boolean;
  readonly list: Buffer | null;
  /** The process id of the slot synchronization worker. */
  readonly worker: number | null;
}

async function look(socket: LocalSocket): Promise<Look> {
  return withSuperuser(socket, async (client) => {
    const { rows } = await client.query<Look>(
      `select pg_is_in_recovery() as reads, ${SLOT_LIST_QUERY} as list,
         (select pid from pg_stat_activity where backend_type = 'slotsync worker' limit 1) as worker`,
    );
    const [row] = rows;
    if (row === undefined) throw new Error('PostgreSQL answered nothing');
    return row;
  });
}
