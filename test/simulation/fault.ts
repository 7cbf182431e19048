import type { Machine } from './machine.ts';
import type { StorageMachine } from './storage.ts';
import type { World } from './world.ts';

/** One kind of fault, and how often it happens where nothing else is said. */
export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** Makes it happen; says to whom and how. Undefined: it could not happen now. */
  readonly strike: () => string | undefined;
}

export function kind(name: string, weight: number, strike: () => string | undefined): Fault {
  return { name, weight, strike };
}

/** The machine's process ends, or its power does; it is started again soon. */
export function down(machine: StorageMachine, how: 'process' | 'power'): string {
  machine.stop(how);
  machine.restartSoon();
  return machine.id;
}

export const namesOf = (machines: readonly Machine[]): string => machines.map(({ id }) => id).join(' ');

/** `count` of them, each at most once. */
export function pickSome<T>(items: readonly T[], count: number, { random }: World): T[] {
  const left = [...items];
  return Array.from({ length: Math.min(count, left.length) }, () => left.splice(random.integer(0, left.length - 1), 1)).flat();
}
