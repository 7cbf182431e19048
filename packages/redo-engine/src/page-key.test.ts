import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeKey, encodeKey, PAGE_KEY_BYTES_MAX, PageKeyError, spaceBytes, spaceOfBytes, type PageKey } from './page-key.ts';

const bytes = fc.uint8Array({ minLength: 1, maxLength: PAGE_KEY_BYTES_MAX - 4 });
const page: fc.Arbitrary<PageKey> = fc.record({
  space: bytes.map((each) => spaceOfBytes(Buffer.from(each))),
  block: fc.nat({ max: 0xffff_ffff }),
});

describe('a page key', () => {
  it('is the same after it was bytes', () => {
    fc.assert(
      fc.property(page, (one) => {
        expect(decodeKey(encodeKey(one))).toEqual(one);
      }),
    );
    fc.assert(
      fc.property(bytes, (each) => {
        expect(spaceBytes(spaceOfBytes(Buffer.from(each)))).toEqual(Buffer.from(each));
      }),
    );
  });

  it('sorts as its bytes do, within spaces of one length', () => {
    const order = (a: PageKey, b: PageKey): number => (a.space === b.space ? a.block - b.block : a.space < b.space ? -1 : 1);
    const space = fc.uint8Array({ minLength: 3, maxLength: 3 }).map((each) => spaceOfBytes(Buffer.from(each)));
    const three = fc.record({ space, block: fc.nat({ max: 0xffff_ffff }) });
    fc.assert(
      fc.property(three, three, (a, b) => {
        expect(Math.sign(order(a, b)) + 0).toBe(Math.sign(Buffer.compare(encodeKey(a), encodeKey(b))) + 0);
      }),
    );
  });

  it('leaves room before it for who asks for it', () => {
    expect(encodeKey({ space: 'ab', block: 1 }, 2).subarray(2)).toEqual(Buffer.from([0x61, 0x62, 0, 0, 0, 1]));
  });

  it.each([0, 4, PAGE_KEY_BYTES_MAX + 1])('has not %i bytes', (length) => {
    expect(() => decodeKey(Buffer.alloc(length))).toThrow(PageKeyError);
  });
});
