import { describe, expect, it, vi } from 'vitest';
import { systemClock } from '@kube-aurora/clock';
import { buildRecord, lsn, RMGR, WAL_PAGE_BYTES, WalPageWriter, type StreamRecord } from '@kube-aurora/pg-format';
import { silentLogger } from '@kube-aurora/process';
import type { AppendResponse } from '@kube-aurora/rpc';
import type { FlushAnswer } from '../flush-outcome.ts';
import { homeSegment, SINGLE_GROUP } from '../placement.ts';
import { fixtureSegments, FixtureStream } from './fixture-segments.ts';
import { END_OF, WRITE_PATH_TABLE, type WritePathAction, type WritePathEvent, type WritePathPhase } from './write-path-table.ts';
import { WritePath } from './write-path.ts';

const START = lsn(0x200_0028n);
const SYSTEM = 42n;

/** A write path whose segments have taken nothing yet of the first batch, and which a flush waits for. */
function waiting() {
  const streams = Array.from({ length: 6 }, () => new FixtureStream());
  const onFenced = vi.fn();
  const onDamagedWal = vi.fn();
  const path = new WritePath({
    placement: SINGLE_GROUP,
    segments: fixtureSegments(streams),
    identity: { segment: homeSegment('0b0a6f0e-3f4e-4d53-8a6e-5c1b2f9d7a10'), writerId: 'w' },
    epoch: 2n,
    history: [{ epoch: 2n, startLsn: START }],
    startLsn: START,
    previousEpoch: 1n,
    ringBytesMax: 1024 * 1024,
    oldestRead: () => undefined,
    onFenced,
    onDamagedWal,
    onFlushSent: () => undefined,
    onFlushed: () => undefined,
    clock: { ...systemClock(), after: () => ({ cancel: () => undefined }), soon: () => undefined },
    logger: silentLogger(),
  });
  const wal = new WalPageWriter({ systemIdentifier: SYSTEM, timeline: 1, startLsn: START });
  const record = (): StreamRecord => {
    const raw = buildRecord({ rmid: RMGR.XLOG, info: 0x20, xid: 0, prev: lsn(0n), mainData: Buffer.alloc(100, 7) });
    return { ...wal.append(raw), raw };
  };
  path.start();
  const answer = (count: number, response: Partial<AppendResponse>): void => {
    for (const stream of streams.slice(0, count)) stream.emit('data', { result: 'OK', epoch: 2n, scl: START, message: '', ...response });
  };
  answer(6, {});
  const first = record();
  const heard: FlushAnswer[] = [];
  const hear = (outcome: Promise<FlushAnswer>): void => void outcome.then((one) => heard.push(one));
  hear(path.appendFirst([first]));
  let reads = 0;
  const source = {
    read: (from: bigint, _to: bigint, bytesMax: number): Buffer => {
      reads++;
      return Buffer.alloc(Math.min(bytesMax, WAL_PAGE_BYTES - Number(from % BigInt(WAL_PAGE_BYTES))), 0xff);
    },
  };
  path.follow(source, first.lsn, SYSTEM);
  hear(path.flush(first.endLsn));
  return { path, first, record, answer, heard, hear, onFenced, onDamagedWal, reads: () => reads };
}

type Rig = ReturnType<typeof waiting>;

/** What happens, as it happens. */
const MAKE: Readonly<Record<WritePathEvent, (rig: Rig) => void>> = {
  firstBatch: ({ path, record, hear }) => hear(path.appendFirst([record()])),
  flush: ({ path, first, hear }) => hear(path.flush(first.endLsn)),
  // Less than a record's header of it.
  wrote: ({ path, first }) => path.wrote(first.endLsn + 8n),
  due: ({ path }) => path.on('due'),
  durable: ({ answer, first, path }) => {
    answer(4, { scl: first.endLsn });
    path.on('durable');
  },
  overtaken: ({ answer, path }) => {
    answer(1, { epoch: 3n, message: 'taken' });
    path.on('overtaken', { message: 'taken' });
  },
  badWal: ({ path, first }) => {
    path.wrote(first.endLsn + BigInt(4 * WAL_PAGE_BYTES));
    path.on('badWal', { error: new Error('again') });
  },
  stop: ({ path }) => path.stop(),
};
const WAY: Readonly<Record<WritePathPhase, WritePathEvent | undefined>> = {
  open: undefined,
  fenced: 'overtaken',
  damaged: 'badWal',
  stopped: 'stop',
};
const PHASES = Object.keys(WRITE_PATH_TABLE) as WritePathPhase[];
const EVENTS = Object.keys(MAKE) as WritePathEvent[];
const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

describe.each(PHASES)('a write path that is %s', (phase) => {
  it.each(EVENTS)('does what the table says at %s', async (event) => {
    const rig = waiting();
    const { path, heard, first, onFenced, onDamagedWal, reads } = rig;
    const way = WAY[phase];
    if (way !== undefined) MAKE[way](rig);
    await settled();
    expect(path.phase).toBe(phase);
    // Whoever waited heard how it ended.
    expect(heard).toEqual(phase === 'open' ? [] : [{ kind: phase }, { kind: phase }]);
    heard.length = 0;
    onFenced.mockClear();
    onDamagedWal.mockClear();
    const readBefore = reads();
    const sentBefore = path.sentLsn;

    const action: WritePathAction = WRITE_PATH_TABLE[phase][event];
    MAKE[event](rig);
    await settled();
    const end = END_OF[action];
    expect(path.phase).toBe(end ?? phase);
    expect(onFenced).toHaveBeenCalledTimes(action === 'fence' ? 1 : 0);
    expect(onDamagedWal).toHaveBeenCalledTimes(action === 'giveUp' ? 1 : 0);
    if (end !== undefined) expect(heard).toEqual([{ kind: end }, { kind: end }]);
    else if (action === 'refuse') expect(heard).toEqual([{ kind: phase }]);
    else if (action === 'nothing') expect(heard).toEqual([]);
    else {
      const durable = { kind: 'durable', durableLsn: first.endLsn };
      expect(heard).toEqual(event === 'durable' ? [durable, durable] : []);
      if (event === 'flush') expect(path.waitingFlushes).toBe(2);
    }
    // Only an open one reads and sends.
    expect(path.sentLsn > sentBefore).toBe(action === 'work' && event === 'firstBatch');
    if (phase !== 'open') expect(reads()).toBe(readBefore);
    else if (event === 'wrote') expect(reads()).toBeGreaterThan(readBefore);
  });
});

describe('the table', () => {
  it('lets nothing out of an end, and no second one in', () => {
    for (const phase of PHASES.filter((one) => one !== 'open'))
      for (const event of EVENTS) expect(['nothing', 'refuse']).toContain(WRITE_PATH_TABLE[phase][event]);
  });
});
