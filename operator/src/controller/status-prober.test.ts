import { describe, expect, test, vi } from 'vitest';
import type { StatusWait } from '../kube/fetch-status.ts';
import { StatusProber, type ProbeTarget } from './status-prober.ts';

const AGENT: ProbeTarget = { kind: 'agent', name: 'demo-2', uid: 'u2', ip: '10.0.0.2' };
const body = (version: string, role: string) => ({ version, phase: 'running', role, configuredRole: 'auto', epoch: 4 });

/** A prober whose agent answers at once, or when the test says so. */
function probing() {
  let now = 0;
  let present: unknown = body('a/1', 'reader');
  const timers: { run: () => void; at: number }[] = [];
  const news = vi.fn();
  const waiting: { wait: StatusWait; answer: PromiseWithResolvers<unknown> }[] = [];
  let asked = 0;
  const prober = new StatusProber({
    fetchStatus: (_target, wait) => {
      if (wait === undefined) {
        asked++;
        return Promise.resolve(present);
      }
      const answer = Promise.withResolvers<unknown>();
      wait.signal.addEventListener('abort', () => answer.reject(new Error('aborted')));
      waiting.push({ wait, answer });
      return answer.promise;
    },
    onNews: news,
    setTimer: (run, delayMs) => {
      const timer = { run, at: now + delayMs };
      timers.push(timer);
      return { cancel: () => void timers.splice(timers.indexOf(timer), timers.includes(timer) ? 1 : 0) };
    },
    now: () => now,
  });
  const settle = () => new Promise<void>((resolve) => setImmediate(resolve));
  return {
    prober,
    news,
    waiting,
    asked: () => asked,
    say: (status: unknown) => void (present = status),
    pass: async (ms: number) => {
      now += ms;
      for (const timer of timers.splice(0).sort((a, b) => a.at - b.at)) {
        if (timer.at <= now) timer.run();
        else timers.push(timer);
      }
      await settle();
      await settle();
    },
    settle,
  };
}

describe('an agent whose status has a version', () => {
  test('is waited at, and what it says then is news at once', async () => {
    const { prober, news, waiting, pass, settle, asked } = probing();
    prober.track('ns/demo', [AGENT], 'v', 10_000);
    await pass(0);
    expect(waiting.map(({ wait }) => wait.after)).toEqual(['a/1']);
    news.mockClear();
    waiting[0]?.answer.resolve(body('a/2', 'writer'));
    await settle();
    expect(news.mock.calls).toEqual([['ns/demo', true]]);
    expect(prober.reports('ns/demo').agents.get('demo-2')?.role).toEqual('writer');
    await pass(50);
    // The next question goes on from there; the ordinary one was asked once.
    expect([waiting.map(({ wait }) => wait.after), asked()]).toEqual([['a/1', 'a/2'], 1]);
  });

  test('is asked at once when the connection breaks, and not waited at again for a moment', async () => {
    const { prober, waiting, pass, settle, asked } = probing();
    prober.track('ns/demo', [AGENT], 'v', 10_000);
    await pass(0);
    waiting[0]?.answer.reject(new Error('reset'));
    await settle();
    await pass(0);
    expect([asked(), waiting.length]).toEqual([2, 1]);
    await pass(10_000);
    expect([asked(), waiting.length]).toEqual([3, 2]);
  });

  test('is let go of with its pod', async () => {
    const { prober, waiting, pass } = probing();
    prober.track('ns/demo', [AGENT], 'v', 10_000);
    await pass(0);
    prober.track('ns/demo', [], 'v', 10_000);
    expect(waiting[0]?.wait.signal.aborted).toBe(true);
    prober.track('ns/demo', [{ ...AGENT, uid: 'u3' }], 'v', 10_000);
    await pass(0);
    prober.stop();
    expect(waiting[1]?.wait.signal.aborted).toBe(true);
  });
});

test('an agent of a release without versions is asked as before', async () => {
  const { prober, waiting, pass, say, asked } = probing();
  say({ phase: 'running' });
  prober.track('ns/demo', [AGENT], 'v', 10_000);
  await pass(0);
  await pass(10_000);
  expect([asked(), waiting.length]).toEqual([2, 0]);
});
