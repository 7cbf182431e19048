import { expect, it } from 'vitest';
import { parseEndpoints } from './endpoint-list.ts';

it('reads lists with zones and without', () => {
  expect(parseEndpoints('a=z1=h-a:7001, b=z2=[::1]:7002', 'zoned')).toEqual([
    { id: 'a', zone: 'z1', address: 'h-a:7001' },
    { id: 'b', zone: 'z2', address: '[::1]:7002' },
  ]);
  expect(parseEndpoints('a==h-a:7001', 'zoned')).toEqual([{ id: 'a', zone: '', address: 'h-a:7001' }]);
  expect(parseEndpoints('a=h-a:7001', 'plain')).toEqual([{ id: 'a', zone: '', address: 'h-a:7001' }]);
});

it.each([
  ['a=h:7001', 'zoned', "'a=h:7001' is not id=zone=host:port"],
  ['a=z=h:7001', 'plain', "'a=z=h:7001' is not id=host:port"],
  ['a=z=h:7001,', 'zoned', "'' is not id=zone=host:port"],
  ['a=z=h', 'zoned', "'a=z=h' is not"],
  ['a=z=h:99999', 'zoned', "'a=z=h:99999' is not"],
  ['a=z=h:1,a=z=h:2', 'zoned', 'names the same id twice: a'],
  ['a=z=h:1,b=z=h:1', 'zoned', 'names the same address twice: h:1'],
] as const)('refuses %s (%s)', (text, form, why) => {
  expect(() => parseEndpoints(text, form)).toThrow(why);
});
