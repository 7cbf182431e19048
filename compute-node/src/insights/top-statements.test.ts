import { expect, test } from 'vitest';
import { shownText } from './top-statements.ts';

test.each([
  ['select * from t where id = $1', 'select * from t where id = $1'],
  ["alter role app password 'secret'", 'alter role'],
  ["/* by 'secret' */ ALTER ROLE app PASSWORD 'secret'", 'ALTER ROLE'],
  ['/* token=secret */ select 1 -- secret\n from t', 'select 1 from t'],
  ["do $$ begin perform 'secret'; end $$", 'do $$'],
  ['COMMIT', 'COMMIT'],
  ['/* never ends select $1', ''],
  [`select ${'a'.repeat(400)}`, `select ${'a'.repeat(293)}…`],
])('of %s everybody may see: %s', (text, shown) => {
  expect(shownText(text)).toBe(shown);
});
