/**
 * When a disk will be full, if it goes on to fill as it did lately. What is remembered is the least that was free in each
 * half hour: redo that comes and goes with checkpoints would tell of growth where there is none.
 */

const EVERY_MS = 1_800_000;
/** Six hours at least, three days at most. */
const TIMES_MIN = 12;
const TIMES_MAX = 144;

interface Least {
  readonly time: number;
  readonly freeBytes: number;
}

export class DiskForecast {
  /** Of each half hour that was looked in, oldest first. */
  #least: readonly Least[] = [];

  /** @param atMs monotonic */
  note(atMs: number, freeBytes: number): void {
    const time = Math.floor(atMs / EVERY_MS);
    const last = this.#least.at(-1);
    if (last?.time === time) {
      if (freeBytes < last.freeBytes) this.#least = [...this.#least.slice(0, -1), { time, freeBytes }];
    } else this.#least = [...this.#least, { time, freeBytes }].slice(-TIMES_MAX);
  }

  /** Seconds; undefined of a disk that does not fill, and of one that was not looked at for long enough. */
  get fullInSeconds(): number | undefined {
    const [first, last] = [this.#least[0], this.#least.at(-1)];
    if (first === undefined || last === undefined || last.time - first.time < TIMES_MIN) return undefined;
    const slope = slopeOf(this.#least);
    return slope < 0 ? Math.round(((last.freeBytes / -slope) * EVERY_MS) / 1000) : undefined;
  }
}

/** Bytes a half hour, of the line that lies closest to all. */
function slopeOf(all: readonly Least[]): number {
  const mean = (of: (one: Least) => number): number => all.reduce((sum, one) => sum + of(one), 0) / all.length;
  const [time, free] = [mean((one) => one.time), mean((one) => one.freeBytes)];
  const apart = mean((one) => (one.time - time) ** 2);
  return mean((one) => (one.time - time) * (one.freeBytes - free)) / apart;
}
