import type { Logger } from '@kube-aurora/process';
import type { Change, Store } from '../store/store.ts';

/** What is running; `stop` ends it. */
export interface Running {
  stop(): void;
}

/**
 * Runs a level-triggered controller: once at the start, then after every burst of changes that concern it. It looks at
 * the store as it is and makes it so; an error is logged and the next change tries again.
 */
export function reconcileOn(
  store: Store,
  logger: Logger,
  name: string,
  concerns: (change: Change) => boolean,
  reconcile: () => void,
): Running {
  let pending = false;
  let stopped = false;
  const run = (): void => {
    pending = false;
    if (stopped) return;
    try {
      reconcile();
    } catch (error) {
      logger.error({ err: error, controller: name }, 'a controller failed');
    }
  };
  const soon = (): void => {
    if (pending) return;
    pending = true;
    setImmediate(run);
  };
  const unsubscribe = store.subscribe((change) => {
    if (concerns(change)) soon();
  });
  soon();
  return {
    stop: () => {
      stopped = true;
      unsubscribe();
    },
  };
}
