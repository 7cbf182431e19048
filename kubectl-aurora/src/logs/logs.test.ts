import { describe, expect, test } from 'vitest';
import { VIEWS } from '../testing/views.ts';
import { choosePods, countOf, secondsOf } from './choose-pods.ts';
import { byTime, formatEntry, readLogLine, type LogFormat } from './log-entry.ts';

const PIPE = { width: Infinity, colour: false } as const;
const show = (line: string, how: LogFormat = 'text'): string => formatEntry(readLogLine('demo-1', line), 8, how, PIPE);

describe('a line of a log', () => {
  test.each([
    [
      '2026-11-27T13:05:45.416Z {"level":"info","time":"2026-11-27T13:05:45.416Z","component":"compute-agent","epoch":"2","pid":246,"msg":"PostgreSQL is up"}',
      'demo-1   | 13:05:45 info  PostgreSQL is up  epoch=2 pid=246',
    ],
    [
      '2026-11-27T13:05:45.416Z {"level":"error","time":"2026-11-27T13:05:45.416Z","msg":"a step failed","err":{"message":"no route","stack":"long"}}',
      'demo-1   | 13:05:45 error a step failed  no route',
    ],
    [
      '2026-11-27T13:05:45.416Z {"level":"warn","time":"2026-11-27T13:05:45.416Z","component":"compute-agent","cluster":"default/demo","instance":"demo-1","part":"postgres","epoch":"2","postgres":{"severity":"ERROR","sqlState":"42P01","user":"app","database":"app","pid":7,"session":"a.b","sessionLine":1,"backend":"client backend","statement":"select 1 from t"},"more":{"ms":3},"msg":"relation \\"t\\" does not exist"}',
      'demo-1   | 13:05:45 warn  relation "t" does not exist  part=postgres epoch=2 sqlState=42P01 user=app database=app statement=select 1 from t ms=3',
    ],
    ['2026-11-27T13:05:45.416Z not json', 'demo-1   | 13:05:45 not json'],
    ['2026-11-27T13:05:45.416Z {"broken', 'demo-1   | 13:05:45 {"broken'],
    ['2026-11-27T13:05:45.416Z null', 'demo-1   | 13:05:45 null'],
  ])('%s', (line, expected) => {
    expect(show(line)).toBe(expected);
  });

  test('as the program wrote it', () => {
    expect(show('2026-11-27T13:05:45.416Z {"a": 1}', 'raw')).toBe('demo-1   | {"a": 1}');
  });

  test('as JSON, each line an object for itself, also of what is none', () => {
    expect(show('2026-11-27T13:05:45.416Z {"a": 1}', 'json')).toBe('{"a": 1}');
    expect(show('2026-11-27T13:05:45.416Z "no', 'json')).toBe('{"time":"2026-11-27T13:05:45.416Z","instance":"demo-1","msg":"\\"no"}');
  });

  test('several pods’ come by time, to whatever part of a second they have it', () => {
    const entries = [
      ['a', '2026-11-27T13:05:45.5Z'],
      ['b', '2026-11-27T13:05:45Z'],
      ['c', '2026-11-27T13:05:45.123456789Z'],
      ['d', '2026-11-27T13:05:45.123Z'],
    ].map(([pod = '', time = '']) => ({ pod, time, text: '' }));
    expect(byTime(entries).map(({ pod }) => pod)).toEqual(['b', 'd', 'c', 'a']);
  });
});

describe('whose logs', () => {
  const { cluster, pods = [] } = VIEWS.healthy;
  const names = (choice: { instance?: string; segment?: string; operator?: boolean }): string[] =>
    choosePods(cluster, pods, { instance: choice.instance, segment: choice.segment, operator: choice.operator ?? false }).map(
      ({ metadata }) => metadata.name,
    );

  test('all pods’, or those that are named by name or number', () => {
    expect(names({})).toHaveLength(9);
    expect(names({ instance: '2' })).toEqual(['demo-2']);
    expect(names({ segment: 'demo-storage-4' })).toEqual(['demo-storage-4']);
    expect(names({ instance: 'all' })).toEqual(['demo-1', 'demo-2', 'demo-3']);
    expect(names({ instance: '1', segment: '0' })).toEqual(['demo-1', 'demo-storage-0']);
    expect(names({ operator: true })).toEqual([]);
  });

  test('a name that there is not is refused with those that there are', () => {
    expect(() => names({ instance: '7' })).toThrow('cluster demo has no instance "7": there are demo-1, demo-2, demo-3');
    expect(() => choosePods(cluster, [], { instance: '1', segment: undefined, operator: false })).toThrow('no such pod at present');
  });

  test('numbers and times', () => {
    expect([secondsOf('since', '90s'), secondsOf('since', '10m'), secondsOf('since', '2h'), countOf('tail', '0')]).toEqual([
      90, 600, 7200, 0,
    ]);
    for (const wrong of ['', '10', '0s', '-1s', '1w']) expect(() => secondsOf('since', wrong)).toThrow('invalid argument');
    for (const wrong of ['', 'x', '-1', '1.5']) expect(() => countOf('tail', wrong)).toThrow('invalid argument');
  });
});
