import type { KubeObject } from '../store/object.ts';
import type { Cause } from '../schema/cause.ts';

/** What a built-in kind adds to the common path of every write. */
export interface Strategy {
  /** Fills in defaults and what the system decides. */
  readonly prepare?: (object: KubeObject, live: KubeObject | undefined, context: StrategyContext) => KubeObject;
  /** Checks that no schema expresses. */
  readonly causes?: (object: KubeObject, live: KubeObject | undefined) => Cause[];
}

export interface StrategyContext {
  /**
   * An unused address for a Service, or the one asked for; undefined when that one is taken or not one of the
   * cluster's.
   */
  readonly allocateClusterIp: (wanted: string | undefined) => string | undefined;
  readonly nowIso: string;
}
