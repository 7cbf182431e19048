import { systemClock } from '@kube-aurora/clock';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  AuroraRpcError,
  PeerClient,
  SegmentClient,
  addPeerService,
  addSegmentService,
  createServer,
  encodeAppendRequest,
  listen,
  listenFrames,
} from './index.ts';
import { SEGMENT, STATE } from './fixture-segment-state.ts';
import type { AppendRequest, AppendResponse, FramesListener, LeaseAnswer, RenewLeaseRequest } from './index.ts';

const server = createServer();
const received: AppendRequest[] = [];
let frames: FramesListener;
let segment: SegmentClient;
let peer: PeerClient;

const leaseRenewed = ({ epoch, writerId, leaseMs }: RenewLeaseRequest): Promise<LeaseAnswer> =>
  Promise.resolve({
    others: [{ epoch: epoch - 1n, writerId: `before ${writerId}`, remainingMs: leaseMs, isGivenBack: true }],
    readersXmin: 0x1_0000_02bcn,
    readersCatalogXmin: 0n,
  });

beforeAll(async () => {
  addSegmentService(
    server,
    {
      openEpoch: () => Promise.reject(new AuroraRpcError('EPOCH_TAKEN', 'epoch 7 belongs to another writer')),
      installHistory: (request) => Promise.resolve({ ...STATE, history: request.history }),
      catchUp: () => new Promise(() => {}),
      async *computeImage() {
        yield {
          volumeState: Buffer.from('state'),
          stateComplete: true,
          slruPages: [{ key: Buffer.from('k'), page: Buffer.from('p') }],
        };
      },
      async importBase(requests) {
        let pages = 0;
        for await (const request of requests) pages += request.pages.length;
        return { ...STATE, bytesUsed: BigInt(pages) };
      },
      status: () => Promise.resolve(STATE),
      giveBackLease: () => Promise.resolve({ others: [], readersXmin: 0n, readersCatalogXmin: 0n }),
    },
    systemClock(),
  );
  addPeerService(
    server,
    {
      gossip: (request) => Promise.resolve(request.state),
      async *fetchRedo() {
        for (let i = 0; i < 3; i++) yield { batches: Buffer.alloc(1000, i) };
      },
      async *copySegment() {
        yield { state: STATE, values: [{ key: Buffer.from([1]), value: Buffer.from([2]) }] };
        throw new AuroraRpcError('DAMAGED', 'value 2 failed its CRC');
      },
      getPeerPage: (request) => Promise.resolve({ key: request.key, page: Buffer.alloc(8192) }),
    },
    systemClock(),
  );
  frames = await listenFrames(
    '127.0.0.1:0',
    {
      follow: () => undefined,
      renewLease: leaseRenewed,
      append(call) {
        call.on('data', (request: AppendRequest) => {
          received.push(request);
          call.write({
            scl: request.vdl,
            result: request.batches === undefined ? 'OK' : 'GAP',
            epoch: 3n,
            message: request.batches?.toString() ?? '',
            followed: false,
          });
        });
        call.on('end', () => call.end());
      },
      getPages: (request) =>
        Promise.resolve({
          present: Buffer.alloc(request.keys.length, 1),
          pages: request.keys.map((key) => Buffer.alloc(8192, key)),
        }),
    },
    { clock: systemClock(), onTurnedAway: () => undefined, onRefused: () => undefined },
  );
  const port = await listen(server, '127.0.0.1:0');
  segment = new SegmentClient({ address: `127.0.0.1:${port}`, framesAddress: `127.0.0.1:${frames.port}` }, systemClock());
  peer = new PeerClient(`127.0.0.1:${port}`, systemClock());
});

afterAll(() => {
  segment.close();
  peer.close();
  frames.close();
  server.forceShutdown();
});

describe('rpc over a real connection', () => {
  it('carries 64-bit fields exactly, nested ones too', async () => {
    expect(await segment.status(SEGMENT, { deadlineMs: 5000 })).toEqual(STATE);
    expect(await peer.gossip({ segment: SEGMENT, state: STATE }, { deadlineMs: 5000 })).toEqual(STATE);
    const history = [{ epoch: 2n, startLsn: 0xfedc_ba98_7654_3210n }];
    expect((await segment.installHistory({ segment: SEGMENT, epoch: 2n, history }, { deadlineMs: 5000 })).history).toEqual(history);
  });

  it('carries pages', async () => {
    const answer = await segment.getPages(
      { segment: SEGMENT, epoch: 1n, lsn: 99n, keys: [Buffer.from([7]), Buffer.from([8, 8]), Buffer.from([9])] },
      { deadlineMs: 5000 },
    );
    expect(answer.present).toEqual(Buffer.alloc(3, 1));
    expect(Buffer.concat(answer.pages).equals(Buffer.concat([Buffer.alloc(8192, 7), Buffer.alloc(8192, 8), Buffer.alloc(8192, 9)]))).toBe(
      true,
    );
  });

  it('streams appends: a hello, and batches as they are', async () => {
    const stream = segment.append();
    const answers: AppendResponse[] = [];
    const done = new Promise<void>((resolve) => stream.on('end', () => resolve()));
    stream.on('data', (answer: AppendResponse) => answers.push(answer));
    const hello = { segment: SEGMENT, epoch: 7n, writerId: 'demo-1/x', history: [{ epoch: 1n, startLsn: 2n }], role: 'TAIL' as const };
    stream.write({ hello, batches: undefined, vdl: 1n, pgmrpl: 0n });
    stream.write(encodeAppendRequest([Buffer.from('batch bytes')], 2n ** 63n, 5n));
    const more = ['one', '', 'three'].map((text, index) => encodeAppendRequest([Buffer.from(text)], BigInt(index), 1n));
    for (const message of more) stream.write(message);
    stream.end();
    await done;
    expect(received[0]?.hello).toEqual(hello);
    expect(received[1]).toMatchObject({ hello: undefined, vdl: 2n ** 63n, pgmrpl: 5n });
    expect(answers).toEqual([
      { scl: 1n, result: 'OK', epoch: 3n, message: '', followed: false },
      { scl: 2n ** 63n, result: 'GAP', epoch: 3n, message: 'batch bytes', followed: false },
      { scl: 0n, result: 'GAP', epoch: 3n, message: 'one', followed: false },
      { scl: 1n, result: 'OK', epoch: 3n, message: '', followed: false },
      { scl: 2n, result: 'GAP', epoch: 3n, message: 'three', followed: false },
    ]);
  });

  it('gives errors their codes, deadlines and dead peers too', async () => {
    await expect(
      segment.openEpoch({ role: 'FULL', segment: SEGMENT, epoch: 7n, writerId: 'w', leaseMs: 0 }, { deadlineMs: 5000 }),
    ).rejects.toMatchObject({
      code: 'EPOCH_TAKEN',
    });
    await expect(segment.catchUp({ segment: SEGMENT, lsn: 1n }, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'DEADLINE' });
    const nobody = new SegmentClient({ address: '127.0.0.1:1', framesAddress: '127.0.0.1:2' }, systemClock());
    await expect(nobody.status(SEGMENT, { deadlineMs: 2000 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    nobody.close();
  });

  it('streams answers and imports', async () => {
    const chunks = [];
    for await (const chunk of peer.fetchRedo({ segment: SEGMENT, fromLsn: 0n, fromEpoch: 0n, toLsn: 0n }, { deadlineMs: 5000 }))
      chunks.push(chunk.batches.length);
    expect(chunks).toEqual([1000, 1000, 1000]);
    const copy = peer.copySegment({ segment: SEGMENT }, { deadlineMs: 5000 });
    expect((await copy.next()).value).toMatchObject({ state: STATE });
    await expect(copy.next()).rejects.toMatchObject({ code: 'DAMAGED' });
    const { call, answer } = segment.importBase({ deadlineMs: 5000 });
    call.write({ begin: undefined, pages: [{ key: Buffer.from('a'), page: Buffer.from('b') }], finish: false });
    call.write({ begin: undefined, pages: [], finish: true });
    call.end();
    expect((await answer).bytesUsed).toBe(1n);
  });
});
