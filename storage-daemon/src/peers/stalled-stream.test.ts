import { systemClock } from '@kube-aurora/clock';
import { describe, expect, it } from 'vitest';
import { unstalled } from './stalled-stream.ts';

const clock = systemClock();

/** Gives `count` numbers, then nothing until it is cancelled. */
function stream(count: number, thenHang: boolean, cancelled: { was: boolean }): (signal: AbortSignal) => AsyncIterable<number> {
  return async function* (signal) {
    for (let i = 0; i < count; i++) yield i;
    if (!thenHang) return;
    await new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => {
        cancelled.was = true;
        reject(new Error('cancelled'));
      });
    });
  };
}

async function collect(messages: AsyncIterable<number>, into: number[] = []): Promise<number[]> {
  for await (const message of messages) into.push(message);
  return into;
}

describe('unstalled', () => {
  it('gives all there is', async () => {
    expect(await collect(unstalled(stream(3, false, { was: false }), clock, new AbortController().signal, 50))).toEqual([0, 1, 2]);
  });

  it('ends a stream that hangs, keeping what came', async () => {
    const cancelled = { was: false };
    const got: number[] = [];
    await expect(collect(unstalled(stream(2, true, cancelled), clock, new AbortController().signal, 30), got)).rejects.toMatchObject({
      code: 'DEADLINE',
    });
    expect(got).toEqual([0, 1]);
    expect(cancelled.was).toBe(true);
  });

  it('does not count the reader’s own time', async () => {
    const got: number[] = [];
    for await (const message of unstalled(stream(2, false, { was: false }), clock, new AbortController().signal, 20)) {
      await clock.sleep(50);
      got.push(message);
    }
    expect(got).toEqual([0, 1]);
  });

  it('ends at once when told to stop', async () => {
    const stop = new AbortController();
    const cancelled = { was: false };
    setTimeout(() => stop.abort(), 10);
    await expect(collect(unstalled(stream(1, true, cancelled), clock, stop.signal, 10_000))).rejects.toThrow('cancelled');
    expect(cancelled.was).toBe(true);
  });
});
