import { OTHER_LOAD } from '../../answers/answers.ts';

/** Colours of the chart palette that waits have always, so that one learns them; the others take what is left. */
const FIXED: Readonly<Record<string, number>> = { CPU: 2, 'IO:WALSync': 0, 'IPC:SyncRep': 0, 'IO:WalSync': 0, [OTHER_LOAD]: 7 };
const OF_TYPE: Readonly<Record<string, number>> = { Lock: 3, LWLock: 5, IO: 0, Client: 6, IPC: 4 };
const PALETTE = [0, 1, 3, 4, 5, 6];

/** A colour for each wait event; two share one only when there are more than colours. */
export function loadColours(events: readonly string[]): ReadonlyMap<string, number> {
  const colours = new Map<string, number>();
  const taken = new Set<number>();
  const give = (event: string, colour: number): void => {
    colours.set(event, colour);
    taken.add(colour);
  };
  for (const event of events) {
    const fixed = FIXED[event];
    if (fixed !== undefined) give(event, fixed);
  }
  for (const event of events) {
    if (colours.has(event)) continue;
    const wished = OF_TYPE[event.split(':')[0] ?? ''];
    if (wished !== undefined && !taken.has(wished)) give(event, wished);
    else give(event, PALETTE.find((colour) => !taken.has(colour)) ?? 7);
  }
  return colours;
}
