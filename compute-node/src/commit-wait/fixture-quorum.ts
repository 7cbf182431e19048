import type { FlushControl } from './commit-wait.ts';
import type { FlushAnswer, FlushOutcome } from '../flush-outcome.ts';
import type { FlushesReturn, WatchPoints } from '../write-path/write-path.ts';

/** Test fixture: the quorum of an agent's volume, which answers when the test says so. */
export class FixtureQuorum implements FlushControl {
  /** How far it is, as flushes tell. */
  quickestFlushMs: number | undefined = 10;
  /** Whatever is flushed is durable a moment later. */
  isOpen = true;
  returns: FlushesReturn = 'durable';
  promisedLsn = 0n;
  durableLsn = 0n;
  #watch: WatchPoints | undefined;
  #waiting: { readonly lsn: bigint; readonly resolve: (outcome: FlushOutcome) => void }[] = [];

  /** There is always one on its way. */
  get timed(): { readonly flushes: number; readonly flushMs: number } {
    return { flushes: 0, flushMs: performance.now() };
  }

  watch(watch: WatchPoints): void {
    this.#watch = watch;
  }

  returnFlushes(when: FlushesReturn): void {
    this.returns = when;
  }

  durable(lsn: bigint): Promise<FlushOutcome> {
    if (lsn <= this.durableLsn) return Promise.resolve({ kind: 'durable', durableLsn: this.durableLsn });
    return new Promise((resolve) => void this.#waiting.push({ lsn, resolve }));
  }

  flush(lsn: bigint): Promise<FlushAnswer> {
    if (lsn > this.promisedLsn) this.promisedLsn = lsn;
    if (this.isOpen) setImmediate(() => this.advance());
    if (this.returns === 'durable') return this.durable(lsn);
    this.#watch?.({ durableLsn: this.durableLsn, promisedLsn: this.promisedLsn });
    return Promise.resolve({ kind: 'sent', sentLsn: lsn });
  }

  /** All that was flushed is durable. */
  advance(): void {
    this.durableLsn = this.promisedLsn;
    this.#watch?.({ durableLsn: this.durableLsn, promisedLsn: this.promisedLsn });
    for (const { resolve } of this.#waiting.splice(0)) resolve({ kind: 'durable', durableLsn: this.durableLsn });
  }
}
