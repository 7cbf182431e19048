import { expect, it } from 'vitest';
import { parseEndpoints, splitAddress } from './endpoint-list.ts';

it('reads lists with zones and without', () => {
  expect(parseEndpoints('a=z1=h-a:7001/7004, b=z2=[::1]:7002/7005', 'zoned')).toEqual([
    { id: 'a', zone: 'z1', address: 'h-a:7001', framesAddress: 'h-a:7004', role: 'FULL' },
    { id: 'b', zone: 'z2', address: '[::1]:7002', framesAddress: '[::1]:7005', role: 'FULL' },
  ]);
  expect(parseEndpoints('a==h-a:7001/1', 'zoned')).toEqual([
    { id: 'a', zone: '', address: 'h-a:7001', framesAddress: 'h-a:1', role: 'FULL' },
  ]);
  expect(parseEndpoints('a=h-a:7001,b=h-b:7001', 'plain')).toEqual([
    { id: 'a', zone: '', address: 'h-a:7001', framesAddress: '', role: 'FULL' },
    { id: 'b', zone: '', address: 'h-b:7001', framesAddress: '', role: 'FULL' },
  ]);
});

it('reads what a segment is', () => {
  expect(parseEndpoints('a=z1=h-a:7001/7004=tail,b=z2=h-b:7001/7004=full', 'zoned').map(({ role }) => role)).toEqual(['TAIL', 'FULL']);
  expect(parseEndpoints('a=h-a:7001=full,b=h-b:7001=tail', 'plain').map(({ role }) => role)).toEqual(['FULL', 'TAIL']);
});

it('an address has its host and port', () => {
  expect(splitAddress('h-a:7001')).toEqual({ host: 'h-a', port: 7001 });
  expect(splitAddress('[::1]:7002')).toEqual({ host: '::1', port: 7002 });
});

it.each([
  ['a=h:7001/7004', 'zoned', "'a=h:7001/7004' is not id=zone=host:port/frames-port"],
  ['a=z=h:7001', 'zoned', "'a=z=h:7001' is not id=zone=host:port/frames-port"],
  ['a=z=h:7001/0', 'zoned', "'a=z=h:7001/0' is not"],
  ['a=z=h:7001/7001', 'zoned', 'frames have a port of their own'],
  ['a=z=h:7001', 'plain', "'a=z=h:7001' is not id=host:port"],
  ['a=h:7001/7004', 'plain', "'a=h:7001/7004' is not id=host:port"],
  ['a=z=h:7001/7004,', 'zoned', "'' is not id=zone=host:port/frames-port"],
  ['a=z=h', 'zoned', "'a=z=h' is not"],
  ['a=h:7001=half', 'plain', "'a=h:7001=half' is not id=host:port"],
  ['a=z=h:99999/1', 'zoned', "'a=z=h:99999/1' is not"],
  ['a=z=h:1/3,a=z=h:2/4', 'zoned', 'names the same id twice: a'],
  ['a=z=h:1/3,b=z=h:1/4', 'zoned', 'names the same address twice: h:1'],
  ['a=z=h:1/3,b=z=h:2/3', 'zoned', 'names the same frames address twice: h:3'],
] as const)('refuses %s (%s)', (text, form, why) => {
  expect(() => parseEndpoints(text, form)).toThrow(why);
});
