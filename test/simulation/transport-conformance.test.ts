import { systemClock } from '@kube-aurora/clock';
import {
  AuroraRpcError,
  encodeAppendRequest,
  PLAIN_TEXT,
  SegmentClient,
  type AppendCall,
  type AppendRequest,
  type AppendResponse,
  type CallContext,
  type FollowCall,
  type FollowedRedo,
  type FollowRequest,
  type GetPagesRequest,
  type GetPagesResponse,
  type PeerHandlers,
  type SegmentApi,
  type SegmentHandlers,
} from '@kube-aurora/rpc';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemNetwork, type DaemonListener, type DaemonServices } from '../../storage-daemon/src/edge/daemon-network.ts';
import { Machine } from './machine.ts';
import { Network } from './network.ts';
import { Exchange, segmentApi } from './simulated-api.ts';
import { World } from './world.ts';

/**
 * What every transport of the hot path does while nothing goes wrong, and when an end goes: frames over sockets, and
 * the simulated one.
 */

interface Tried {
  readonly client: SegmentApi;
  /** Lets things happen until it is so. Rejects when it does not come to be. */
  readonly until: (isSo: () => boolean) => Promise<void>;
  /** The daemon dies. */
  readonly kill: () => void;
  readonly dispose: () => void;
}

const SEGMENT = { volumeId: 'd1b4f9c8-3b6e-4a63-9d8e-0d6f5f7a1f11', pg: 0 };
const hello = (writerId = 'w'): AppendRequest => ({
  hello: { role: 'FULL', segment: SEGMENT, epoch: 7n, writerId, history: [{ epoch: 7n, startLsn: 5n }] },
  batches: undefined,
  vdl: 1n,
  pgmrpl: 2n,
});
const redo = (bytes: number, fill: number): Buffer => encodeAppendRequest([Buffer.alloc(bytes, fill)], BigInt(fill), 2n);
const pages = (count: number): GetPagesRequest => ({
  segment: SEGMENT,
  epoch: 1n,
  lsn: 9n,
  keys: Array.from({ length: count }, () => Buffer.alloc(17)),
});

const nothing = (): never => {
  throw new AuroraRpcError('NOT_READY', 'has nothing');
};
const PEER: PeerHandlers = { gossip: nothing, fetchRedo: nothing, copySegment: nothing, getPeerPage: nothing };

function servicesOf(hot: Pick<SegmentHandlers, 'append' | 'follow' | 'getPages'>): DaemonServices {
  const control = {
    openEpoch: nothing,
    installHistory: nothing,
    catchUp: nothing,
    computeImage: nothing,
    importBase: nothing,
    renewLease: nothing,
    giveBackLease: nothing,
    status: nothing,
  };
  return { segment: { ...control, ...hot }, peer: PEER, turnedAway: () => undefined, refused: () => undefined };
}

async function overSockets(services: DaemonServices): Promise<Tried> {
  const clock = systemClock();
  const listener: DaemonListener = await systemNetwork(clock, PLAIN_TEXT).serve(services, {
    address: '127.0.0.1:0',
    framesAddress: '127.0.0.1:0',
  });
  const client = new SegmentClient({ address: `127.0.0.1:${listener.port}`, framesAddress: `127.0.0.1:${listener.framesPort}` }, clock);
  return {
    client,
    until: (isSo) => expect.poll(isSo).toBe(true),
    kill: () => listener.close(),
    dispose: () => {
      client.close();
      listener.close();
    },
  };
}

async function simulated(services: DaemonServices): Promise<Tried> {
  const world = new World(1);
  const exchange = new Exchange(new Network(world));
  const [compute, daemon] = ['c0', 'd0'].map((id) => new Machine(world, id, 'zone-a', false));
  if (compute === undefined || daemon === undefined) throw new Error('there are two machines');
  compute.start();
  daemon.start();
  await exchange.networkOf(daemon).serve(services, { address: 'd0', framesAddress: 'd0' });
  return {
    client: segmentApi(exchange, compute, 'd0'),
    until: async (isSo) => {
      // What the test itself has set off comes before any time passes.
      await new Promise(setImmediate);
      if (!isSo()) await world.run(world.now + 60_000, () => undefined, isSo);
      expect(isSo()).toBe(true);
    },
    kill: () => daemon.die(),
    dispose: () => undefined,
  };
}

describe.each([
  ['frames over sockets', overSockets],
  ['the simulated network', simulated],
])('%s', (_name, start) => {
  let tried: Tried;
  let calls: { call: AppendCall; requests: AppendRequest[]; ends: string[] }[];
  let follows: { call: FollowCall; requests: FollowRequest[]; ends: string[] }[];
  let reads: {
    request: GetPagesRequest;
    context: CallContext;
    resolve: (response: GetPagesResponse) => void;
    reject: (error: Error) => void;
  }[];

  beforeEach(async () => {
    calls = [];
    follows = [];
    reads = [];
    tried = await start(
      servicesOf({
        append: (call) => {
          const one = { call, requests: [] as AppendRequest[], ends: [] as string[] };
          calls.push(one);
          call.on('data', (request) => one.requests.push({ ...request, batches: request.batches && Buffer.from(request.batches) }));
          call.on('end', () => one.ends.push('end'));
          call.on('cancelled', () => one.ends.push('cancelled'));
        },
        follow: (call) => {
          const one = { call, requests: [] as FollowRequest[], ends: [] as string[] };
          follows.push(one);
          call.on('data', (request) => one.requests.push(request));
          call.on('end', () => one.ends.push('end'));
          call.on('cancelled', () => one.ends.push('cancelled'));
        },
        getPages: (request, context) => new Promise((resolve, reject) => reads.push({ request, context, resolve, reject })),
      }),
    );
  });
  afterEach(() => tried.dispose());

  const ok = (scl: bigint): AppendResponse => ({ scl, result: 'OK', epoch: 7n, message: '', followed: false });

  function append() {
    const stream = tried.client.append();
    const heard = { stream, answers: [] as AppendResponse[], errors: [] as AuroraRpcError[], ends: 0, drains: 0 };
    stream.on('data', (answer) => heard.answers.push(answer));
    stream.on('error', (error) => heard.errors.push(error as AuroraRpcError));
    stream.on('end', () => heard.ends++);
    stream.on('drain', () => heard.drains++);
    return heard;
  }

  async function opened() {
    const heard = append();
    heard.stream.write(hello());
    await tried.until(() => calls[0]?.requests.length === 1);
    const [served] = calls;
    if (served === undefined) throw new Error('was not opened');
    return { heard, served };
  }

  it('the hello and redo of any size arrive whole, once and in order; no more requests is told after them', async () => {
    const { heard, served } = await opened();
    expect(served.requests[0]).toEqual(hello());
    const sizes = [1, 700, 100_000, 3_000_000, 2];
    for (const [index, size] of sizes.entries()) heard.stream.write(redo(size, index + 1));
    heard.stream.write(encodeAppendRequest([], 8n, 9n));
    heard.stream.end();
    await tried.until(() => served.ends.length > 0);
    expect(served.requests.slice(1).map(({ batches, vdl }) => [batches?.length, batches?.at(-1), vdl])).toEqual([
      ...sizes.map((size, index) => [size, index + 1, BigInt(index + 1)]),
      [undefined, undefined, 8n],
    ]);
    expect(served.ends).toEqual(['end']);
    served.call.end();
    await tried.until(() => heard.ends === 1);
    expect(heard.errors).toEqual([]);
  });

  it('answers arrive in order; an OK may stand for those before it', async () => {
    const { heard, served } = await opened();
    for (const scl of [5n, 6n, 7n]) served.call.write(ok(scl));
    served.call.write({ scl: 7n, result: 'GAP', epoch: 7n, message: 'why', followed: false });
    served.call.write(ok(9n));
    await tried.until(() => heard.answers.at(-1)?.scl === 9n);
    const { answers } = heard;
    expect(answers.filter(({ result }) => result !== 'OK')).toEqual([
      { scl: 7n, result: 'GAP', epoch: 7n, message: 'why', followed: false },
    ]);
    expect(answers.slice(-3)).toEqual([ok(7n), { scl: 7n, result: 'GAP', epoch: 7n, message: 'why', followed: false }, ok(9n)]);
    expect(answers.map(({ scl }) => scl)).toEqual(answers.map(({ scl }) => scl).toSorted((a, b) => Number(a - b)));
  });

  it('a daemon that pauses is given nothing until it goes on, and all of it then', async () => {
    const { heard, served } = await opened();
    served.call.pause();
    for (let index = 1; index <= 40; index++) heard.stream.write(redo(50_000, index));
    const read = tried.client.getPages(pages(1), { deadlineMs: 20_000 });
    read.catch(() => undefined);
    // Others are not held up by it.
    await tried.until(() => reads.length === 1);
    expect(served.requests).toHaveLength(1);
    served.call.resume();
    await tried.until(() => served.requests.length === 41);
    expect(served.requests.slice(1).map(({ vdl }) => Number(vdl))).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
  });

  it('a writer that is told to wait is told when to go on', async () => {
    const { heard, served } = await opened();
    let goesOn = true;
    let written = 0;
    while (goesOn && written < 1000) {
      goesOn = heard.stream.write(redo(50_000, 1));
      written++;
    }
    expect(goesOn).toBe(false);
    await tried.until(() => heard.drains > 0 && served.requests.length === written + 1);
  });

  it('an error that the daemon ends a stream with arrives with its code, after what was said before', async () => {
    const { heard, served } = await opened();
    served.call.write(ok(5n));
    served.call.fail(new AuroraRpcError('FENCED', 'a later writer'));
    await tried.until(() => heard.errors.length === 1);
    expect(heard.answers).toEqual([ok(5n)]);
    expect(heard.errors[0]).toMatchObject({ code: 'FENCED', message: expect.stringContaining('a later writer') as string });
  });

  it('a stream that the writer cancels is cancelled at the daemon, and silent here', async () => {
    const { heard, served } = await opened();
    heard.stream.cancel();
    await tried.until(() => served.ends.length > 0);
    expect(served.ends).toEqual(['cancelled']);
    served.call.write(ok(5n));
    const next = append();
    next.stream.write(hello('w2'));
    await tried.until(() => calls.length === 2);
    expect([heard.answers, heard.errors, heard.ends]).toEqual([[], [], 0]);
  });

  it('a reader’s words and the redo that it is sent arrive whole and in order, and each end hears of the other’s', async () => {
    const heard: FollowedRedo[] = [];
    const errors: AuroraRpcError[] = [];
    const stream = tried.client.follow();
    stream.on('data', (message) => heard.push({ ...message, batches: message.batches && Buffer.from(message.batches) }));
    stream.on('error', (error) => errors.push(error as AuroraRpcError));
    const first = { hello: { segment: SEGMENT, readerId: 'r', wants: 'REDO' as const, promotionTier: 3 }, takenLsn: 5n, readFloor: 0n };
    stream.write(first);
    const xmins = { xmin: 0x1_0000_02bcn, catalogXmin: 0n };
    stream.write({ hello: undefined, takenLsn: 6n, readFloor: 5n, xmins });
    await tried.until(() => follows[0]?.requests.length === 2);
    const [served] = follows;
    expect(served?.requests).toEqual([first, { hello: undefined, takenLsn: 6n, readFloor: 5n, xmins }]);
    const sizes = [0, 3, 200_000, 4];
    const writer = { writerEpoch: 7n, writerSilentMs: 40, writerGaveBack: true };
    for (const size of sizes) served?.call.write({ vdl: BigInt(size), batches: size === 0 ? undefined : Buffer.alloc(size, 7), ...writer });
    await tried.until(() => heard.length === sizes.length);
    expect(heard.map(({ vdl, batches }) => [Number(vdl), batches?.length ?? 0])).toEqual(sizes.map((size) => [size, size]));
    served?.call.fail(new AuroraRpcError('TOO_OLD', 'is gone'));
    await tried.until(() => errors.length === 1);
    expect(errors[0]).toMatchObject({ code: 'TOO_OLD' });
    const other = tried.client.follow();
    other.write(first);
    await tried.until(() => follows[1]?.requests.length === 1);
    other.cancel();
    await tried.until(() => follows[1]?.ends.length === 1);
    expect(follows[1]?.ends).toEqual(['cancelled']);
  });

  it('pages come back as they were given, for many requests at once, each to its own', async () => {
    const all = [1, 3, 256].map((count) => tried.client.getPages(pages(count), { deadlineMs: 20_000 }));
    for (const one of all) one.catch(() => undefined);
    await tried.until(() => reads.length === 3);
    for (const { request, resolve } of reads.toReversed()) {
      const count = request.keys.length;
      resolve({ present: Buffer.alloc(count, 1), pages: [Buffer.alloc(count * 8192, count % 200)] });
    }
    const answers: GetPagesResponse[] = [];
    for (const one of all) void one.then((answer) => answers.push(answer));
    await tried.until(() => answers.length === 3);
    const found = await Promise.all(all);
    expect(found.map(({ present, pages: bytes }) => [present.length, Buffer.concat(bytes).length, bytes[0]?.[0]])).toEqual([
      [1, 8192, 1],
      [3, 3 * 8192, 3],
      [256, 256 * 8192, 56],
    ]);
    expect(reads.map(({ request }) => request)).toContainEqual(pages(3));
  });

  it('reads fail with the daemon’s code, at their deadline, and with their caller; the daemon hears of it', async () => {
    const caller = new AbortController();
    const codes: string[] = [];
    const note = (error: AuroraRpcError): void => void codes.push(error.code);
    tried.client.getPages(pages(1), { deadlineMs: 20_000 }).then(nothing, note);
    await tried.until(() => reads.length === 1);
    reads[0]?.reject(new AuroraRpcError('TOO_OLD', 'is gone'));
    await tried.until(() => codes.length === 1);
    tried.client.getPages(pages(1), { deadlineMs: 500 }).then(nothing, note);
    await tried.until(() => codes.length === 2);
    // Known by its size: the one before may have come to its deadline before it came to the daemon.
    const given = () => reads.find(({ request }) => request.keys.length === 2);
    tried.client.getPages(pages(2), { deadlineMs: 20_000, signal: caller.signal }).then(nothing, note);
    await tried.until(() => given() !== undefined);
    caller.abort();
    await tried.until(() => codes.length === 3 && given()?.context.signal.aborted === true);
    expect(codes).toEqual(['TOO_OLD', 'DEADLINE', 'UNREACHABLE']);
  });

  it('whatever is under way when a daemon dies fails as unreachable, and what is begun then', async () => {
    const { heard } = await opened();
    const codes: string[] = [];
    const note = (error: AuroraRpcError): void => void codes.push(error.code);
    tried.client.getPages(pages(1), { deadlineMs: 20_000 }).then(nothing, note);
    await tried.until(() => reads.length === 1);
    tried.kill();
    await tried.until(() => heard.errors.length === 1 && codes.length === 1);
    expect(heard.errors[0]?.code).toBe('UNREACHABLE');
    tried.client.getPages(pages(1), { deadlineMs: 20_000 }).then(nothing, note);
    const late = append();
    late.stream.write(hello());
    await tried.until(() => late.errors.length === 1 && codes.length === 2);
    expect(codes).toEqual(['UNREACHABLE', 'UNREACHABLE']);
    expect(late.errors[0]?.code).toBe('UNREACHABLE');
  });
});
