import fc from 'fast-check';
import { expect, test } from 'vitest';
import { crc32c, crc32cRange } from './crc32c.ts';

// RFC 3720, appendix B.4.
test.each([
  ['32 zero bytes', Buffer.alloc(32), 0x8a9136aa],
  ['32 bytes of 0xff', Buffer.alloc(32, 0xff), 0x62a8ab43],
  ['the numbers 0 to 31', Buffer.from(Array.from({ length: 32 }, (_, i) => i)), 0x46dd794e],
  ['the numbers 31 to 0', Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), 0x113fdb5c],
  ['the digits 1 to 9', Buffer.from('123456789'), 0xe3069283],
])('checksum of %s', (_, bytes, expected) => {
  expect(crc32c(bytes)).toBe(expected);
});

test('pieces of any size give the checksum of the whole, by table and by native code alike', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 500, size: 'max' }), { maxLength: 5 }), (pieces) => {
      const whole = Buffer.concat(pieces);
      let byteByByte = 0;
      for (let at = 0; at < whole.length; at++) byteByByte = crc32cRange(whole, at, at + 1, byteByByte);
      expect(crc32c(...pieces)).toBe(byteByByte);
      expect(crc32c(whole)).toBe(byteByByte);
    }),
  );
});

test('a range outside the buffer is refused', () => {
  expect(() => crc32cRange(Buffer.alloc(4), 2, 5)).toThrow(RangeError);
});
