import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatTable } from './result-table.ts';
import { isBlank, splitSql } from './split-sql.ts';

describe('splitSql', () => {
  it.each([
    ['select 1; select 2;', ['select 1;', 'select 2;'], ''],
    ["insert into t values ('a;b''c;');", ["insert into t values ('a;b''c;');"], ''],
    ["select E'it\\';s'; x", ["select E'it\\';s';"], ' x'],
    ['select "a;b"; -- c;d\nselect 2;', ['select "a;b";', '-- c;d\nselect 2;'], ''],
    ['/* a; /* b; */ c; */ select 1;', ['/* a; /* b; */ c; */ select 1;'], ''],
    ['do $x$ begin; $$ ; end $x$;', ['do $x$ begin; $$ ; end $x$;'], ''],
    ['select $1; select a$b$;c;', ['select $1;', 'select a$b$;', 'c;'], ''],
    ['create rule r as on insert to t do (select 1; select 2);', ['create rule r as on insert to t do (select 1; select 2);'], ''],
    ["select 'open; select 2;", [], "select 'open; select 2;"],
    [';;', [], ''],
  ])('%s', (sql, statements, rest) => {
    expect(splitSql(sql)).toEqual({ statements, rest });
  });
  it('loses nothing of any text', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom("'", '"', ';', '--', '\n', '/*', '*/', '$$', '$a$', '(', ')', 'E', 'x', ' ')), (parts) => {
        const sql = parts.join('');
        const { statements, rest } = splitSql(sql);
        const glued = [...statements, rest].join('').replaceAll(/[\s;]/g, '');
        expect(glued).toBe(sql.replaceAll(/[\s;]/g, ''));
      }),
    );
  });
  it('knows comments from text', () => {
    expect(isBlank(' -- x\n /* y */ ')).toBe(true);
    expect(isBlank('-- x\n1')).toBe(false);
  });
});

describe('formatTable', () => {
  const table = {
    columns: [
      { name: 'id', typeOid: 23 },
      { name: 'name', typeOid: 25 },
    ],
    rows: [
      ['1', 'ann'],
      ['20', null],
    ],
  };
  it('looks like psql', () => {
    expect(formatTable(table, { tuplesOnly: false, unaligned: false, expanded: false })).toBe(
      ' id | name \n----+------\n  1 | ann\n 20 | \n(2 rows)\n',
    );
    expect(formatTable(table, { tuplesOnly: true, unaligned: true, expanded: false })).toBe('1|ann\n20|');
  });
});
