import { expect, test } from 'vitest';
import { openingMessage, openingProgress } from './opening-steps.ts';

test('an opening says how far it is, in order', () => {
  const image = openingProgress('image', Date.UTC(2026, 0, 2, 3, 4, 5));
  expect(image).toEqual({ step: 'image', number: 2, steps: 7, since: '2026-01-02T03:04:05.000Z' });
  expect(openingMessage(image)).toMatch(/^fetching what PostgreSQL starts from.* \(step 2 of 7\)$/);
  const numbers = (['volume', 'image', 'directory', 'firstBatch', 'postgres', 'roles', 'lease'] as const).map(
    (step) => openingProgress(step, 0).number,
  );
  expect(numbers).toEqual([1, 2, 3, 4, 5, 6, 7]);
});
