import { AppendLanes } from '@kube-aurora/append-lane';
import { systemClock } from '@kube-aurora/clock';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mutualCredentials, PLAIN_TEXT, type Credentials } from './credentials.ts';
import { AuroraRpcError } from './errors.ts';
import { appendTo, FixtureDaemon, HELLO, pagesOf, SEGMENT } from './fixture-daemon.ts';
import { FramesClient } from './frames-client.ts';
import { FRAMES_LIMITS, type FramesListener } from './frames-server.ts';
import { encodeAppendRequest } from './hot-codec.ts';
import type { FollowedRedo } from './hot-messages.ts';
import { newAuthority, programOf } from '../../tls/src/testing/programs.ts';

/** The hot path over real connections, plain and inside TLS. */

interface Ends {
  readonly daemon: Credentials;
  readonly compute: Credentials;
}

const PLAIN: Ends = { daemon: PLAIN_TEXT, compute: PLAIN_TEXT };
let tls: Ends;
let lanes: AppendLanes;

async function endsInTls(): Promise<Ends> {
  const authority = await newAuthority();
  const credentialsAs = async (role: 'storage' | 'compute'): Promise<Credentials> =>
    mutualCredentials((await programOf({ authority, role })).tls);
  return { daemon: await credentialsAs('storage'), compute: await credentialsAs('compute') };
}

beforeAll(async () => {
  tls = await endsInTls();
  lanes = await AppendLanes.load(undefined, systemClock());
});

const daemon = new FixtureDaemon();
const { calls, received, reads, follows } = daemon;
let listener: FramesListener;
let client: FramesClient;
const clientOf = (credentials: Credentials): FramesClient => new FramesClient(`127.0.0.1:${listener.port}`, systemClock(), credentials);

beforeEach(() => daemon.reset());
afterEach(() => {
  client.close();
  listener.close();
});

describe.each<[string, () => Ends, boolean]>([
  ['plain', () => PLAIN, false],
  ['inside TLS', () => tls, false],
  ['plain, by a thread that has the connection', () => PLAIN, true],
  ['inside TLS, by a thread that has the connection', () => tls, true],
])('%s', (_name, ends, hasLanes) => {
  beforeEach(async () => {
    listener = await daemon.listen(ends().daemon, 0, hasLanes ? { lanes } : {});
    client = clientOf(ends().compute);
  });

  it('redo and pages go over one connection', async () => {
    const stream = appendTo(client);
    stream.write(HELLO);
    const batches = Buffer.alloc(9_000_000);
    for (let at = 0; at < batches.length; at += 4096) batches.writeUInt32LE(at, at);
    stream.write(encodeAppendRequest([Buffer.from('small')], 3n, 4n));
    stream.write(encodeAppendRequest([batches], 5n, 6n));
    const answers = await Promise.all([1, 256, 17].map((count) => client.getPages(pagesOf(count), { deadlineMs: 30_000 })));
    for (const [at, count] of [1, 256, 17].entries()) {
      const { present = [], pages = [] } = answers[at] ?? {};
      expect(present).toHaveLength(count);
      expect(Buffer.concat(pages).equals(Buffer.alloc(count * 8192, 7))).toBe(true);
    }
    await expect.poll(() => daemon.letGo).toBe(3);
    stream.write(encodeAppendRequest([], 8n, 9n));
    stream.end();
    await expect.poll(() => stream.ends).toBe(1);
    expect(received.map(({ hello, vdl, pgmrpl, batches: redo }) => [hello?.writerId, vdl, pgmrpl, redo?.length])).toEqual([
      ['w', 1n, 2n, undefined],
      [undefined, 3n, 4n, 5],
      [undefined, 5n, 6n, 9_000_000],
      [undefined, 8n, 9n, undefined],
    ]);
    expect(received[2]?.batches?.equals(batches)).toBe(true);
    expect(stream.answers.at(-1)?.scl).toBe(0n);
    expect(listener.traffic()).toMatchObject({ connections: 1 });
    expect(listener.traffic().receivedBytes).toBeGreaterThan(9_000_000);
    expect(listener.traffic().sentBytes).toBeGreaterThan(274 * 8192);
  });

  it('a daemon that went away is found again', async () => {
    const { port } = listener;
    const stream = appendTo(client);
    stream.write(HELLO);
    await expect.poll(() => stream.answers.length).toBe(1);
    listener.close();
    await expect.poll(() => stream.errors[0]).toMatchObject({ code: 'UNREACHABLE' });
    await expect(client.getPages(pagesOf(1), { deadlineMs: 5000 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    listener = await daemon.listen(ends().daemon, port);
    await expect
      .poll(() =>
        client.getPages(pagesOf(1), { deadlineMs: 5000 }).then(
          ({ pages }) => Buffer.concat(pages).length,
          () => 0,
        ),
      )
      .toBe(8192);
  });
});

it('an end without TLS, or with another’s certificate, is not spoken to', async () => {
  listener = await daemon.listen(tls.daemon);
  client = clientOf(PLAIN_TEXT);
  await expect(client.getPages(pagesOf(1), { deadlineMs: 10_000 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
  const other = clientOf((await endsInTls()).compute);
  await expect(other.getPages(pagesOf(1), { deadlineMs: 10_000 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
  other.close();
  expect(reads).toHaveLength(0);
});

describe('calls', () => {
  beforeEach(async () => {
    listener = await daemon.listen(PLAIN_TEXT);
    client = clientOf(PLAIN_TEXT);
  });

  it('a lease is renewed, or not', async () => {
    const request = { segment: SEGMENT, epoch: 7n, writerId: 'w', leaseMs: 2000 };
    expect(await client.renewLease(request, { deadlineMs: 30_000 })).toEqual({
      others: [{ epoch: 6n, writerId: 'before w', remainingMs: 2000, isGivenBack: true }],
      readersXmin: 0x1_0000_02bcn,
      readersCatalogXmin: 0n,
    });
    expect(await client.renewLease({ ...request, writerId: 'alone' }, { deadlineMs: 30_000 })).toMatchObject({ others: [] });
    const overtaken = client.renewLease({ ...request, writerId: 'overtaken' }, { deadlineMs: 30_000 });
    await expect(overtaken).rejects.toMatchObject({ code: 'FENCED', message: `127.0.0.1:${listener.port}: epoch 7 is over` });
    await expect(client.renewLease({ ...request, writerId: 'late' }, { deadlineMs: 50 })).rejects.toMatchObject({ code: 'DEADLINE' });
    const over = new AbortController();
    const givenUp = client.renewLease({ ...request, writerId: 'late' }, { deadlineMs: 30_000, signal: over.signal });
    over.abort();
    await expect(givenUp).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('give errors their codes', async () => {
    daemon.holdsReads = true;
    const failed = client.getPages(pagesOf(1), { deadlineMs: 5000 });
    await expect.poll(() => reads.length).toBe(1);
    reads[0]?.fail(new AuroraRpcError('BEHIND', 'holds redo up to 5'));
    await expect(failed).rejects.toMatchObject({ code: 'BEHIND', message: `127.0.0.1:${listener.port}: holds redo up to 5` });
    const own = client.getPages(pagesOf(1), { deadlineMs: 5000 });
    await expect.poll(() => reads.length).toBe(2);
    reads[1]?.fail(new TypeError('of our own'));
    await expect(own).rejects.toMatchObject({ code: 'INTERNAL' });
    const stream = appendTo(client);
    stream.write(HELLO);
    await expect.poll(() => calls.length).toBe(1);
    calls[0]?.fail(new AuroraRpcError('NOT_READY', 'the storage daemon is stopping'));
    await expect.poll(() => stream.errors[0]).toMatchObject({ code: 'NOT_READY' });
    // What was acknowledged before the error was heard before it.
    expect(stream.answers).toHaveLength(1);
  });

  it('end at their deadline, and with their caller; the daemon hears of both', async () => {
    daemon.holdsReads = true;
    const late = client.getPages(pagesOf(1), { deadlineMs: 300 });
    await expect(late).rejects.toMatchObject({ code: 'DEADLINE' });
    const caller = new AbortController();
    const given = client.getPages(pagesOf(2), { deadlineMs: 60_000, signal: caller.signal });
    // The one before may have come to its deadline before it came to the daemon.
    await expect.poll(() => reads.at(-1)?.request.keys.length).toBe(2);
    const { context } = reads.at(-1) ?? {};
    expect(context?.signal.aborted).toBe(false);
    expect((context?.deadline ?? 0) - systemClock().now()).toBeGreaterThan(30_000);
    caller.abort();
    await expect(given).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await expect.poll(() => context?.signal.aborted).toBe(true);
    expect(reads.every((read) => read.context.signal.aborted)).toBe(true);
    await expect(client.getPages(pagesOf(1), { deadlineMs: 1000, signal: caller.signal })).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('fail at once while nobody listens, and a request that no frame holds before it is sent', async () => {
    await expect(client.getPages(pagesOf(10_000), { deadlineMs: 1000 })).rejects.toMatchObject({ code: 'INVALID' });
    const nobody = new FramesClient('127.0.0.1:1', systemClock(), PLAIN_TEXT);
    await expect(nobody.getPages(pagesOf(1), { deadlineMs: 10_000 })).rejects.toMatchObject({ code: 'UNREACHABLE' });
    const stream = appendTo(nobody);
    stream.write(HELLO);
    await expect.poll(() => stream.errors[0]).toMatchObject({ code: 'UNREACHABLE' });
    nobody.close();
    const closed = appendTo(nobody);
    closed.write(HELLO);
    await expect.poll(() => closed.errors[0]).toMatchObject({ code: 'UNREACHABLE' });
  });

  it('a reader is sent redo of any size, one message after the other, and what it says arrives; no more than so many follow', async () => {
    const hello = { readerId: 'r', segment: SEGMENT, wants: 'REDO' as const, promotionTier: 3 };
    const writer = { writerEpoch: 7n, writerSilentMs: 40, writerGaveBack: true };
    const heard: FollowedRedo[] = [];
    const stream = client.follow();
    stream.on('data', (redo) => heard.push({ ...redo, batches: redo.batches && Buffer.from(redo.batches) }));
    stream.write({ hello, takenLsn: 5n, readFloor: 4n });
    await expect.poll(() => follows.length).toBe(1);
    const [{ call, requests } = { call: undefined, requests: [] }] = follows;
    const sizes = [0, 1, 100_000, 3_000_000, 17];
    for (const size of sizes) call?.write({ vdl: BigInt(size), batches: size === 0 ? undefined : Buffer.alloc(size, 7), ...writer });
    const xmins = { xmin: 0x1_0000_02bcn, catalogXmin: 700n };
    stream.write({ hello: undefined, takenLsn: 6n, readFloor: 5n, xmins });
    await expect.poll(() => heard.length).toBe(sizes.length);
    expect(heard.map(({ vdl, batches }) => [Number(vdl), batches?.length ?? 0])).toEqual(sizes.map((size) => [size, size]));
    await expect.poll(() => requests.length).toBe(2);
    expect(requests).toEqual([
      { hello, takenLsn: 5n, readFloor: 4n },
      { hello: undefined, takenLsn: 6n, readFloor: 5n, xmins },
    ]);
    // What waits to be sent gives way to the error.
    for (let count = 0; count < 50; count++) call?.write({ vdl: 1n, batches: Buffer.alloc(1_000_000), ...writer });
    call?.fail(new AuroraRpcError('TOO_OLD', 'is gone'));
    const errors: unknown[] = [];
    stream.on('error', (error) => errors.push(error));
    await expect.poll(() => errors).toEqual([expect.objectContaining({ code: 'TOO_OLD' })]);

    const refusals: unknown[] = [];
    for (let count = 0; count <= FRAMES_LIMITS.followStreams; count++) {
      const one = client.follow();
      one.on('error', (error) => refusals.push(error));
      one.write({ hello, takenLsn: 5n, readFloor: 4n });
    }
    await expect.poll(() => refusals).toEqual([expect.objectContaining({ code: 'REFUSED' })]);
  });

  it('several acknowledgements that wait are one: the last', async () => {
    const stream = appendTo(client);
    stream.write(HELLO);
    await expect.poll(() => stream.answers.length).toBe(1);
    for (let scl = 1n; scl <= 50n; scl++) calls[0]?.write({ scl, result: 'OK', epoch: 7n, message: '', followed: false });
    calls[0]?.write({ scl: 50n, result: 'GAP', epoch: 7n, message: '', followed: false });
    calls[0]?.write({ scl: 51n, result: 'OK', epoch: 7n, message: '', followed: false });
    await expect.poll(() => stream.answers.at(-1)?.scl).toBe(51n);
    expect(stream.answers.slice(1).map(({ scl, result }) => `${result} ${scl}`)).toEqual(['OK 50', 'GAP 50', 'OK 51']);
  });
});
