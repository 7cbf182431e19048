import { expect, it } from 'vitest';
import { coreWait, coreWaitIn } from './core-wait.ts';

it('reads what Linux says of a thread', () => {
  expect(coreWaitIn('514803 27248562 2\n')).toBe(27.248562);
  for (const other of ['', '514803 27248562', '0 0 0 0\n', 'no 1 2\n']) expect(coreWaitIn(other)).toBeUndefined();
});

it('says what this thread has waited so far, and nothing where the system does not tell', () => {
  const waited = coreWait();
  const before = waited();
  expect(before).toBeGreaterThanOrEqual(0);
  expect(waited()).toBeGreaterThanOrEqual(before);
  expect(coreWait('/proc/no-such-file')()).toBe(0);
  expect(coreWait('/proc/self/status')()).toBe(0);
});
