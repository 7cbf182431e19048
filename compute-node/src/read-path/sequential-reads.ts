import { forkKey, partOf, type ForkName, type PageRange } from './page-range.ts';

/** The first blocks that are read ahead of a run; twice as many each time, as the kernel does for files. */
const WINDOW_MIN = 16;
/** Blocks ahead of a run that goes on: 4 MiB, which is some twenty milliseconds of a scan. */
const WINDOW_MAX = 512;
/** Blocks of one read ahead: several are on their way at once, to different segments. */
const CHUNK = 64;
/** A run's requests come through several processes: one may arrive so many blocks late. */
const LATE_MAX = 256;
/** So many blocks may be missing from a run: PostgreSQL has them already. */
const GAP_MAX = 32;
const RUNS_PER_FORK = 8;
const FORKS_MAX = 256;

/** Reads of one fork that go on from block to block. */
interface Run {
  /** Past the last block that was asked for. */
  next: number;
  /** Past the last block that was read ahead; at or past `next`. */
  ahead: number;
  /** How far to read ahead; 0 until a second request has shown that there is a run. */
  window: number;
  /** The fork ended here when it was last read. */
  end: number;
  /** What came along last with blocks that were asked for: [from, past). */
  along: { readonly from: number; readonly past: number };
}

/**
 * Sees from PostgreSQL's requests for pages which of them are runs, and says what to read ahead. Decides only: what is
 * read ahead is never wrong, at worst it is not used.
 */
export class SequentialReads {
  /** Last used last. */
  readonly #forks = new Map<string, Run[]>();
  /**
   * Forks of which PostgreSQL asks for several stretches at the same time: what would come along with one of them is on
   * its way already. Until somebody reads one from its beginning again.
   */
  readonly #sideBySide = new Set<string>();
  readonly #windowMax: number;

  /** @param pagesMax that may be held ahead for all runs: one of them takes half of it at most */
  constructor(pagesMax = Infinity) {
    this.#windowMax = Math.min(WINDOW_MAX, pagesMax / 2);
  }

  /** Blocks to read ahead, now that these were asked for. */
  note(range: PageRange): PageRange[] {
    const { block, count } = range;
    const past = block + count;
    const runs = this.#runsOf(range);
    if (block === 0) this.#sideBySide.delete(forkKey(range));
    const run = runs.find((one) => goesOn(one, block, count));
    if (run === undefined) {
      runs.push({ next: past, ahead: past, window: 0, end: Infinity, along: { from: 0, past: 0 } });
      if (runs.length > RUNS_PER_FORK) runs.shift();
      return [];
    }
    if (past > run.end) run.end = Infinity;
    if (block < run.along.past && past > run.along.from) this.#noteSideBySide(range);
    if (run.window === 0) run.window = Math.min(Math.max(WINDOW_MIN, 2 * count), this.#windowMax);
    run.next = Math.max(run.next, past);
    run.ahead = Math.max(run.ahead, run.next);
    swallow(runs, run);
    return this.#goOn(range, run);
  }

  #goOn(fork: ForkName, run: Run): PageRange[] {
    const chunks = topUp(fork, run);
    if (chunks.length > 0) run.window = Math.min(run.window * 2, this.#windowMax);
    return chunks;
  }

  /**
   * Of what was read ahead the blocks, `room` at most, that PostgreSQL will ask for after these, where it asks for one
   * stretch after another.
   */
  along(range: PageRange, room: number): PageRange | undefined {
    const past = range.block + range.count;
    const run = this.#runWith(range, past);
    if (run === undefined || past < run.next || this.#sideBySide.has(forkKey(range))) return undefined;
    const count = Math.min(room, run.ahead - past);
    return count > 0 ? partOf(range, past, count) : undefined;
  }

  /** These came along. Gives what to read ahead now. */
  gaveAlong(range: PageRange): PageRange[] {
    const past = range.block + range.count;
    const run = this.#runWith(range, range.block);
    if (run === undefined) return [];
    run.along = { from: range.block, past };
    run.next = Math.max(run.next, past);
    return this.#goOn(range, run);
  }

  /** It was asked for before it came along, or not kept. */
  #noteSideBySide(fork: ForkName): void {
    this.#sideBySide.add(forkKey(fork));
    if (this.#sideBySide.size <= FORKS_MAX) return;
    const [oldest] = this.#sideBySide;
    if (oldest !== undefined) this.#sideBySide.delete(oldest);
  }

  /** The run that has read ahead up to this block. */
  #runWith(fork: ForkName, block: number): Run | undefined {
    return this.#forks.get(forkKey(fork))?.find((run) => run.window > 0 && block >= run.next - LATE_MAX && block <= run.ahead);
  }

  /** There is nothing in the fork from `block` on. */
  ended(fork: ForkName, block: number): void {
    for (const run of this.#forks.get(forkKey(fork)) ?? []) if (run.ahead > block) run.end = block;
  }

  /** What was read ahead was mostly not used: a new run of the fork has to show itself first. */
  wasted(fork: ForkName): void {
    this.#forks.delete(forkKey(fork));
  }

  #runsOf(fork: ForkName): Run[] {
    const key = forkKey(fork);
    const runs = this.#forks.get(key) ?? [];
    this.#forks.delete(key);
    this.#forks.set(key, runs);
    if (this.#forks.size > FORKS_MAX) {
      const oldest = this.#forks.keys().next();
      if (oldest.done !== true) this.#forks.delete(oldest.value);
    }
    return runs;
  }
}

/**
 * Does a request belong to a run? A first single block that is merely close by does not make one: lookups come close by
 * chance.
 */
function goesOn(run: Run, block: number, count: number): boolean {
  if (run.window === 0) return block === run.next || (count > 1 && block > run.next && block <= run.next + GAP_MAX);
  return block >= run.next - LATE_MAX && block <= run.ahead + GAP_MAX;
}

/** Runs that another one has reached are part of it. */
function swallow(runs: Run[], run: Run): void {
  for (let at = runs.length - 1; at >= 0; at--) {
    const one = runs[at];
    if (one === undefined || one === run || one.next < run.next - LATE_MAX || one.next > run.ahead + GAP_MAX) continue;
    run.ahead = Math.max(run.ahead, one.ahead);
    runs.splice(at, 1);
  }
}

/** As far as the window lets, in chunks that are worth a request. */
function topUp(fork: ForkName, run: Run): PageRange[] {
  const chunk = Math.min(CHUNK, Math.max(WINDOW_MIN, run.window / 2));
  const wanted = Math.min(run.next + run.window, run.end);
  const chunks: PageRange[] = [];
  for (let left = wanted - run.ahead; left > 0; left = wanted - run.ahead) {
    if (left < chunk && wanted !== run.end) break;
    const count = Math.min(chunk, left);
    chunks.push(partOf(fork, run.ahead, count));
    run.ahead += count;
  }
  return chunks;
}
