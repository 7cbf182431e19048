import { expect, it } from 'vitest';
import { createLogger } from '@kube-aurora/process';
import { RefusalLog } from './refusal-log.ts';

it('writes a line at most once a second for each reason, says how many it stands for, and counts them all', () => {
  let now = 0;
  const lines: { readonly reason: string; readonly more: { readonly alike: number; readonly connection: string } }[] = [];
  const logger = createLogger('test', {
    level: 'info',
    destination: { write: (line) => void lines.push(JSON.parse(line) as (typeof lines)[number]) },
  });
  const log = new RefusalLog({ logger, clock: { now: () => now } });
  const refusal = { part: 'frames', side: 'caller', who: 'somebody', address: '127.0.0.1', message: 'no' } as const;
  for (now = 0; now < 2500; now += 100) log.note({ ...refusal, reason: 'expired' });
  log.note({ ...refusal, reason: 'untrusted' });
  expect(lines.map(({ reason, more: { alike } }) => [reason, alike])).toEqual([
    ['expired', 0],
    ['expired', 9],
    ['expired', 9],
    ['untrusted', 0],
  ]);
  expect(lines[0]?.more.connection).toBe('frames');
  expect([...log.counts].map(({ reason, count }) => [reason, count])).toEqual([
    ['expired', 25],
    ['untrusted', 1],
  ]);
});
