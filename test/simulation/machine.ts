import { CLOCK_DRIFT } from '@kube-aurora/volume';
import { createLogger, silentLogger, type Logger } from '@kube-aurora/process';
import { sleepOn, type Clock, type Timer } from '@kube-aurora/clock';
import { SeededRandom } from '../faults/random.ts';
import type { Owner, World } from './world.ts';

/** A computer of the simulation: its clocks, its log, and that it can be stopped, killed and started again. */

/** 2026-01-01: where the calendar of a run begins, in milliseconds since 1970. */
const CALENDAR_START_MS = 1_767_225_600_000;
/** What `soon` and `turn` take. */
const TURN_MS = 0.005;

/** Files that are open on a machine, by descriptor, for who was given one. Throws what the disk throws. */
export class OpenFiles {
  readonly #files = new Map<number, { readonly write: (bytes: Buffer, offset: number) => void; readonly sync: () => void }>();
  #last = 2;
  /** Lanes that were lent on it, for the run's account. */
  lent = 0;

  opened(file: { readonly write: (bytes: Buffer, offset: number) => void; readonly sync: () => void }): number {
    this.#files.set(++this.#last, file);
    return this.#last;
  }
  write(descriptor: number, bytes: Buffer, offset: number): void {
    this.#files.get(descriptor)?.write(bytes, offset);
  }
  sync(descriptor: number): void {
    this.#files.get(descriptor)?.sync();
  }
  closed(descriptor: number): void {
    this.#files.delete(descriptor);
  }
}

export class Machine implements Owner {
  readonly id: string;
  readonly zone: string;
  readonly world: World;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly files = new OpenFiles();
  readonly #random: SeededRandom;
  readonly #deathWatch = new Set<() => void>();
  life = 0;
  pausedUntil = 0;
  isUp = false;
  /** Its clock's seconds in a second of the world. */
  rate = 1;
  /** It has run further from true than anything that counts time may bear, or has leapt. */
  isClockBroken = false;
  #calendarOffset = 0;
  #base = { world: 0, own: 0 };

  constructor(world: World, id: string, zone: string, traced: boolean) {
    this.world = world;
    this.id = id;
    this.zone = zone;
    this.#random = new SeededRandom(world.random.integer(1, 2 ** 31));
    this.clock = this.#makeClock();
    this.logger = traced
      ? createLogger(id, { level: 'debug', destination: { write: (line) => world.note(id, readable(line)) } })
      : silentLogger();
  }

  #makeClock(): Clock {
    const after = (ms: number, work: () => void): Timer => ({ cancel: this.world.after(ms / this.rate, work, this) });
    return {
      now: () => this.#now(),
      wallTime: () => CALENDAR_START_MS + Math.floor(this.world.now) + this.#calendarOffset,
      random: () => this.#random.next(),
      after,
      soon: (work) => void this.world.after(TURN_MS, work, this),
      turn: () => new Promise((resolve) => void this.world.after(TURN_MS, resolve, this)),
      sleep: (ms, signal) => sleepOn(after, ms, signal),
    };
  }

  #now(): number {
    return this.#base.own + (this.world.now - this.#base.world) * this.rate;
  }

  /** Its clock runs faster or slower from now on; it never goes back. */
  drift(rate: number): void {
    this.#base = { world: this.world.now, own: this.#now() };
    this.rate = rate;
    if (Math.abs(rate - 1) > CLOCK_DRIFT + 1e-9) this.isClockBroken = true;
  }

  /**
   * Its clock leaps ahead, as after a sleep of the machine; what was to happen meanwhile happens as late as it would
   * have.
   */
  leap(ms: number): void {
    this.isClockBroken = true;
    this.#base = { world: this.world.now, own: this.#now() + ms };
  }

  /** Someone sets its calendar. */
  setCalendar(offsetMs: number): void {
    this.#calendarOffset = offsetMs;
  }

  start(): void {
    this.isUp = true;
  }

  /** Everything that it has in memory and under way is gone. */
  die(): void {
    if (!this.isUp) return;
    this.isUp = false;
    this.life++;
    this.pausedUntil = 0;
    const watch = [...this.#deathWatch];
    this.#deathWatch.clear();
    for (const onDeath of watch) onDeath();
  }

  pause(ms: number): void {
    this.pausedUntil = Math.max(this.pausedUntil, this.world.now + ms);
  }

  resume(): void {
    this.pausedUntil = 0;
    this.world.resumed(this);
  }

  /** Calls `onDeath` when it dies; gives what takes it back. */
  watch(onDeath: () => void): () => void {
    this.#deathWatch.add(onDeath);
    return () => void this.#deathWatch.delete(onDeath);
  }
}

/** A log line for people: without what is the same on all of them, LSNs as they are written elsewhere in a trace. */
function readable(line: string): string {
  const {
    time: _time,
    component: _component,
    part: _part,
    volume: _volume,
    level,
    msg,
    err,
    more,
    ...known
  } = JSON.parse(line) as Record<string, unknown>;
  const fields = { ...known, ...(typeof more === 'object' ? more : {}) };
  const reason = typeof err === 'object' && err !== null && 'message' in err ? ` (${String(err.message)})` : '';
  const isLsn = (value: unknown): value is string => typeof value === 'string' && /^\d{7,}$/.test(value);
  const rest = Object.entries(fields).map(
    ([key, value]) => ` ${key}=${isLsn(value) ? BigInt(value).toString(16) : typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${String(level)}: ${String(msg)}${reason}${rest.join('')}`;
}
