import { expect, test } from 'vitest';
import fc from 'fast-check';
import {
  encodeStartup,
  negotiation,
  packetLength,
  passwordLength,
  PASSWORD_BYTES_MAX,
  readFirstPacket,
  readPassword,
} from './client-start.ts';

function packet(version: number, ...texts: readonly string[]): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(version);
  return Buffer.concat([head, Buffer.from(`${texts.map((text) => `${text}\0`).join('')}\0`, 'utf8')]);
}

test('a startup packet says who wants in, and where', () => {
  expect(readFirstPacket(packet(0x3_0000, 'user', 'zoë', 'database', 'shop', 'options', '-c a=b'))).toEqual({
    kind: 'startup',
    startup: {
      minor: 0,
      role: 'zoë',
      parameters: [
        ['database', 'shop'],
        ['options', '-c a=b'],
      ],
      unknownOptions: [],
    },
  });
});

test.each([
  ['no role', packet(0x3_0000, 'database', 'shop'), '28000'],
  ['an empty role', packet(0x3_0000, 'user', ''), '28000'],
  ['a role that PostgreSQL would cut', packet(0x3_0000, 'user', 'a'.repeat(64)), '28000'],
  ['a value without its end', packet(0x3_0000, 'user', 'app').subarray(0, -1), '08P01'],
  ['something after the end', Buffer.concat([packet(0x3_0000, 'user', 'app'), Buffer.from('x\0')]), '08P01'],
  ['protocol 2', packet(0x2_0000, 'user', 'app'), '0A000'],
  ['protocol 4', packet(0x4_0000, 'user', 'app'), '0A000'],
])('%s is refused', (_what, content, sqlState) => {
  expect(readFirstPacket(content)).toMatchObject({ kind: 'refused', refusal: { sqlState } });
});

function startupOf(content: Buffer) {
  const read = readFirstPacket(content);
  if (read.kind !== 'startup') throw new Error(`not a startup: ${read.kind}`);
  return read.startup;
}

test('PostgreSQL gets the role that was checked, once, and nothing to negotiate', () => {
  const asked = startupOf(packet(0x3_0007, 'user', 'postgres', '_pq_.new', 'on', 'user', 'app', 'client_encoding', 'UTF8'));
  expect(negotiation(asked)?.toString('latin1')).toBe('v\0\0\0\x15\0\x03\0\x02\0\0\0\x01_pq_.new\0');
  const passed = encodeStartup(asked);
  expect(packetLength(passed)).toBe(passed.length);
  const seen = startupOf(passed.subarray(4));
  expect(seen).toMatchObject({ minor: 2, role: 'app', unknownOptions: [] });
  expect(seen.parameters.filter(([name]) => name === 'user')).toEqual([]);
  expect(negotiation(seen)).toBeUndefined();
  expect(passed.toString('latin1').match(/\0user\0/g) ?? passed.toString('latin1').match(/user\0/g)).toHaveLength(1);
});

test('what a client may send reaches PostgreSQL byte for byte, as the same role', () => {
  const text = fc
    .uint8Array({ minLength: 1, maxLength: 20 })
    .map((bytes) => Buffer.from(bytes.map((byte) => byte || 1)).toString('latin1'));
  const name = fc.stringMatching(/^[a-z]{1,8}$/).filter((one) => one !== 'user' && one !== 'database');
  fc.assert(
    fc.property(
      fc.array(fc.tuple(name, text), { maxLength: 5 }),
      fc.string({ minLength: 1, maxLength: 15 }).filter((role) => !role.includes('\0')),
      (more, role) => {
        const content = Buffer.concat([
          Buffer.from([0, 3, 0, 0]),
          Buffer.from(
            `user\0${Buffer.from(role, 'utf8').toString('latin1')}\0${more
              .flat()
              .map((one) => `${one}\0`)
              .join('')}\0`,
            'latin1',
          ),
        ]);
        const asked = startupOf(content);
        expect(startupOf(encodeStartup(asked).subarray(4))).toEqual(asked);
        expect(asked.parameters.filter(([one]) => one !== 'database')).toEqual(more);
        expect(asked.role).toBe(Buffer.from(role, 'utf8').toString('utf8'));
      },
    ),
  );
});

test('whatever comes is read, or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 4, maxLength: 300 }), fc.constantFrom(0x3_0000, 0x3_0002, undefined), (bytes, version) => {
      const content = Buffer.from(bytes);
      if (version !== undefined) content.writeUInt32BE(version);
      const read = readFirstPacket(content);
      if (read.kind === 'startup') {
        expect(read.startup.role).not.toBe('');
        expect(startupOf(encodeStartup(read.startup).subarray(4)).role).toBe(read.startup.role);
      }
    }),
  );
});

test('a length is bounded before anything is kept', () => {
  const head = (length: number, type = 0x70): Buffer => {
    const bytes = Buffer.from([type, 0, 0, 0, 0]);
    bytes.writeUInt32BE(length, 1);
    return bytes;
  };
  expect([0, 7, 10_001, 0xffff_ffff].map((length) => packetLength(head(length).subarray(1)))).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(packetLength(head(8).subarray(1))).toBe(8);
  expect([4, PASSWORD_BYTES_MAX + 5, 0xffff_ffff].map((length) => passwordLength(head(length)))).toEqual([undefined, undefined, undefined]);
  expect(passwordLength(head(9))).toBe(5);
  expect(passwordLength(head(9, 0x51))).toBeUndefined();
  expect(readPassword(Buffer.from('abc\0'))).toBe('abc');
  expect([Buffer.from('abc'), Buffer.from('a\0c\0')].map(readPassword)).toEqual([undefined, undefined]);
});
