import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { PlaceFile, readPlace } from './place-settings.ts';

const GIVEN = { tier: 1, failoverAfterMs: 2000, drainMs: 1500, warmPagesPerSecond: 0 };
let directory: string;
beforeEach(() => (directory = mkdtempSync(join(tmpdir(), 'ka-place-'))));
afterEach(() => rmSync(directory, { recursive: true }));

test('says what holds for an instance, and what was given where it says nothing', () => {
  const read = (text: string) => readPlace(text, { instance: 'demo-2', given: GIVEN, leaseMs: 2000 });
  expect(read('{"afterMs":5000,"tiers":{"demo-2":0,"demo-3":7}}')).toEqual({ ...GIVEN, tier: 0, failoverAfterMs: 5000 });
  expect(read('{"afterMs":5000,"tiers":{"demo-3":7}}')).toEqual({ ...GIVEN, failoverAfterMs: 5000 });
  expect(read('{"drainMs":0}')).toEqual({ ...GIVEN, drainMs: 0 });
  expect(read('{}')).toEqual(GIVEN);
  expect(read('{"afterMs":"5s"}')).toContain('afterMs must be a whole number from 500 to 60000');
  expect(read('{"afterMs":900}')).toContain('at least half of the lease');
  expect(read('{"tiers":{"demo-2":16}}')).toBe('tiers.demo-2 must be a whole number from 0 to 15, not 16');
  expect(read('{"drainMs":10001}')).toBe('drainMs must be a whole number from 0 to 10000, not 10001');
  expect(read('{"warmPagesPerSecond":250}')).toEqual({ ...GIVEN, warmPagesPerSecond: 250 });
  expect(read('{"warmPagesPerSecond":-1}')).toBe('warmPagesPerSecond must be a whole number from 0 to 1000000, not -1');
  expect(read('{')).toMatch(/JSON/);
});

test('a changed file holds while we run; one that makes no sense changes nothing', async () => {
  const looks: (() => void)[] = [];
  const clock = { ...systemClock(), after: (_ms: number, work: () => void) => (looks.push(work), { cancel: () => undefined }) };
  const write = (value: unknown): void => writeFileSync(join(directory, 'failover.json'), JSON.stringify(value));
  const file = await PlaceFile.open({ directory, instance: 'demo-2', given: GIVEN, leaseMs: 2000, clock, logger: silentLogger() });
  /** Another look, and what holds after it. */
  const next = async () => {
    looks.shift()?.();
    await expect.poll(() => looks.length).toBe(1);
    const { tier, failoverAfterMs, drainMs, warmPagesPerSecond } = file;
    return { tier, failoverAfterMs, drainMs, warmPagesPerSecond };
  };
  expect(await next()).toEqual(GIVEN);
  write({ afterMs: 3000, tiers: { 'demo-2': 0 } });
  expect(await next()).toEqual({ ...GIVEN, tier: 0, failoverAfterMs: 3000 });
  const changed = { tier: 0, failoverAfterMs: 3000, drainMs: 250, warmPagesPerSecond: 500 };
  write({ afterMs: 3000, drainMs: 250, tiers: { 'demo-2': 0 }, warmPagesPerSecond: 500 });
  expect(await next()).toEqual(changed);
  write({ afterMs: 1, tiers: { 'demo-2': 5 }, warmPagesPerSecond: 0 });
  expect(await next()).toEqual(changed);
  rmSync(join(directory, 'failover.json'));
  expect(await next()).toEqual(GIVEN);
  file.stop();
});
