import type { Wrapped, WrappingKey } from '@kube-aurora/at-rest';

/** A segment's data key as its control file has it, and whose it is. */
export interface HeldKey {
  readonly of: string;
  readonly wrapped: Wrapped;
}

/**
 * Where keys that wrap come from: a directory, or a KMS.
 *
 * Invariant: a key that was given stays for as long as what it wrapped may need it. What cannot be had is said loudly and changes nothing.
 */
export interface KeySource {
  /** The one that wraps now; undefined while none could be had, and of a source that only unwraps. */
  readonly current: WrappingKey | undefined;
  /** All that it can unwrap with. */
  readonly keys: readonly WrappingKey[];
  /** Why what is there now is not used, for people. */
  readonly problem: string | undefined;
  /** Why what this segment holds may be unwrapped later and cannot be now; undefined where waiting changes nothing. */
  awaited(held: HeldKey): string | undefined;
  /** Looks again, if it is time to. Never rejects. */
  look(held: readonly HeldKey[]): Promise<void>;
  close(): void;
}

/** Can it be unwrapped by these? */
export function isOpenedBy(keys: readonly WrappingKey[], { wrapped, of }: HeldKey): boolean {
  return keys.some((key) => {
    if (!key.isFor(wrapped)) return false;
    try {
      key.unwrap(wrapped, of);
      return true;
    } catch {
      // Whoever opens the segment meets the same error, and says it.
      return false;
    }
  });
}
