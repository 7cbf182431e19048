import { EventEmitter } from 'node:events';
import { systemClock, type Clock } from '@kube-aurora/clock';
import { lsn, recordEndLsn, type Lsn } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import { AuroraRpcError, NEVER_PROMOTED, type FollowRequest, type FollowStream, type SegmentApi, type WriterSign } from '@kube-aurora/rpc';
import { recordsIn, type SegmentRole } from '@kube-aurora/volume';
import { beforeEach, describe, expect, it } from 'vitest';
import { homeSegment } from '../placement.ts';
import type { DurableRedo } from './durable-redo.ts';
import { makeLog, type LoggedBatch } from './fixture-log.ts';
import { bySource, RedoFeed } from './redo-feed.ts';

const START = lsn(0x100_0028);
const xmins = { xmin: 0x1_0000_02bcn, catalogXmin: 0n };

class Followed extends EventEmitter implements FollowStream {
  readonly said: FollowRequest[] = [];
  isCancelled = false;
  write(request: FollowRequest): void {
    this.said.push(request);
  }
  cancel(): void {
    this.isCancelled = true;
  }
  get hello() {
    return this.said[0]?.hello;
  }
}

/** Streams by the segment that they were opened to, in order; and a log that segments can send of. */
let opened: { id: string; stream: Followed }[];
let timers: Set<{ ms: number; work: () => void }>;
let given: DurableRedo[];
let vdls: Lsn[];
let tooOld: string[];
let floor: bigint;
let signs: [index: number, epoch: bigint, silentMs: number, gaveBack: boolean][];
let feed: RedoFeed;
let log: LoggedBatch[];
let onRedo: (redo: DurableRedo) => void;

const clock: Clock = {
  ...systemClock(),
  now: () => 0,
  random: () => 0.5,
  soon: (work) => work(),
  after: (ms, work) => {
    const timer = { ms, work };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  },
};

function endpoints(): ConstructorParameters<typeof RedoFeed>[0]['segments'] {
  return ['a1', 'a2', 'b1', 'b2', 'c1', 'c2'].map((id, index) => ({
    index,
    id,
    zone: id[0] ?? '',
    role: (id[1] === '1' ? 'FULL' : 'TAIL') as SegmentRole,
    client: {
      follow: () => {
        const stream = new Followed();
        opened.push({ id, stream });
        return stream;
      },
    } as unknown as SegmentApi,
  }));
}

/** Streams that want redo, in the order in which they were opened. */
const sources = (): { id: string; stream: Followed }[] => opened.filter(({ stream }) => stream.hello?.wants === 'REDO');
const source = (): Followed => sources().at(-1)!.stream;
const beat = (): void => {
  for (const timer of [...timers].filter(({ ms }) => ms === 1000)) {
    timers.delete(timer);
    timer.work();
  }
};
const WRITER: WriterSign = { writerEpoch: 3n, writerSilentMs: 20, writerGaveBack: false };
/** The source says what it has of the log up to `to`, of which it sends [from, count). */
function send(from: number, count: number, vdl = log[from + count - 1]!.endLsn, stream = source()): void {
  const batches = log.slice(from, from + count).map(({ batch }) => batch);
  stream.emit('data', { vdl, batches: count === 0 ? undefined : Buffer.concat(batches), ...WRITER });
}

let tier = 2;

beforeEach(() => {
  tier = 2;
  opened = [];
  timers = new Set();
  given = [];
  vdls = [];
  tooOld = [];
  floor = 5n;
  signs = [];
  log = makeLog(START, [1, 3, 2, 4, 1, 1]);
  onRedo = () => undefined;
  feed = new RedoFeed({
    segments: endpoints(),
    segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'),
    computeId: 'demo-2/x',
    zone: 'b',
    startLsn: START,
    clock,
    logger: silentLogger(),
    onRedo: (redo) => {
      given.push(redo);
      onRedo(redo);
    },
    onVdl: (vdl) => vdls.push(vdl),
    onTooOld: (message) => tooOld.push(message),
    promotionTier: () => tier,
    onWriterSign: (index, sign) => signs.push([index, sign.writerEpoch, sign.writerSilentMs, sign.writerGaveBack]),
    readFloor: () => floor,
    xmins: () => xmins,
  });
  feed.start();
});

const ends = (): Lsn[] => given.map(({ endLsn }) => endLsn);
/** No gap, no overlap: what everything else rests on. */
function expectWhole(): void {
  let at: Lsn = START;
  for (const redo of given) {
    expect(redo.startLsn).toBe(at);
    at = redo.endLsn;
  }
  expect(feed.position).toBe(at);
}

describe('where redo comes from', () => {
  it('our own zone first, and there a segment that keeps redo alone', () => {
    expect(bySource(endpoints(), 'b').map(({ id }) => id)).toEqual(['b2', 'b1', 'a2', 'c2', 'a1', 'c1']);
    expect(sources().map(({ id }) => id)).toEqual(['b2']);
    expect(feed.source).toBeUndefined();
    send(0, 2);
    expect(feed.source).toBe('b2');
    expect(ends()).toEqual([log[0]!.endLsn, log[1]!.endLsn]);
    expect(vdls).toEqual([log[1]!.endLsn]);
    expectWhole();
  });

  it('every segment hears where we read, those of our zone that have pages also what is durable', () => {
    const floors = opened.filter(({ stream }) => stream.hello?.wants !== 'REDO');
    expect(floors.map(({ id, stream }) => `${id} ${stream.hello?.wants}`)).toEqual([
      'a1 FLOOR',
      'a2 FLOOR',
      'b1 VDL',
      'b2 FLOOR',
      'c1 FLOOR',
      'c2 FLOOR',
    ]);
    expect(floors.every(({ stream }) => stream.said[0]?.readFloor === 5n && stream.hello?.readerId === 'demo-2/x')).toBe(true);
    send(0, 1);
    floor = 9n;
    beat();
    for (const { stream } of opened)
      expect(stream.said.at(-1)).toEqual({ hello: undefined, takenLsn: log[0]!.endLsn, readFloor: 9n, xmins });
    // One that broke is made anew.
    floors[0]?.stream.emit('error', new AuroraRpcError('UNREACHABLE', 'gone'));
    for (const timer of [...timers].filter(({ ms }) => ms < 1000)) timer.work();
    expect(opened.at(-1)).toMatchObject({ id: 'a1', stream: { hello: { wants: 'FLOOR' } } });
  });

  it('a tier that changes is told to every segment, without a gap in the redo', () => {
    send(0, 2);
    const before = [...opened];
    beat();
    expect(opened).toHaveLength(before.length);
    tier = 0;
    beat();
    const anew = opened.slice(before.length);
    expect(anew.map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    expect(anew.every(({ stream }) => stream.hello?.promotionTier === 0)).toBe(true);
    expect(before.every(({ stream }) => stream.isCancelled)).toBe(true);
    expect(sources().map(({ id }) => id)).toEqual(['b2', 'b2']);
    expect(sources().at(-1)?.stream.said[0]?.takenLsn).toBe(log[1]!.endLsn);
    send(2, 4);
    expectWhole();
  });

  it('one that ends says at once and for good that it becomes no writer, without a gap in the redo', () => {
    send(0, 2);
    const before = [...opened];
    feed.standDown();
    const anew = opened.slice(before.length);
    expect(anew.map(({ id }) => id).toSorted()).toEqual(before.map(({ id }) => id).toSorted());
    expect(anew.every(({ stream }) => stream.hello?.promotionTier === NEVER_PROMOTED)).toBe(true);
    tier = 0;
    beat();
    expect(opened).toHaveLength(before.length + anew.length);
    send(2, 4);
    expectWhole();
    feed.stop();
    feed.standDown();
    expect(opened).toHaveLength(before.length + anew.length);
  });

  it('every segment knows our promotion tier, and says how the writer is: on the stream of redo and beside it', () => {
    expect(opened.every(({ stream }) => stream.hello?.promotionTier === 2)).toBe(true);
    send(0, 1);
    const c1 = opened.find(({ id }) => id === 'c1')?.stream;
    c1?.emit('data', { vdl: 0n, batches: undefined, writerEpoch: 4n, writerSilentMs: 0, writerGaveBack: true });
    expect(signs).toEqual([
      [3, 3n, 20, false],
      [4, 4n, 0, true],
    ]);
    feed.stop();
    c1?.emit('data', { vdl: 0n, batches: undefined, ...WRITER });
    expect(signs).toHaveLength(2);
  });

  it.each<[string, () => void]>([
    ['fails', () => source().emit('error', new AuroraRpcError('NOT_READY', 'the segment is COPYING'))],
    ['ends', () => source().emit('end')],
    ['is silent', () => [1, 2, 3, 4].forEach(beat)],
    [
      'is behind what others know',
      () => {
        opened.find(({ id }) => id === 'c1')?.stream.emit('data', { vdl: log[5]!.endLsn, batches: undefined });
        for (let count = 0; count < 4 && sources().length === 1; count++) {
          source().emit('data', { vdl: log[1]!.endLsn, batches: undefined });
          beat();
        }
      },
    ],
    ['leaves redo out', () => send(3, 1)],
    ['sends redo twice', () => send(1, 1)],
    ['sends what is not durable', () => send(2, 1, log[1]!.endLsn)],
    [
      'sends what is damaged',
      () => {
        const damaged = Buffer.from(log[2]!.batch);
        damaged[200] = (damaged[200] ?? 0) ^ 1;
        source().emit('data', { vdl: log[2]!.endLsn, batches: damaged });
      },
    ],
  ])('one that %s is left for the next, which goes on where it ended', (_, happens) => {
    send(0, 2);
    const first = source();
    happens();
    expect(sources().map(({ id }) => id)).toEqual(['b2', 'b1']);
    expect(first.isCancelled).toBe(true);
    expect(source().said[0]?.takenLsn).toBe(log[1]!.endLsn);
    expect(feed.source).toBeUndefined();
    // What the one before still says is not heard.
    send(2, 1, log[2]!.endLsn, first);
    send(2, 4);
    expect(ends()).toEqual(log.map(({ endLsn }) => endLsn));
    expectWhole();
  });

  it('one that gives nothing of what is waited for is left at once, and not while it gives some, or all is there', () => {
    const moment = (): void => {
      for (const timer of [...timers].filter(({ ms }) => ms === 250)) {
        timers.delete(timer);
        timer.work();
      }
    };
    send(0, 1);
    feed.hasten(log[2]!.endLsn);
    expect(vdls.at(-1)).toBe(log[2]!.endLsn);
    send(1, 1);
    moment();
    expect(sources()).toHaveLength(1);
    moment();
    expect(sources().map(({ id }) => id)).toEqual(['b2', 'b1']);
    moment();
    expect(sources().map(({ id }) => id)).toEqual(['b2', 'b1', 'a2']);
    send(2, 1);
    moment();
    expect([...timers].filter(({ ms }) => ms === 250)).toEqual([]);
    expectWhole();
    feed.hasten(log[3]!.endLsn);
    feed.stop();
    moment();
    expect(sources()).toHaveLength(3);
  });

  it('a quiet volume is no reason to leave', () => {
    for (let count = 0; count < 20; count++) {
      for (const { stream } of opened) stream.emit('data', { vdl: START, batches: undefined });
      beat();
    }
    expect(sources()).toHaveLength(1);
  });
});

it('a start within a batch is cut there, and one that is no record’s end is refused', () => {
  const [, second] = log;
  const within = recordEndLsn(second!.lsns[0]!, 24 + 5 + 3000, false);
  for (const [from, count] of [
    [within, 2],
    [lsn(within + 8n), 0],
  ] as const) {
    const redo: DurableRedo[] = [];
    const late = new RedoFeed({
      segments: endpoints(),
      segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'),
      computeId: 'r',
      promotionTier: () => 0,
      zone: 'b',
      startLsn: from,
      clock,
      logger: silentLogger(),
      onRedo: (one) => redo.push(one),
      onVdl: () => undefined,
      onTooOld: () => undefined,
      onWriterSign: () => undefined,
      readFloor: () => 0n,
      xmins: () => xmins,
    });
    late.start();
    send(1, 1);
    expect(redo.flatMap(({ records }) => [...recordsIn(records)].map((record) => record.lsn))).toEqual(
      count === 0 ? [] : second!.lsns.slice(1),
    );
    late.stop();
  }
});

it('while paused nothing is given, nor said to be taken; what was sent meanwhile comes then', () => {
  onRedo = () => feed.pause();
  send(0, 3);
  expect(given).toHaveLength(1);
  const { length } = source().said;
  send(3, 1);
  beat();
  expect(
    source()
      .said.slice(length)
      .map(({ takenLsn }) => takenLsn),
  ).toEqual([log[0]!.endLsn]);
  onRedo = () => undefined;
  expect(() => feed.resume()).not.toThrow();
  expect(given).toHaveLength(4);
  expect(source().said.at(-1)?.takenLsn).toBe(log[3]!.endLsn);
  // A source that has sent all there is, paused or not, is no source that is behind.
  feed.pause();
  send(4, 2);
  for (let count = 0; count < 5; count++) {
    source().emit('data', { vdl: log[5]!.endLsn, batches: undefined });
    beat();
  }
  expect(sources()).toHaveLength(1);
  feed.resume();
  expectWhole();
});

it('a gap that shows only when it goes on is no gap in what is given', () => {
  feed.pause();
  send(0, 1);
  send(2, 1);
  feed.resume();
  expect(given).toHaveLength(1);
  expect(sources().map(({ id }) => id)).toEqual(['b2', 'b1']);
  send(1, 5);
  expectWhole();
  expect(given).toHaveLength(6);
});

it('is too old only when no segment that answers has it, and then says so once', () => {
  const fail = (code: 'TOO_OLD' | 'UNREACHABLE'): void => void source().emit('error', new AuroraRpcError(code, `${code} here`));
  for (let count = 0; count < 6; count++) fail('UNREACHABLE');
  expect(tooOld).toEqual([]);
  expect(sources()).toHaveLength(6);
  for (const timer of [...timers].filter(({ ms }) => ms < 1000)) timer.work();
  expect(sources()).toHaveLength(7);
  fail('TOO_OLD');
  // One that has it makes good for those that have not.
  send(0, 1);
  for (let count = 0; count < 5; count++) fail('TOO_OLD');
  expect(tooOld).toEqual([]);
  fail('UNREACHABLE');
  expect(tooOld).toEqual([expect.stringContaining('TOO_OLD here')]);
  const { length } = opened;
  beat();
  expect(opened).toHaveLength(length);
  expect(opened.every(({ stream }) => stream.isCancelled || stream.said.length === 1)).toBe(true);
});

it('is silent once stopped', () => {
  feed.stop();
  send(0, 2);
  beat();
  expect(given).toEqual([]);
  expect(opened.every(({ stream }) => stream.isCancelled)).toBe(true);
});
