import { expect, it } from 'vitest';
import { systemClock, type Clock } from '@kube-aurora/clock';
import { buildRecord, lsn, OPCODE, RMGR } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { RecordRun } from '@kube-aurora/volume';
import { homeSegment, SINGLE_GROUP } from '../placement.ts';
import { fixtureSegments, FixtureStream } from './fixture-segments.ts';
import { heartbeatMessage } from './segment-stream.ts';
import { VolumeWriter } from './volume-writer.ts';

/** A writer of six fixture streams that have answered its hello, and a clock whose timers fire as told. */
function makeWriter(oldestRead: () => bigint | undefined = () => undefined) {
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
  const writer = new VolumeWriter({
    placement: SINGLE_GROUP,
    segments: fixtureSegments(streams),
    identity: { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'w' },
    epoch: 2n,
    history: [{ epoch: 2n, startLsn: 100n }],
    startLsn: 100n,
    previousEpoch: 1n,
    ringBytesMax: 1024 * 1024,
    oldestRead,
    onDurable: () => {},
    onFenced: () => {},
    clock,
    logger: silentLogger(),
  });
  writer.start();
  const answer = (at: number, scl: bigint, followed = false): void =>
    void streams[at]?.emit('data', { result: 'OK', epoch: 2n, scl, message: '', followed });
  for (const [at, stream] of streams.entries()) {
    answer(at, 100n);
    stream.written.length = 0;
  }
  const fire = (from: number, to: number): void => {
    for (const timer of [...timers].filter(({ ms }) => ms >= from && ms <= to)) {
      timers.delete(timer);
      timer.work();
    }
  };
  return { writer, streams, answer, fire };
}

it('a writer that writes nothing says every few seconds that it is there, from where on it reads, until it stops', () => {
  let oldestRead: bigint | undefined = 60n;
  const { writer, streams, fire } = makeWriter(() => oldestRead);
  fire(1000, 10_000);
  oldestRead = undefined;
  fire(1000, 10_000);
  for (const { written } of streams) expect(written).toEqual([heartbeatMessage(100n, 60n), heartbeatMessage(100n, 100n)]);
  writer.stop();
  fire(1000, 10_000);
  for (const { written } of streams) expect(written).toHaveLength(2);
});

it('segments where readers wait hear at once what is durable, and get redo that is kept back for others', () => {
  const { writer, streams, answer, fire } = makeWriter();
  const record = buildRecord({ rmid: RMGR.XLOG, info: OPCODE.XLOG.NOOP, xid: 0, prev: lsn(60n), mainData: Buffer.alloc(8) });
  const run = new RecordRun();
  run.add(104, 160, record, 0, record.length);
  writer.append(run);
  // The fourth to be sent it, and one that is not.
  const sent = streams.map(({ written }) => written.length);
  const [prompt, kept] = [sent.lastIndexOf(1), sent.indexOf(0)];
  expect(sent.toSorted((a, b) => a - b)).toEqual([0, 0, 1, 1, 1, 1]);
  answer(kept, 100n, true);
  for (const [at, count] of sent.entries()) if (count === 1) answer(at, 160n, at === prompt);
  expect(writer.vdl).toBe(160n);
  fire(1, 1);
  expect(streams.map(({ written }) => written.length)).toEqual(sent.map((count, at) => (at === prompt || at === kept ? 2 : count)));
  expect(streams[prompt]?.written.at(-1)).toEqual(heartbeatMessage(160n, 160n));
  expect(streams[kept]?.written.at(-1)).toEqual(heartbeatMessage(160n, 160n));
  // The others hear it as they always do.
  fire(50, 50);
  for (const { written } of streams) expect(written.at(-1)).toEqual(heartbeatMessage(160n, 160n));
  writer.stop();
});
