import { expect, it } from 'vitest';
import { breakingChanges } from './breaking.ts';
import { readSchema } from './schema.ts';

const BEFORE = `syntax = "proto3";
package kubeaurora.v1;
service S {
  rpc Get(Ask) returns (stream Answer);
  rpc Put(Ask) returns (Answer);
}
message Ask {
  reserved 9;
  fixed64 lsn = 1;
  uint32 count = 2;
}
message Answer {
  enum Result { OK = 0; GAP = 1; }
  Result result = 1;
  repeated Ask asks = 2;
}
`;

/** What is said of the protocol with one piece of its text replaced. */
function changed(piece: string, by: string): string[] {
  expect(BEFORE).toContain(piece);
  return breakingChanges(readSchema([BEFORE]), readSchema([BEFORE.replace(piece, by)]));
}

it.each([
  ['nothing', 'fixed64 lsn = 1;', 'fixed64 lsn = 1;'],
  ['a field with another name', 'fixed64 lsn = 1;', 'fixed64 recover_to_lsn = 1;'],
  ['a field that may be absent', 'fixed64 lsn = 1;', 'optional fixed64 lsn = 1;'],
  ['a new field', 'uint32 count = 2;', 'uint32 count = 2; bytes key = 3;'],
  ['a field whose number is reserved', 'reserved 9;\n  fixed64 lsn = 1;', 'reserved 1, 9;'],
  ['a wider reservation', 'reserved 9;', 'reserved 9 to 12;'],
  ['an enum value with another name', 'GAP = 1;', 'HOLE = 1;'],
  ['an enum value whose number is reserved', 'GAP = 1;', 'reserved 1;'],
  ['a new RPC and message', 'rpc Put', 'rpc New(More) returns (More);\n  rpc Put'],
])('allows %s', (_what, piece, by) => {
  expect(
    by.includes('More')
      ? breakingChanges(readSchema([BEFORE]), readSchema([`${BEFORE.replace(piece, by)}message More {}`]))
      : changed(piece, by),
  ).toEqual([]);
});

it.each([
  ['a removed field', 'uint32 count = 2;', '', "Ask: field count (number 2) is gone; write 'reserved 2;' there"],
  ['a renumbered field', 'uint32 count = 2;', 'uint32 count = 3;', 'Ask.count: its number was 2 and is 3; give it its number back'],
  [
    'a field of another type',
    'fixed64 lsn = 1;',
    'uint32 lsn = 1;',
    'Ask.lsn: number 1 was fixed64 lsn and is uint32; leave it, or reserve 1',
  ],
  ['a list that is one no more', 'repeated Ask asks', 'Ask asks', 'Answer.asks: number 2 was repeated Ask asks and is Ask'],
  ['a field in the place of another', 'fixed64 lsn = 1;', 'string name = 1;', 'Ask.name: number 1 was fixed64 lsn and is string'],
  ['a number taken up again', 'reserved 9;', 'bytes key = 9;', 'Ask: number 9 was given up once and must stay reserved'],
  ['a removed enum value', ' GAP = 1;', '', "Answer.Result: value GAP (number 1) is gone; write 'reserved 1;' there"],
  ['a renumbered enum value', 'GAP = 1;', 'GAP = 2;', 'Answer.Result.GAP: its number was 1 and is 2; give it its number back'],
  ['a removed RPC', '  rpc Put(Ask) returns (Answer);\n', '', 'S.Put: is gone; a caller of the release before still calls it'],
  [
    'an RPC that streams no more',
    'returns (stream Answer)',
    'returns (Answer)',
    'S.Get: was (Ask) returns (stream Answer) and is (Ask) returns (Answer)',
  ],
])('refuses %s, and says what to do', (_what, piece, by, said) => {
  const breaks = changed(piece, by);
  expect(breaks).toHaveLength(1);
  expect(breaks[0]).toContain(said);
});

it.each([
  ['a removed message', 'message Ask', 'message Question', 'Ask', 'Question'],
  ['another package', 'kubeaurora.v1', 'kubeaurora.v2', 'kubeaurora.v1', 'kubeaurora.v2'],
])('refuses %s', (_what, _piece, _by, old, now) => {
  const text = BEFORE.replaceAll(new RegExp(`\\b${old.replace('.', '\\.')}\\b`, 'g'), now);
  expect(breakingChanges(readSchema([BEFORE]), readSchema([text])).length).toBeGreaterThan(0);
});

it.each([
  ['sint64 lsn = 1;', 'Ask.lsn: sint64 is not generated'],
  ['map<string, uint32> lsn = 1;', 'Ask.lsn: maps are not generated'],
  ['oneof one { uint32 lsn = 1; }', 'Ask.lsn: oneof is not generated'],
  ['repeated uint32 lsn = 1;', 'Ask.lsn: lists of scalars are not generated'],
])('refuses to generate %s rather than pass over it', (field, said) => {
  expect(() => readSchema([BEFORE.replace('fixed64 lsn = 1;', field)])).toThrow(said);
});
