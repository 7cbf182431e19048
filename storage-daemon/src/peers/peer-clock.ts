/** Time and chance for the peers' side; injected, so that tests own them. */
export interface PeerClock {
  /** Milliseconds, monotonic. */
  now(): number;
  /** In [0, 1). */
  random(): number;
  /** Resolves after so many milliseconds, or at once when `signal` aborts. Never keeps the process alive by itself. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export function systemPeerClock(): PeerClock {
  return {
    now: () => performance.now(),
    random: Math.random,
    sleep: (ms, signal) =>
      new Promise((resolve) => {
        if (signal?.aborted === true) {
          resolve();
          return;
        }
        const done = (): void => {
          clearTimeout(timer);
          signal?.removeEventListener('abort', done);
          resolve();
        };
        const timer = setTimeout(done, ms).unref();
        signal?.addEventListener('abort', done, { once: true });
      }),
  };
}
