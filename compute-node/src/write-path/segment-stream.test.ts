import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { silentLogger } from '@kube-aurora/process';
import { encodeAppendRequest, type AppendResponse, type SegmentApi, type SegmentState } from '@kube-aurora/rpc';
import { RedoRing } from '@kube-aurora/volume';
import { homeSegment } from '../placement.ts';
import { FixtureStream } from './fixture-segments.ts';
import { SegmentStream } from './segment-stream.ts';
import { STREAM_TABLE, type StreamEvent, type StreamPhase } from './stream-table.ts';

const HISTORY = [{ epoch: 2n, startLsn: 100n }];

function streamOf(state: () => Partial<SegmentState>) {
  const streams: FixtureStream[] = [];
  const due: (() => void)[] = [];
  const asked: string[] = [];
  const client = {
    append: () => {
      const stream = new FixtureStream();
      streams.push(stream);
      return stream;
    },
    status: () => (
      asked.push('status'),
      Promise.resolve({ phase: 'READY', epoch: 2n, history: HISTORY, scl: 100n, message: '', fault: undefined, ...state() })
    ),
  } as unknown as SegmentApi;
  const ring = new RedoRing(100n, 1024 * 1024);
  const onAcknowledged = vi.fn();
  const onFenced = vi.fn();
  const onTook = vi.fn();
  const time = { now: 0 };
  const stream = new SegmentStream(
    { role: 'FULL', index: 0, id: 's0', zone: 'z', client },
    {
      identity: { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'w' },
      epoch: 2n,
      history: HISTORY,
      ring,
      vdl: () => 100n,
      pgmrpl: () => 100n,
      onAcknowledged,
      onFenced,
      onTook: (_segment, seconds) => onTook(seconds),
      clock: { ...systemClock(), now: () => time.now, after: (_, work) => (due.push(work), { cancel: () => undefined }) },
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
  return {
    stream,
    streams,
    asked,
    due,
    answer,
    push,
    time,
    onTook,
    onAcknowledged,
    onFenced,
    tick: () => due.splice(0).forEach((work) => work()),
  };
}

it('a segment that takes no redo keeps its stream, is sent nothing, says so, and is fed again when it has room', async () => {
  let fault: SegmentState['fault'] = { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n };
  const { stream, streams, answer, push, onAcknowledged, tick } = streamOf(() => ({ fault, message: '3 MiB are free' }));
  answer({});
  expect(stream.state).toMatchObject({ phase: 'streaming', isUnwritable: false });
  push(200n);
  expect(streams[0]?.written).toHaveLength(2);
  answer({ result: 'UNWRITABLE', message: '3 MiB are free' });
  expect(stream.state).toMatchObject({ phase: 'unwritable', isUnwritable: true, scl: 100n, inFlightBytes: 0 });
  expect(stream.state.lastError).toContain('3 MiB are free');
  // One that takes nothing has taken nothing: it counts for no more than it holds.
  expect(onAcknowledged.mock.calls.every(([, scl]) => scl === 100n)).toBe(true);
  push(300n);
  expect(streams).toHaveLength(1);
  expect(streams[0]?.written).toHaveLength(2);
  // Asked again, it is still full.
  tick();
  await expect.poll(() => stream.state.errors).toBe(2);
  expect(stream.state).toMatchObject({ phase: 'unwritable', isUnwritable: true });
  fault = undefined;
  tick();
  await expect.poll(() => stream.phase).toBe('streaming');
  expect(stream.state.isUnwritable).toBe(false);
  // A message for each batch: they need no joining to leave in one write.
  expect(streams[0]?.written).toHaveLength(4);
  answer({ scl: 300n });
  expect(onAcknowledged).toHaveBeenLastCalledWith(0, 300n);
});

it('how long a segment took is told once for each batch, from when that was sent', () => {
  const { answer, push, time, onTook } = streamOf(() => ({}));
  answer({});
  push(200n);
  time.now = 5;
  push(300n);
  time.now = 12;
  answer({ scl: 200n });
  expect(onTook.mock.calls).toEqual([[0.012]]);
  answer({ scl: 200n });
  time.now = 25;
  answer({ scl: 300n });
  expect(onTook.mock.calls).toEqual([[0.012], [0.02]]);
});

it('a segment that takes no redo, asked how far it is, counts only under the history that it was given', async () => {
  let history = [{ epoch: 1n, startLsn: 0n }];
  const { stream, asked, answer, onAcknowledged, tick } = streamOf(() => ({
    history,
    scl: 500n,
    fault: { kind: 'DISK_FULL', freeBytes: 1n, neededBytes: 2n },
  }));
  answer({ result: 'UNWRITABLE' });
  onAcknowledged.mockClear();
  // Its disk is as it was before it took the history: of our epoch, with redo that the history annuls.
  tick();
  expect(asked).toHaveLength(1);
  await new Promise(setImmediate);
  expect(onAcknowledged).not.toHaveBeenCalled();
  history = HISTORY;
  tick();
  await expect.poll(() => onAcknowledged.mock.calls).toEqual([[0, 500n]]);
  expect(stream.state.phase).toBe('unwritable');
});

it('an answer of another epoch acknowledges nothing, one of a later epoch fences', () => {
  const { answer, onAcknowledged, onFenced } = streamOf(() => ({}));
  answer({ epoch: 1n, scl: 500n });
  expect(onAcknowledged).not.toHaveBeenCalled();
  answer({ epoch: 3n, scl: 500n });
  expect(onFenced).toHaveBeenCalledOnce();
  expect(onAcknowledged).not.toHaveBeenCalled();
});

const PHASES = Object.keys(STREAM_TABLE) as StreamPhase[];
const EVENTS = Object.keys(STREAM_TABLE.away) as StreamEvent[];

/** A stream that came to the phase by what its segment said. */
function streamIn(phase: StreamPhase): ReturnType<typeof streamOf> {
  // What is asked is not answered.
  const rig = streamOf(() => ({ epoch: 1n }));
  const { stream, streams, answer } = rig;
  if (phase === 'away') streams[0]?.emit('end');
  if (phase === 'streaming' || phase === 'unwritable') answer({});
  if (phase === 'unwritable') answer({ result: 'UNWRITABLE' });
  // The ring begins at 100.
  if (phase === 'lagging') answer({ scl: 50n });
  if (phase === 'fenced') answer({ epoch: 3n });
  if (phase === 'stopped') stream.stop();
  expect(stream.phase).toBe(phase);
  rig.due.length = 0;
  rig.onAcknowledged.mockClear();
  rig.onFenced.mockClear();
  return rig;
}

describe.each(PHASES)('a stream that is %s', (phase) => {
  it.each(EVENTS)('does what the table says when told %s', (event) => {
    const { stream, streams, asked, due, onAcknowledged, onFenced } = streamIn(phase);
    const action = STREAM_TABLE[phase][event];
    const opened = streams.length;
    const tell = (): void => stream.on(event, { scl: 100n, message: 'told' });
    if (action === 'throw') expect(tell).toThrow(`the stream of s0, which is ${phase}, was told '${event}'`);
    else tell();
    const leads = { connect: 'connecting', resume: 'streaming', lag: 'lagging', hold: 'unwritable', reconnect: 'away' } as const;
    const ends = { fence: 'fenced', stop: 'stopped' } as const;
    const to: Partial<Record<typeof action, StreamPhase>> = { ...leads, ...ends };
    expect(stream.phase).toBe(to[action] ?? phase);
    expect(streams.length - opened).toBe(action === 'connect' ? 1 : 0);
    expect(onAcknowledged.mock.calls).toEqual(action === 'acknowledge' || action === 'resume' ? [[0, 100n]] : []);
    expect(onFenced.mock.calls).toEqual(action === 'fence' ? [['told']] : []);
    expect(asked).toEqual(action === 'ask' ? ['status'] : []);
    expect(due).toHaveLength(['lag', 'hold', 'askLater', 'reconnect'].includes(action) ? 1 : 0);
    if (action === 'reconnect' || action === 'stop') expect(streams.at(-1)?.isCancelled).toBe(true);
  });
});

describe('the table', () => {
  it('counts nothing that a segment says once it has named a later writer, or our epoch is over', () => {
    for (const phase of ['fenced', 'stopped'] as const)
      for (const event of EVENTS) expect(['nothing', 'throw', 'stop']).toContain(STREAM_TABLE[phase][event]);
  });
  it('counts a segment that has not answered our hello by that answer alone', () => {
    const counted = (phase: StreamPhase): StreamEvent[] =>
      EVENTS.filter((event) => ['acknowledge', 'resume'].includes(STREAM_TABLE[phase][event]));
    expect(counted('connecting')).toEqual(['answered']);
    expect(counted('away')).toEqual([]);
  });
  it('fences from wherever a later writer is named, and lets a stop in everywhere', () => {
    for (const phase of PHASES.filter((one) => one !== 'fenced' && one !== 'stopped'))
      expect(STREAM_TABLE[phase]).toMatchObject({ overtaken: 'fence', stop: 'stop' });
  });
});

it('what a segment answers is told to the table as what it is', () => {
  const told = (response: Partial<AppendResponse>): StreamPhase => {
    const { stream, answer } = streamIn('streaming');
    answer(response);
    return stream.phase;
  };
  expect(told({ result: 'GAP' })).toBe('away');
  expect(told({ result: 'REFUSED' })).toBe('away');
  expect(told({ result: 'FENCED' })).toBe('away');
  expect(told({ result: 'FENCED', epoch: 3n })).toBe('fenced');
  expect(told({ result: 'UNWRITABLE' })).toBe('unwritable');
  expect(told({ result: 'OK' })).toBe('streaming');
});

it('a write that finds the stream broken sends nothing more on it, and all of it anew on the next', () => {
  const { stream, streams, answer, push, tick } = streamIn('streaming');
  const [first] = streams;
  if (first === undefined) throw new Error('no stream');
  const written = first.written.length;
  first.write = () => {
    first.emit('error', new Error('broken pipe'));
    return false;
  };
  push(200n);
  expect(stream.phase).toBe('away');
  push(300n);
  expect(first.written).toHaveLength(written);
  tick();
  expect(streams).toHaveLength(2);
  answer({ scl: 100n });
  expect(stream.phase).toBe('streaming');
  expect(streams[1]?.written).toHaveLength(3);
});
