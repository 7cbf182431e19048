import { expect, test } from 'vitest';
import { WaitLoad } from './wait-load.ts';

test('each session at work counts for the time since the look before; after a gap for a second', () => {
  const load = new WaitLoad();
  load.note([{ type: 'CPU', event: 'CPU', sessions: 2 }], 1);
  load.note(
    [
      { type: 'CPU', event: 'CPU', sessions: 1 },
      { type: 'IO', event: 'WalSync', sessions: 4 },
    ],
    1.5,
  );
  load.note([{ type: 'IO', event: 'WalSync', sessions: 1 }], 3600);
  expect([...load.totals]).toEqual([
    { type: 'CPU', event: 'CPU', seconds: 3.5 },
    { type: 'IO', event: 'WalSync', seconds: 7 },
  ]);
  expect(load.recent).toEqual([
    { type: 'IO', event: 'WalSync', sessions: 1.667 },
    { type: 'CPU', event: 'CPU', sessions: 1 },
  ]);
});

test('recent is a minute of looks, and nothing after PostgreSQL was away; sums go on', () => {
  const load = new WaitLoad();
  expect(load.recent).toBeUndefined();
  load.note([{ type: 'CPU', event: 'CPU', sessions: 60 }], 1);
  for (let look = 0; look < 59; look++) load.note([], 1);
  expect(load.recent).toEqual([{ type: 'CPU', event: 'CPU', sessions: 1 }]);
  load.note([], 1);
  expect(load.recent).toEqual([]);
  load.forgetRecent();
  expect(load.recent).toBeUndefined();
  expect([...load.totals]).toEqual([{ type: 'CPU', event: 'CPU', seconds: 60 }]);
});

test('however many events an extension names, there are no more than 52 series, none changes its name, and nothing is left out', () => {
  const load = new WaitLoad();
  for (let round = 0; round < 2; round++) {
    for (let event = 0; event < 500; event++)
      load.note([{ type: event < 300 ? 'Extension' : `Type${event}`, event: `event${event}`, sessions: 1 }], 1);
  }
  const totals = [...load.totals];
  expect(totals.length).toBeLessThanOrEqual(53);
  expect(totals.slice(0, 40).map(({ event, seconds }) => [event, seconds])).toEqual(
    Array.from({ length: 40 }, (_, event) => [`event${event}`, 2]),
  );
  expect(totals.find(({ type, event }) => type === 'Extension' && event === 'other')?.seconds).toBe(2 * 260);
  expect(totals.reduce((sum, { seconds }) => sum + seconds, 0)).toBe(1000);
});
