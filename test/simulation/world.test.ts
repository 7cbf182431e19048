import { expect, test } from 'vitest';
import { type Owner, World } from './world.ts';

test('what a paused machine had set, and took back, does not happen when the machine goes on', async () => {
  const world = new World(1);
  const owner: Owner = { life: 0, pausedUntil: 50 };
  const happened: string[] = [];
  const takeBack = world.after(10, () => happened.push('taken back'), owner);
  world.after(10, () => happened.push('kept'), owner);
  // After the pause has begun to hold both up, and before it ends.
  world.after(20, takeBack);

  await world.run(100, () => undefined);

  expect(happened).toEqual(['kept']);
});

test('what was put off for a paused machine happens when it is let go on, not when it would have gone on', async () => {
  const world = new World(1);
  const owner = { life: 0, pausedUntil: 50 };
  const happened: [string, number][] = [];
  world.after(10, () => happened.push(['put off', world.now]), owner);
  world.after(60, () => happened.push(['due later', world.now]), owner);
  world.after(20, () => {
    owner.pausedUntil = 0;
    world.resumed(owner);
  });

  await world.run(100, () => undefined);

  expect(happened).toEqual([
    ['put off', 20],
    ['due later', 60],
  ]);
});
