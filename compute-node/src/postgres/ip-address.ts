import { isIPv4, isIPv6 } from 'node:net';

const GROUPS = 8;
const V4_MAPPED = '::ffff:';

/** The 16 bytes of an IPv6 address, or of an IPv4 address that is mapped to one, in network order. */
export function ipv6Bytes(address: string): Buffer {
  const full = isIPv4(address) ? `${V4_MAPPED}${address}` : address;
  if (!isIPv6(full) || full.includes('%')) throw new RangeError(`'${address}' is no IP address that can be told another server`);
  const [left = '', right] = withoutDots(full).split('::');
  const groups = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [head, tail] = [groups(left), groups(right ?? '')];
  const all = [...head, ...Array.from({ length: GROUPS - head.length - tail.length }, () => '0'), ...tail];
  const bytes = Buffer.alloc(2 * GROUPS);
  for (const [index, group] of all.entries()) bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  return bytes;
}

/** The last four bytes may stand as those of an IPv4 address. */
function withoutDots(address: string): string {
  const at = address.lastIndexOf(':') + 1;
  const [a, b, c, d] = address.slice(at).split('.').map(Number);
  if (a === undefined || b === undefined || c === undefined || d === undefined) return address;
  return `${address.slice(0, at)}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
}
