import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { Lsn } from '@kube-aurora/pg-format';
import {
  encodeKeepalive,
  parseReplicationCommand,
  ReplicationProtocolError,
  StandbyParser,
  type StandbyMessage,
} from './replication-messages.ts';

const startup = (code: number, body = ''): Buffer => {
  const bytes = Buffer.alloc(8 + body.length);
  bytes.writeUInt32BE(bytes.length, 0);
  bytes.writeUInt32BE(code, 4);
  bytes.write(body, 8, 'latin1');
  return bytes;
};
const message = (type: string, body: Buffer | string = ''): Buffer => {
  const head = Buffer.alloc(5);
  head.write(type, 'latin1');
  head.writeUInt32BE(4 + body.length, 1);
  return Buffer.concat([head, Buffer.from(body as string)]);
};
const VERSION_3 = 0x0003_0000;
const BEGUN = startup(VERSION_3, 'user\0postgres\0replication\0true\0\0');

function position(write: bigint, flush: bigint, apply: bigint, wants = 0): Buffer {
  const body = Buffer.alloc(34);
  body.write('r');
  [write, flush, apply].forEach((each, at) => body.writeBigUInt64BE(each, 1 + 8 * at));
  body.writeUInt8(wants, 33);
  return message('d', body);
}

/** What the parser gives for the bytes in pieces of so many. */
function parse(bytes: Buffer, pieceBytes: number): StandbyMessage[] {
  const parser = new StandbyParser();
  const messages: StandbyMessage[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) messages.push(...parser.push(bytes.subarray(at, at + pieceBytes)));
  return messages;
}

it('what a walreceiver says, however it is cut', () => {
  const feedback = Buffer.alloc(25);
  feedback.write('h');
  [700, 1, 690, 2].forEach((each, at) => feedback.writeUInt32BE(each, 9 + 4 * at));
  const all = Buffer.concat([
    startup(80_877_104),
    startup(80_877_103),
    BEGUN,
    message('Q', 'IDENTIFY_SYSTEM\0'),
    position(30n, 20n, 10n, 1),
    message('d', feedback),
    message('c'),
    message('X'),
  ]);
  const expected = [
    { kind: 'encryption' },
    { kind: 'encryption' },
    { kind: 'startup', minorVersion: 0, parameters: new Map(Object.entries({ user: 'postgres', replication: 'true' })) },
    { kind: 'command', text: 'IDENTIFY_SYSTEM' },
    { kind: 'position', writeLsn: 30n, flushLsn: 20n, applyLsn: 10n, wantsAnswer: true },
    { kind: 'feedback', xmin: 700, epoch: 1, catalogXmin: 690, catalogEpoch: 2 },
    { kind: 'copyDone' },
    { kind: 'terminate' },
  ];
  for (const pieceBytes of [1, 2, 7, 50, all.length]) expect(parse(all, pieceBytes)).toEqual(expected);
});

it.each<[string, Buffer, string]>([
  ['a version that is not ours', startup(0x0002_0000), 'version'],
  ['a startup packet of no length', startup(VERSION_3).fill(0, 0, 4), 'length'],
  ['text', Buffer.from('GET / HTTP/1.1\r\n\r\n'), 'length'],
  ['a message that is too long', Buffer.concat([BEGUN, Buffer.from([0x51, 0x7f, 0xff, 0xff, 0xff])]), 'length'],
  ['a message of no length', Buffer.concat([BEGUN, Buffer.from([0x51, 0, 0, 0, 0])]), 'length'],
  ['an extended query', Buffer.concat([BEGUN, message('P', 'x')]), 'type'],
  ['a position cut short', Buffer.concat([BEGUN, message('d', 'r1234')]), 'CopyData'],
  ['CopyData of nothing', Buffer.concat([BEGUN, message('d')]), 'CopyData'],
  ['CopyData of another kind', Buffer.concat([BEGUN, message('d', 'w')]), 'CopyData'],
])('refuses %s', (_, bytes, field) => {
  expect(() => parse(bytes, 3)).toThrow(expect.objectContaining({ name: 'ReplicationProtocolError', field }) as Error);
});

it('any bytes: messages or a refusal, the same however they are cut, and never much kept', () => {
  const bytes = fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array));
  const type = fc.constantFrom('Q', 'd', 'c', 'X', 'P', '\0');
  const part = fc.oneof(
    bytes,
    fc.constant(BEGUN),
    fc.record({ type, body: bytes }).map((each) => message(each.type, each.body)),
    fc.nat(0xffff_ffff).map((code) => startup(code)),
  );
  const outcome = (all: Buffer, pieceBytes: number): unknown => {
    try {
      return parse(all, pieceBytes);
    } catch (error) {
      if (error instanceof ReplicationProtocolError) return error.field;
      throw error;
    }
  };
  fc.assert(
    fc.property(fc.array(part, { maxLength: 6 }), fc.integer({ min: 1, max: 80 }), (parts, pieceBytes) => {
      const all = Buffer.concat(parts);
      const whole = outcome(all, all.length || 1);
      // Cut in pieces, messages before what is refused are given as well; what it comes to is the same.
      expect(outcome(all, pieceBytes)).toEqual(whole);
    }),
  );
});

it('commands', () => {
  expect(parseReplicationCommand('IDENTIFY_SYSTEM')).toEqual({ kind: 'identifySystem' });
  expect(parseReplicationCommand('START_REPLICATION 16/B3000000 TIMELINE 1')).toEqual({
    kind: 'startReplication',
    startLsn: 0x16_b300_0000n,
    timeline: 1,
  });
  expect(parseReplicationCommand('START_REPLICATION SLOT "mine" PHYSICAL 0/1000000')).toEqual({
    kind: 'startReplication',
    startLsn: 0x100_0000n,
    timeline: undefined,
  });
  for (const other of ['START_REPLICATION SLOT "x" LOGICAL 0/0 ()', 'SELECT 1', 'BASE_BACKUP', '', 'START_REPLICATION 0/123456789']) {
    expect(parseReplicationCommand(other)).toEqual({ kind: 'unknown' });
  }
});

it('a keepalive: its bytes', () => {
  const bytes = encodeKeepalive(0x1_0000_0002n as Lsn, 946_684_800_001, true);
  expect(bytes.toString('hex')).toBe(`64${'00000016'}6b${'0000000100000002'}${'00000000000003e8'}01`);
});
