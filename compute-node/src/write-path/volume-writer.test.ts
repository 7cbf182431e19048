import { expect, it } from 'vitest';
import { systemClock, type Clock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { homeSegment, SINGLE_GROUP } from '../placement.ts';
import { fixtureSegments, FixtureStream } from './fixture-segments.ts';
import { heartbeatMessage } from './segment-stream.ts';
import { VolumeWriter } from './volume-writer.ts';

it('a writer that writes nothing says every few seconds that it is there, from where on it reads, until it stops', () => {
  const streams = Array.from({ length: 6 }, () => new FixtureStream());
  const timers = new Set<{ ms: number; work: () => void }>();
  const clock: Clock = {
    ...systemClock(),
    after: (ms, work) => {
      const timer = { ms, work };
      timers.add(timer);
      return { cancel: () => void timers.delete(timer) };
    },
  };
  let oldestRead: bigint | undefined = 60n;
  const writer = new VolumeWriter({
    placement: SINGLE_GROUP,
    segments: fixtureSegments(streams),
    identity: { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'w' },
    epoch: 2n,
    history: [{ epoch: 2n, startLsn: 100n }],
    startLsn: 100n,
    previousEpoch: 1n,
    ringBytesMax: 1024 * 1024,
    oldestRead: () => oldestRead,
    onDurable: () => {},
    onFenced: () => {},
    clock,
    logger: silentLogger(),
  });
  writer.start();
  for (const stream of streams) {
    stream.emit('data', { result: 'OK', epoch: 2n, scl: 100n, message: '' });
    stream.written.length = 0;
  }
  const beat = (): void => {
    for (const timer of [...timers].filter(({ ms }) => ms >= 1000 && ms <= 10_000)) {
      timers.delete(timer);
      timer.work();
    }
  };
  beat();
  oldestRead = undefined;
  beat();
  for (const { written } of streams) expect(written).toEqual([heartbeatMessage(100n, 60n), heartbeatMessage(100n, 100n)]);
  writer.stop();
  beat();
  for (const { written } of streams) expect(written).toHaveLength(2);
});
