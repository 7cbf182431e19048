import { SeededRandom } from './random.ts';

/** One thing that goes wrong, and for how long. Daemons are numbered 0..5, in pairs by zone. */
export type Fault =
  | { readonly kind: 'kill-daemon' | 'pause-daemon'; readonly daemon: number; readonly downMs: number }
  | { readonly kind: 'fail-zone'; readonly zone: number; readonly downMs: number }
  | { readonly kind: 'kill-three'; readonly daemons: readonly number[]; readonly downMs: number }
  | { readonly kind: 'kill-all'; readonly downMs: number }
  | { readonly kind: 'kill-agent' | 'pause-agent' | 'kill-postgres'; readonly downMs: number };

export interface ScheduledFault {
  /** Calm before it, after the one before has been healed. */
  readonly afterMs: number;
  readonly fault: Fault;
}

/** How often each kind comes, in parts of the sum. */
const WEIGHTS: readonly (readonly [Fault['kind'], number])[] = [
  ['kill-daemon', 5],
  ['pause-daemon', 4],
  ['fail-zone', 2],
  ['kill-three', 1],
  ['kill-all', 1],
  ['kill-agent', 3],
  ['pause-agent', 1],
  ['kill-postgres', 2],
];

function pickKind(random: SeededRandom): Fault['kind'] {
  const total = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
  let at = random.integer(1, total);
  for (const [kind, weight] of WEIGHTS) {
    at -= weight;
    if (at <= 0) return kind;
  }
  return 'kill-daemon';
}

function threeOf(random: SeededRandom): number[] {
  const daemons = [0, 1, 2, 3, 4, 5];
  while (daemons.length > 3) daemons.splice(random.integer(0, daemons.length - 1), 1);
  return daemons;
}

function makeFault(random: SeededRandom, longestMs: number): Fault {
  const kind = pickKind(random);
  const downMs = random.integer(50, longestMs);
  switch (kind) {
    case 'kill-daemon':
    case 'pause-daemon':
      return { kind, daemon: random.integer(0, 5), downMs };
    case 'fail-zone':
      return { kind, zone: random.integer(0, 2), downMs };
    case 'kill-three':
      return { kind, daemons: threeOf(random), downMs };
    default:
      return { kind, downMs };
  }
}

/** The faults of one run: the same seed gives the same list. Sums of waits and downtimes fill about `totalMs`. */
export function makeSchedule(seed: number, totalMs: number, longestMs = 3000): ScheduledFault[] {
  const random = new SeededRandom(seed);
  const schedule: ScheduledFault[] = [];
  for (let spent = 0; spent < totalMs;) {
    const scheduled = { afterMs: random.integer(200, 2000), fault: makeFault(random, longestMs) };
    schedule.push(scheduled);
    spent += scheduled.afterMs + scheduled.fault.downMs;
  }
  return schedule;
}

export function describeFault(fault: Fault): string {
  const zones = ['zone-a', 'zone-b', 'zone-c'];
  switch (fault.kind) {
    case 'kill-daemon':
      return `kill -9 daemon ${fault.daemon}, back after ${fault.downMs} ms`;
    case 'pause-daemon':
      return `SIGSTOP daemon ${fault.daemon} for ${fault.downMs} ms`;
    case 'fail-zone':
      return `fail ${zones[fault.zone]} for ${fault.downMs} ms`;
    case 'kill-three':
      return `kill -9 daemons ${fault.daemons.join(', ')}, back after ${fault.downMs} ms`;
    case 'kill-all':
      return `kill -9 all six daemons, back after ${fault.downMs} ms`;
    case 'kill-agent':
      return `kill -9 the agent, back after ${fault.downMs} ms`;
    case 'pause-agent':
      return `SIGSTOP the agent for ${fault.downMs} ms`;
    case 'kill-postgres':
      return 'kill -9 the postmaster';
  }
}
