import { expect, it } from 'vitest';
import { ipv6Bytes } from './ip-address.ts';

it.each([
  ['10.1.2.3', '00000000000000000000ffff0a010203'],
  ['::ffff:10.1.2.3', '00000000000000000000ffff0a010203'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fd00::', 'fd000000000000000000000000000000'],
  ['fd00::12:0:abcd', 'fd00000000000000000000120000abcd'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
])('%s', (address, hex) => {
  expect(ipv6Bytes(address).toString('hex')).toBe(hex);
});

it.each(['', 'demo-1', '10.1.2', 'fe80::1%eth0'])("refuses '%s'", (address) => {
  expect(() => ipv6Bytes(address)).toThrow(`'${address}' is no IP address`);
});
