import { EventEmitter } from 'node:events';
import { expect, it, vi } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { encodeAppendRequest, type AppendResponse, type AppendStream, type SegmentApi, type SegmentState } from '@kube-aurora/rpc';
import { RedoRing } from '@kube-aurora/volume';
import { homeSegment } from '../placement.ts';
import { SegmentStream } from './segment-stream.ts';

const HISTORY = [{ epoch: 2n, startLsn: 100n }];

class Stream extends EventEmitter implements AppendStream {
  readonly written: unknown[] = [];
  write(request: unknown): boolean {
    this.written.push(request);
    return true;
  }
  end(): void {
    this.emit('end');
  }
  cancel(): void {}
}

function streamOf(state: () => Partial<SegmentState>) {
  const streams: Stream[] = [];
  const due: (() => void)[] = [];
  const client = {
    append: () => {
      const stream = new Stream();
      streams.push(stream);
      return stream;
    },
    status: () => Promise.resolve({ phase: 'READY', epoch: 2n, history: HISTORY, scl: 100n, message: '', fault: undefined, ...state() }),
  } as unknown as SegmentApi;
  const ring = new RedoRing(100n, 1024 * 1024);
  const onAcknowledged = vi.fn();
  const onFenced = vi.fn();
  const stream = new SegmentStream(
    { index: 0, id: 's0', zone: 'z', client },
    {
      identity: { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'w' },
      epoch: 2n,
      history: HISTORY,
      ring,
      vdl: () => 100n,
      pgmrpl: () => 100n,
      onAcknowledged,
      onFenced,
      clock: { ...systemClock(), after: (_, work) => (due.push(work), { cancel: () => undefined }) },
      logger: silentLogger(),
    },
  );
  stream.start();
  const answer = (response: Partial<AppendResponse>): void =>
    void streams.at(-1)?.emit('data', { result: 'OK', epoch: 2n, scl: 100n, message: '', ...response });
  const push = (endLsn: bigint): void => {
    ring.push({ backlink: ring.endLsn, endLsn, message: encodeAppendRequest([Buffer.alloc(64)], 100n, 100n) });
    stream.pump();
  };
  return { stream, streams, answer, push, onAcknowledged, onFenced, tick: () => due.splice(0).forEach((work) => work()) };
}

it('a segment that takes no redo keeps its stream, is sent nothing, says so, and is fed again when it has room', async () => {
  let fault: SegmentState['fault'] = { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n };
  const { stream, streams, answer, push, onAcknowledged, tick } = streamOf(() => ({ fault, message: '3 MiB are free' }));
  answer({});
  expect(stream.state).toMatchObject({ phase: 'streaming', isUnwritable: false });
  push(200n);
  expect(streams[0]?.written).toHaveLength(2);
  answer({ result: 'UNWRITABLE', message: '3 MiB are free' });
  expect(stream.state).toMatchObject({ phase: 'lagging', isUnwritable: true, scl: 100n, inFlightBytes: 0 });
  expect(stream.state.lastError).toContain('3 MiB are free');
  // One that takes nothing has taken nothing: it counts for no more than it holds.
  expect(onAcknowledged.mock.calls.every(([, scl]) => scl === 100n)).toBe(true);
  push(300n);
  expect(streams).toHaveLength(1);
  expect(streams[0]?.written).toHaveLength(2);
  // Asked again, it is still full.
  tick();
  await expect.poll(() => stream.state.errors).toBe(2);
  expect(stream.state).toMatchObject({ phase: 'lagging', isUnwritable: true });
  fault = undefined;
  tick();
  await expect.poll(() => stream.phase).toBe('streaming');
  expect(stream.state.isUnwritable).toBe(false);
  // A message for each batch: they need no joining to leave in one write.
  expect(streams[0]?.written).toHaveLength(4);
  answer({ scl: 300n });
  expect(onAcknowledged).toHaveBeenLastCalledWith(0, 300n);
});

it('an answer of another epoch acknowledges nothing, one of a later epoch fences', () => {
  const { answer, onAcknowledged, onFenced } = streamOf(() => ({}));
  answer({ epoch: 1n, scl: 500n });
  expect(onAcknowledged).not.toHaveBeenCalled();
  answer({ epoch: 3n, scl: 500n });
  expect(onFenced).toHaveBeenCalledOnce();
  expect(onAcknowledged).not.toHaveBeenCalled();
});
