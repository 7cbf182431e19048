/** One hour in steps of ten seconds. */
export const STEP_MS = 10_000;
export const STEPS = 360;
/** Series of one cluster at most: past that a new name is not kept. 100 series of an hour are 144 kB. */
const SERIES_MAX = 100;

/** The last hour of one cluster, in memory: named series of 4-byte numbers over one clock of steps. NaN: not known. */
export class HistoryRing {
  readonly #series = new Map<string, Float32Array>();
  /** Number of the newest step, counted from 1970. */
  #newest = -1;
  /** Of the first that was recorded: nothing is told of a time before. */
  #first = Infinity;

  get bytes(): number {
    return this.#series.size * STEPS * Float32Array.BYTES_PER_ELEMENT;
  }

  get names(): readonly string[] {
    return [...this.#series.keys()];
  }

  /** Values of the step that `at` is in. Steps that were passed over are not known; what is of an older step than the newest is left out. */
  record(at: number, values: ReadonlyMap<string, number>): void {
    const step = Math.floor(at / STEP_MS);
    if (step < this.#newest) return;
    this.#first = Math.min(this.#first, step);
    this.#advance(step);
    for (const [name, value] of values) {
      const series = this.#seriesOf(name);
      if (series !== undefined) series[step % STEPS] = value;
    }
  }

  /** What was recorded after `since`, oldest first; at most the hour up to the newest step. */
  after(since: number): { readonly firstAt: number; readonly length: number; readonly series: Record<string, (number | null)[]> } {
    const first = Math.max(this.#newest - STEPS + 1, Math.floor(since / STEP_MS) + 1, this.#first);
    const length = this.#newest < 0 ? 0 : Math.max(0, this.#newest - first + 1);
    const series: Record<string, (number | null)[]> = {};
    for (const [name, ring] of this.#series) {
      const values = Array.from({ length }, (_, index) => rounded(ring[(first + index) % STEPS]));
      if (values.some((value) => value !== null)) series[name] = values;
    }
    return { firstAt: this.#newest < 0 ? 0 : first * STEP_MS, length, series };
  }

  #advance(step: number): void {
    if (this.#newest >= 0) {
      const passed = Math.min(step - this.#newest, STEPS);
      for (const series of this.#series.values()) for (let back = 0; back < passed; back++) series[(step - back) % STEPS] = NaN;
      // What nobody has recorded for an hour makes room.
      if (passed > 0) for (const [name, series] of this.#series) if (series.every(Number.isNaN)) this.#series.delete(name);
    }
    this.#newest = step;
  }

  #seriesOf(name: string): Float32Array | undefined {
    const known = this.#series.get(name);
    if (known !== undefined || this.#series.size >= SERIES_MAX) return known;
    const fresh = new Float32Array(STEPS).fill(NaN);
    this.#series.set(name, fresh);
    return fresh;
  }
}

/** Four digits are more than a chart shows. */
function rounded(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : Number(value.toPrecision(4));
}
