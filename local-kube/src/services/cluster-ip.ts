import { stringAt } from '../store/object.ts';
import type { Store } from '../store/store.ts';

/** Addresses of Services: 127.96.0.1 to 127.96.255.254, all of which Linux's loopback answers. */
const PREFIX = '127.96.';
const FIRST = 10;
const LAST = 0xfffe;

/** Gives the lowest free address, or the wanted one when it is free and in range. */
export function clusterIpAllocator(store: Store): (wanted: string | undefined) => string | undefined {
  return (wanted) => {
    const taken = new Set(store.list('services').map((service) => stringAt(service, 'spec', 'clusterIP')));
    if (wanted !== undefined) return wanted === 'None' || (wanted.startsWith(PREFIX) && !taken.has(wanted)) ? wanted : undefined;
    for (let index = FIRST; index <= LAST; index += 1) {
      const address = `${PREFIX}${index >> 8}.${index & 0xff}`;
      const plain = (index & 0xff) !== 0 && (index & 0xff) !== 0xff;
      if (plain && !taken.has(address)) return address;
    }
    return undefined;
  };
}
