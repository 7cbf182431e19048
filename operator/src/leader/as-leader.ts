/** A renewal that is late comes within this time, or the process ends. */
const AGAIN_MS = 1_000;

interface Leadership {
  readonly leading: () => boolean;
  /** Puts the key into the queue once the time has come. */
  readonly again: (key: string, afterMs: number) => void;
}

/**
 * Work on keys that the leader alone does. The lease counts from its last renewal, so a leader whose renewal is late does not lead for a
 * moment, and then leads again as if nothing had been: _what was to be done in that moment is put off and never dropped_, since
 * nobody else asks for it before something changes.
 */
export function asLeader({ leading, again }: Leadership, work: (key: string) => Promise<void>): (key: string) => Promise<void> {
  return async (key) => {
    if (leading()) await work(key);
    else again(key, AGAIN_MS);
  };
}
