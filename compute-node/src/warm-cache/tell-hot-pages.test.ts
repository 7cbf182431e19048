import { expect, test } from 'vitest';
import { isListDue } from './tell-hot-pages.ts';

test.each([
  ['nobody would be the next writer', undefined, undefined, 0, false],
  ['nobody would be it any more', undefined, { whom: 'demo-2/a', atMs: 0 }, 60_000, false],
  ['somebody is there who has had none', 'demo-2/a', undefined, 0, true],
  ['it had one a moment ago', 'demo-2/a', { whom: 'demo-2/a', atMs: 1000 }, 30_999, false],
  ['it had one half a minute ago', 'demo-2/a', { whom: 'demo-2/a', atMs: 1000 }, 31_000, true],
  ['another one is next: it may have come after the last list', 'demo-3/b', { whom: 'demo-2/a', atMs: 1000 }, 1001, true],
  ['the same instance has started again, with nothing', 'demo-2/b', { whom: 'demo-2/a', atMs: 1000 }, 1001, true],
] as const)('%s', (_what, whom, told, nowMs, isDue) => {
  expect(isListDue(whom, told, nowMs)).toBe(isDue);
});
