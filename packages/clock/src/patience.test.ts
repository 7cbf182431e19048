import { expect, it } from 'vitest';
import { afterPatience } from './patience.ts';

/** Time that moves as told: a timer fires late when the process had no turn. */
class SlowMachine {
  now = 0;
  #timers: { at: number; work: () => void }[] = [];
  #soon: (() => void)[] = [];
  readonly clock = {
    after: (ms: number, work: () => void) => {
      const timer = { at: this.now + ms, work };
      this.#timers.push(timer);
      return { cancel: () => void (this.#timers = this.#timers.filter((one) => one !== timer)) };
    },
    soon: (work: () => void) => void this.#soon.push(work),
  };

  /** The process gets a turn `ms` later: due timers, then what has arrived, then what was to come soon. */
  turnAfter(ms: number, arrives?: () => void): void {
    this.now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.now);
    this.#timers = this.#timers.filter(({ at }) => at > this.now);
    for (const { work } of due) work();
    arrives?.();
    const soon = this.#soon;
    this.#soon = [];
    for (const work of soon) work();
  }
}

function patience(ms: number): { machine: SlowMachine; isOver: () => boolean; cancel: () => void } {
  const machine = new SlowMachine();
  let over = false;
  const timer = afterPatience(machine.clock, ms, () => (over = true));
  return { machine, isOver: () => over, cancel: () => timer.cancel() };
}

it('is over after its time on a machine that gives turns', () => {
  const { machine, isOver } = patience(1200);
  for (let at = 0; at < 1150; at += 50) machine.turnAfter(50);
  expect(isOver()).toBe(false);
  machine.turnAfter(50);
  machine.turnAfter(50);
  expect(isOver()).toBe(true);
});

it('counts a time without a turn as one slice', () => {
  const { machine, isOver } = patience(2000);
  machine.turnAfter(60_000);
  machine.turnAfter(60_000);
  machine.turnAfter(60_000);
  expect(isOver()).toBe(false);
  machine.turnAfter(500);
  expect(isOver()).toBe(true);
});

it('lets in what has arrived before it is over', () => {
  const { machine, isOver, cancel } = patience(100);
  machine.turnAfter(5000, cancel);
  machine.turnAfter(5000);
  expect(isOver()).toBe(false);
});
