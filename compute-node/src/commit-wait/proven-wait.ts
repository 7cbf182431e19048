import type { Clock } from '@kube-aurora/clock';
import type { Client } from 'pg';
import type { CommitStandby } from './commit-standby.ts';

/** A commit that leaves nothing behind but its WAL. */
const COMMIT = "SELECT pg_logical_emit_message(true, 'kube-aurora', '')";
const IS_WAITING = "SELECT wait_event = 'SyncRep' AS waits FROM pg_stat_activity WHERE pid = $1";

/** Between two looks. */
const LOOK_MS = 2;

export interface WaitProof {
  /** Commits; its `synchronous_commit` is on. */
  readonly committing: Client & { readonly processID?: number | null };
  readonly looking: Client;
  readonly standby: Pick<CommitStandby, 'hold' | 'release'>;
  readonly clock: Clock;
}

/**
 * Do sessions that commit wait for the standby? Settings do not tell: each process reads them when it comes to it, and the one that counts
 * (the checkpointer) says nothing. So somebody commits while the standby is silent; others who commit meanwhile wait for as long. Undefined
 * when `signal` aborts before it is known.
 */
export async function doCommitsWait({ committing, looking, standby, clock }: WaitProof, signal: AbortSignal): Promise<boolean | undefined> {
  standby.hold();
  let hasEnded = false;
  const commit = committing.query(COMMIT).finally(() => {
    hasEnded = true;
  });
  // One that fails while somebody looks must not end the agent; it is awaited below.
  commit.catch(() => undefined);
  try {
    while (!hasEnded && !signal.aborted) {
      const { rows } = await looking.query<{ waits: boolean | null }>(IS_WAITING, [committing.processID]);
      if (rows[0]?.waits === true) return true;
      await clock.sleep(LOOK_MS, signal);
    }
    return hasEnded ? false : undefined;
  } finally {
    standby.release();
    if (!signal.aborted) await commit;
  }
}
