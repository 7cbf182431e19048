import { stringAt } from '../store/object.ts';
import type { Store } from '../store/store.ts';

/** The first addresses are left for the system's own Services. */
const FIRST = 10;
const LAST = 0xfffe;

/** Gives the lowest free address, or the wanted one when it is free and in range. */
export function clusterIpAllocator(store: Store, prefix: string): (wanted: string | undefined) => string | undefined {
  return (wanted) => {
    const taken = new Set(store.list('services').map((service) => stringAt(service, 'spec', 'clusterIP')));
    if (wanted !== undefined) return wanted === 'None' || (wanted.startsWith(prefix) && !taken.has(wanted)) ? wanted : undefined;
    for (let index = FIRST; index <= LAST; index += 1) {
      const address = `${prefix}${index >> 8}.${index & 0xff}`;
      const plain = (index & 0xff) !== 0 && (index & 0xff) !== 0xff;
      if (plain && !taken.has(address)) return address;
    }
    return undefined;
  };
}
